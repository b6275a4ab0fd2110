// The brokers: state, shares of the partitions, log directories.
import { ask } from './api.js';
import { bar, bytes, h, number, pager, pill, span, table } from './ui.js';

export const title = () => 'Brokers';
export const load = (id, state) => ask('brokers', { page: state.page });

const TONES = { up: 'good', leaving: 'warn', fenced: 'bad', 'not answering': 'bad' };

function directory(dir, old) {
  const used = dir.total ? 1 - dir.usable / dir.total : null;
  return h('div', { 'data-key': dir.path },
    h('span', { class: 'mono' }, dir.path),
    dir.failed ? [' ', pill('failed', 'bad')] : [
      used === null ? null : bar(used, used > 0.95 ? 'bad' : used > 0.85 ? 'warn' : ''),
      h('span', { class: 'sub' }, bytes(dir.bytes) + ' in ' + number(dir.replicas) + ' replicas' + (used === null ? '' : '; disk ' + Math.round(used * 100) + ' % full, ' + bytes(dir.usable) + ' free') + (old ? ', when it was last heard' : ''))]);
}

function row(one) {
  return [String(one.id), [
    [String(one.id), one.self ? h('span', { class: 'sub whole' }, 'this node') : null],
    [pill(one.state, TONES[one.state]), one.controller ? pill('controller') : null, one.why ? h('span', { class: 'sub' }, one.why + ', for ' + span(one.silentMs)) : null],
    one.listeners.map((l) => h('span', { class: 'sub' }, l.name + ' ' + l.host + ':' + l.port)),
    one.rack ?? '–',
    [number(one.leaders), h('span', { class: 'sub' }, one.leaders === one.preferred ? 'as preferred' : number(one.preferred) + ' preferred')],
    [number(one.replicas), one.outOfSync ? h('span', { class: 'sub bad-text' }, number(one.outOfSync) + ' out of sync') : h('span', { class: 'sub' }, 'all in sync')],
    one.logDirs.length ? one.logDirs.map((dir) => directory(dir, one.logDirsOld)) : h('span', { class: 'muted' }, 'not told yet'),
  ]];
}

export function render(data, { set }) {
  return [
    h('h1', {}, 'Brokers', h('small', {}, number(data.total))),
    table([['Broker', 'name'], ['State'], ['Listeners', 'wide'], ['Rack', 'whole'], ['Leaders', 'num'], ['Replicas', 'num'], ['Log directories', 'wide']], data.brokers.map(row), 'No broker is registered.'),
    pager(data, (page) => set({ page }, true)),
  ];
}
