// One group: its members, and how far it is in each partition.
import { ask } from './api.js';
import { ALARMS, alarms, state as groupState } from './groups.js';
import { h, many, number, pager, table, tile, topicLink } from './ui.js';

export const title = (id) => id;
export const load = (id, state) => ask('group', { id, page: state.page });

const member = (m) => [m.id, [[m.client || '–', h('span', { class: 'sub mono' }, m.id)], m.instance ?? '–', m.host, number(m.partitions)]];

const leftOut = (n, words) => (n > 0 ? h('div', { class: 'note' }, number(n) + words) : null);

const offset = (o) => [o.topic + '/' + o.partition, [
  [topicLink(o.topic), ' ', h('span', { class: 'muted' }, 'partition ' + o.partition)],
  o.member === null ? h('span', { class: 'muted' }, 'nobody') : h('span', { title: o.member }, o.client || o.member),
  o.committed === null ? h('span', { class: 'muted' }, 'nothing yet') : number(o.committed),
  number(o.end),
  h('span', { class: o.lag > 0 ? 'warn-text' : null }, number(o.lag)),
]];

export function render(data, { id, set }) {
  if (data.refused) return [h('h1', {}, id), h('div', { class: 'card empty' }, data.refused.message, ' ', h('a', { href: '#/groups' }, 'All groups'))];
  return [
    h('h1', {}, data.id, ' ', groupState(data.state)),
    data.alarms.length ? h('div', { class: 'note bad' }, alarms(data.alarms), ' ', data.alarms.map((name) => ALARMS[name]?.[2]).join(' ')) : null,
    h('div', { class: 'tiles' },
      tile('Lag', number(data.lag), { under: 'records', tone: data.alarms.length ? 'bad' : '' }),
      tile('Members', number(data.members), { under: data.assignor ? 'assignor ' + data.assignor : 'of kind ' + (data.protocolType || 'unknown') }),
      tile('Partitions', number(data.total)),
      tile('Coordinator', 'Broker ' + data.coordinator)),
    leftOut(data.offsetsLeftOut, ' of its committed offsets are not watched, there are too many: the lag is that of the others.'),
    leftOut(data.assignedLeftOut, ' of the partitions that its members read are not listed, there are too many.'),
    h('h2', {}, 'Partitions'),
    table([['Partition', 'name'], ['Read by'], ['Committed', 'num'], ['End offset', 'num'], ['Lag', 'num']], data.offsets.map(offset), 'The group has committed nothing, and reads nothing.'),
    pager(data, (page) => set({ page }, true)),
    h('h2', {}, 'Members'),
    table([['Client', 'name'], ['Instance'], ['Host'], ['Partitions', 'num']], data.memberList.map(member), 'The group has no members now.'),
    data.members > data.memberList.length ? h('p', { class: 'muted' }, many(data.members - data.memberList.length, 'more member') + ', not shown.') : null,
  ];
}
