// What passes through the cluster and this node, over the last ten minutes.
import { ask } from './api.js';
import { chart } from './chart.js';
import { byteRate, h, rate, short } from './ui.js';

export const title = () => 'Throughput';
export const load = () => ask('throughput');

export function render(data) {
  const of = (name) => data.samples.map((one) => [one.at, one[name]]);
  return [
    h('h1', {}, 'Throughput', h('small', {}, 'up to ten minutes back')),
    h('h2', {}, 'The cluster'),
    h('div', { class: 'charts' },
      chart({ title: 'Records written', text: 'by how the end offsets rise', series: [{ points: of('records') }], format: rate }),
      chart({ title: 'Bytes written', text: 'estimated: records by the mean stored size of a record', series: [{ points: of('bytes') }], format: byteRate, base: 1024 }),
      chart({ title: 'Lag of all groups', text: 'in records', series: [{ points: of('lag') }], format: short })),
    h('h2', {}, 'This node (' + data.node + ')'),
    h('div', { class: 'charts' },
      chart({ title: 'Bytes of clients', series: [{ name: 'in', points: of('bytesIn') }, { name: 'out', points: of('bytesOut') }], format: byteRate, base: 1024 }),
      chart({ title: 'Bytes fetched from leaders', text: 'as a follower', series: [{ points: of('replicationIn') }], format: byteRate, base: 1024 }),
      chart({ title: 'Requests', text: 'of all kinds, a second', series: [{ points: of('requests') }], format: rate })),
    h('p', { class: 'muted' }, 'Figures are taken every two seconds while somebody looks, and forgotten when nobody does.'),
  ];
}
