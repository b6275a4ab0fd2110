// One topic: its partitions with where they are, and its settings.
import { ask } from './api.js';
import { bytes, h, number, pager, pill, rate, table, tile } from './ui.js';

export const title = (id) => id;
export const load = (id, state) => ask('topic', { name: id, page: state.page });

// Each replica once: who leads, who is in sync, who may lead if need be, who comes and who goes.
function replicas(p) {
  const chip = (id) => {
    const inSync = p.isr.includes(id), elr = p.elr.includes(id) || p.lastKnownElr.includes(id);
    const words = [id === p.leader ? 'leader' : '', inSync ? 'in sync' : elr ? 'eligible to lead' : p.adding.includes(id) ? '' : 'out of sync', p.adding.includes(id) ? 'being added' : '', p.removing.includes(id) ? 'being removed' : ''].filter(Boolean).join(', ');
    const kind = inSync ? (id === p.leader ? 'lead' : '') : elr ? 'elr' : p.adding.includes(id) ? 'move' : 'out';
    return h('span', { class: 'chip ' + kind, title: 'Broker ' + id + ': ' + words, 'aria-label': 'Broker ' + id + ', ' + words }, String(id) + (p.adding.includes(id) ? ' +' : p.removing.includes(id) ? ' −' : ''));
  };
  return h('span', { class: 'chips' }, p.replicas.map(chip));
}

const row = (p, name) => [String(p.partition), [
  h('a', { href: '#/messages?' + new URLSearchParams({ topic: name, partition: p.partition }) }, String(p.partition)),
  p.leader === null ? pill('none', 'bad') : String(p.leader),
  replicas(p),
  number(p.isr.length) + ' of ' + number(p.replicas.filter((id) => p.isr.includes(id) || !p.adding.includes(id)).length),
  p.elr.length || p.lastKnownElr.length ? [...p.elr, ...p.lastKnownElr].join(', ') : '–',
  number(p.start), number(p.end), p.end === null || p.start === null ? '–' : number(p.end - p.start), bytes(p.bytes), rate(p.rate),
]];

function configs(list, state, set) {
  const all = state.configs === 'all', shown = list.filter((one) => all || one.source !== 'default');
  return [
    h('h2', {}, 'Settings'),
    h('div', { class: 'tools' }, h('button', { type: 'button', class: all ? 'on' : null, 'aria-pressed': String(all), onclick: () => set({ configs: all ? '' : 'all' }) }, 'With defaults')),
    table([['Setting', 'name'], ['Value'], ['From']], shown.map((one) => [one.name, [h('span', { class: 'mono' }, one.name), h('span', { class: 'mono' }, one.value ?? '–'),
      one.source === 'default' ? h('span', { class: 'muted' }, 'default') : pill(one.source, one.source === 'topic' ? 'good' : '')]]), 'All settings are at their defaults.'),
  ];
}

export function render(data, { id, state, set }) {
  if (data.refused) return [h('h1', {}, id), h('div', { class: 'card empty' }, data.refused.message, ' ', h('a', { href: '#/topics' }, 'All topics'))];
  const total = (f) => data.partitions.reduce((sum, p) => sum + (f(p) ?? 0), 0);
  const whole = data.total <= data.per;
  const behind = data.partitions.filter((p) => p.underReplicated).length;
  return [
    h('h1', {}, data.name, h('small', { class: 'mono' }, data.id)),
    h('div', { class: 'tiles' },
      tile('Partitions', number(data.total), { under: whole ? (behind ? number(behind) + ' under-replicated' : 'all in sync') : 'figures of this page only', tone: behind ? 'warn' : '' }),
      tile('Records', number(total((p) => (p.end === null || p.start === null ? null : p.end - p.start))), { under: 'by offsets' }),
      tile('Size', bytes(total((p) => p.bytes)), { under: 'of the leaders’ replicas' }),
      tile('Written', rate(total((p) => p.rate)), { under: 'records' })),
    h('h2', {}, 'Partitions'),
    table([['Partition', 'name'], ['Leader'], ['Replicas'], ['In sync'], ['ELR'], ['First offset', 'num'], ['End offset', 'num'], ['Records', 'num'], ['Size', 'num'], ['Written', 'num']], data.partitions.map((p) => row(p, data.name)), 'The topic has no partition.'),
    pager(data, (page) => set({ page }, true)),
    configs(data.configs, state, set),
  ];
}
