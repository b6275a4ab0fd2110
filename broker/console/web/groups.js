// The groups, those with alarms first.
import { ask } from './api.js';
import { spark } from './chart.js';
import { groupLink, h, number, pager, pill, search, table } from './ui.js';

export const title = () => 'Groups';
export const load = (id, state) => ask('groups', { filter: state.filter, page: state.page });

export const ALARMS = {
  behind: ['far behind', 'bad', 'The lag is beyond the bound.'],
  grows: ['lag grows', 'bad', 'The lag has been rising over the last half minute.'],
  'stands still': ['stands still', 'bad', 'There is a lag, and nothing was committed for the last half minute.'],
  'nobody reads': ['nobody reads', 'warn', 'There is a lag, and the group has no members.'],
  'coordinator does not answer': ['no answer', 'bad', 'The coordinator does not answer: this is what it said last.'],
};
const STATES = { Stable: 'good', Empty: '', Dead: '', PreparingRebalance: 'warn', CompletingRebalance: 'warn' };

export const alarms = (list) => list.map((name) => { const [text, tone, words] = ALARMS[name] || [name, 'warn', '']; return h('span', { class: 'pill ' + tone, title: words }, text); });
export const state = (text) => pill(text, STATES[text]);

const row = (one) => [one.id, [
  groupLink(one.id), state(one.state), one.alarms.length ? alarms(one.alarms) : h('span', { class: 'muted' }, 'none'),
  number(one.members), number(one.partitions), [spark(one.lags, one.alarms.length), ' ', number(one.lag)], String(one.coordinator),
]];

export function render(data, { state: now, set }) {
  return [
    h('h1', {}, 'Groups', h('small', {}, number(data.total))),
    h('div', { class: 'tools' }, search('Name contains', now.filter || '', (filter) => set({ filter, page: '' }))),
    data.leftOut ? h('div', { class: 'note' }, number(data.leftOut) + ' more groups are not watched.') : null,
    table([['Group', 'name'], ['State'], ['Alarms'], ['Members', 'num'], ['Partitions', 'num'], ['Lag', 'num'], ['Coordinator', 'num']], data.groups.map(row),
      now.filter ? 'No group matches.' : 'There is no group: nobody has committed offsets yet.'),
    pager(data, (page) => set({ page }, true)),
    h('p', { class: 'muted' }, 'A lag beyond ' + number(data.bound) + ' records is an alarm (console.lag.alarm.records), and so is one that rises for half a minute, or at which nothing is committed for so long.'),
  ];
}
