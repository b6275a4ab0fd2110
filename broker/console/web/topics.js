// The topics: a part of them, by name or by what is wrong.
import { ask } from './api.js';
import { bytes, h, number, pager, pill, rate, search, table, topicLink } from './ui.js';

export const title = () => 'Topics';
export const load = (id, state) => ask('topics', { filter: state.filter, sort: state.sort, page: state.page, internal: state.internal });

const ORDERS = { '': 'Name', trouble: 'Trouble first', size: 'Size', rate: 'Rate', partitions: 'Partitions' };

function state(one) {
  if (one.offline) return pill(number(one.offline) + ' offline', 'bad');
  if (one.underReplicated) return pill(number(one.underReplicated) + ' under-replicated', 'warn');
  return pill('in sync', 'good');
}

const row = (one) => [one.name, [
  [topicLink(one.name), one.internal ? h('span', { class: 'sub' }, 'internal') : null],
  [state(one), one.reassigning ? pill(number(one.reassigning) + ' moving') : null],
  number(one.partitions), number(one.factor), number(one.records), bytes(one.bytes), rate(one.rate),
]];

export function render(data, { state: now, set }) {
  const filtered = now.filter || now.internal === '0';
  return [
    h('h1', {}, 'Topics', h('small', {}, number(data.total) + (filtered ? ' shown' : ''))),
    h('div', { class: 'tools' },
      search('Name contains', now.filter || '', (filter) => set({ filter, page: '' })),
      h('label', { class: 'half' }, 'Order', h('select', { onchange() { set({ sort: this.value, page: '' }); } },
        Object.entries(ORDERS).map(([value, label]) => h('option', { value, selected: value === (now.sort || '') }, label)))),
      h('label', { class: 'row' }, h('input', { type: 'checkbox', checked: now.internal === '0', onchange() { set({ internal: this.checked ? '0' : '', page: '' }); } }), 'Hide internal ones')),
    table([['Topic', 'name'], ['State'], ['Partitions', 'num'], ['Factor', 'num'], ['Records', 'num'], ['Size', 'num'], ['Written', 'num']], data.topics.map(row),
      filtered ? 'No topic matches.' : 'There is no topic yet.'),
    pager(data, (page) => set({ page }, true)),
  ];
}
