// The cluster on one page: what is wrong first, then how it is.
import { ask } from './api.js';
import { chart } from './chart.js';
import { byteRate, h, many, number, pill, rate, short, span, table, tile } from './ui.js';

export const title = () => 'Overview';
export const load = () => ask('throughput');

// Voters that the leader does not hear, and what their loss means.
function silent(quorum) {
  const voters = quorum.replicas.filter((one) => one.voter), gone = voters.filter((one) => one.silent).map((one) => one.id).sort((a, b) => a - b);
  if (!gone.length) return null;
  const last = Math.floor((voters.length - 1) / 2) <= gone.length;
  return [last ? 'bad' : 'warn', (gone.length === 1 ? 'Controller ' : 'Controllers ') + gone.join(' and ') + (gone.length === 1 ? ' is' : ' are') +
    ' not heard by the others: down, cut off, or on a disk that was not admitted' + (last ? '. After one more failure metadata cannot change.' : '.')];
}

function problems(all) {
  const p = all.partitions, list = [];
  const say = (tone, text, href) => list.push({ tone, node: h('li', {}, href ? h('a', { href }, text) : text) });
  if (all.quorumFailed) say('bad', 'The controllers did not answer: metadata cannot change now.');
  else if (all.quorum?.leader === null) say('bad', 'The controllers have no leader: metadata cannot change now.');
  const unheard = all.quorum && all.quorum.leader !== null ? silent(all.quorum) : null;
  if (unheard) say(...unheard);
  if (p.offline) say('bad', many(p.offline, 'partition has', 'partitions have') + ' no leader: nobody can write to or read from them.', '#/topics?sort=trouble');
  if (p.underMinIsr) say('bad', many(p.underMinIsr, 'partition has', 'partitions have') + ' fewer replicas in sync than min.insync.replicas: writes with acks=all are refused.', '#/topics?sort=trouble');
  if (all.brokers.notAnswering) say('bad', many(all.brokers.notAnswering, 'broker does', 'brokers do') + ' not answer this node.', '#/brokers');
  if (all.brokers.fenced) say('warn', many(all.brokers.fenced, 'broker is', 'brokers are') + ' fenced: stopped, dead, or not caught up yet.', '#/brokers');
  if (p.underReplicated) say('warn', many(p.underReplicated, 'partition lacks', 'partitions lack') + ' a replica that is in sync.', '#/topics?sort=trouble');
  if (all.groups.alarms) say('warn', many(all.groups.alarms, 'group needs', 'groups need') + ' a look: far behind, falling behind, or read by nobody.', '#/groups');
  return list;
}

function trouble(all) {
  const list = problems(all);
  if (list.length === 0 && !all.quorum) return h('div', { class: 'note', 'data-key': 'trouble' }, 'The controllers have not answered yet.');
  if (list.length === 0) return h('div', { class: 'note good', 'data-key': 'trouble' }, 'All is well: every partition has a leader and all its replicas in sync.');
  return h('div', { class: 'note ' + (list.some((one) => one.tone === 'bad') ? 'bad' : ''), 'data-key': 'trouble' }, h('ul', {}, list.map((one) => one.node)));
}

function quorum(all) {
  if (!all.quorum) return null;
  const rows = all.quorum.replicas.filter((one) => one.voter || !one.broker).sort((a, b) => a.id - b.id).map((one) => [String(one.id), [
    String(one.id),
    one.id === all.quorum.leader ? pill('leader', 'good') : [pill(one.voter ? 'voter' : 'observer'), one.silent ? [' ', pill('not heard', 'bad')] : null],
    number(one.end),
    one.id === all.quorum.leader ? '0' : h('span', { class: one.lag > 100 ? 'warn-text' : null }, number(one.lag)),
    one.id === all.quorum.leader || one.lastCaughtUpMs === null ? '–' : span(all.now ? all.now.at - one.lastCaughtUpMs : null) + ' ago',
  ]]);
  return [h('h2', {}, 'Controllers'), table([['Node', 'name'], ['Role'], ['Log end', 'num'], ['Behind', 'num'], ['Caught up', 'num']], rows, 'The controllers are not known yet.')];
}

export function render(data, { all }) {
  const p = all.partitions, up = all.brokers.total - all.brokers.fenced - all.brokers.notAnswering;
  const points = data.samples.map((one) => [one.at, one.records]), lag = data.samples.map((one) => [one.at, one.lag]);
  return [
    h('h1', {}, 'Overview'),
    trouble(all),
    h('div', { class: 'tiles' },
      tile('Brokers up', number(up), { unit: 'of ' + number(all.brokers.total), tone: up < all.brokers.total ? 'bad' : '', href: '#/brokers' }),
      tile('Active controller', all.quorum && all.quorum.leader !== null ? 'Node ' + all.quorum.leader : '–', { tone: all.quorumFailed ? 'bad' : '', under: all.quorum ? many(all.quorum.replicas.filter((one) => one.voter).length, 'voter') + ', epoch ' + all.quorum.epoch : 'not known' }),
      tile('Topics', number(all.topics), { href: '#/topics', under: many(p.total, 'partition') }),
      tile('Under-replicated', number(p.underReplicated), { tone: p.underReplicated ? 'warn' : '', href: '#/topics?sort=trouble', under: p.reassigning ? many(p.reassigning, 'move') + ' under way' : 'partitions' }),
      tile('Offline', number(p.offline), { tone: p.offline ? 'bad' : '', href: '#/topics?sort=trouble', under: 'partitions' }),
      tile('Groups', number(all.groups.total), { tone: all.groups.alarms ? 'warn' : '', href: '#/groups', under: all.groups.alarms ? many(all.groups.alarms, 'alarm') : 'no alarms' }),
      tile('Lag of all groups', short(all.groups.lag), { href: '#/groups', under: 'records' }),
      tile('Written', rate(all.now?.records), { href: '#/throughput', under: 'records, ≈ ' + byteRate(all.now?.bytes) })),
    h('h2', {}, 'Lately'),
    h('div', { class: 'charts' },
      chart({ title: 'Records written', text: 'in the whole cluster, a second', series: [{ points }], format: rate }),
      chart({ title: 'Lag', text: 'of all groups, in records', series: [{ points: lag }], format: short })),
    quorum(all),
  ];
}
