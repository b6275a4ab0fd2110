// The frame: which view is shown, the polling, and what is said when the node does not answer.
import { Answer, ask } from './api.js';
import { measure, onRedraw } from './chart.js';
import { h, many, morph, span } from './ui.js';
import * as brokers from './brokers.js';
import * as group from './group.js';
import * as groups from './groups.js';
import * as messages from './messages.js';
import * as overview from './overview.js';
import * as throughput from './throughput.js';
import * as topic from './topic.js';
import * as topics from './topics.js';

const VIEWS = { overview, brokers, topics, topic, groups, group, throughput, messages };
const PARENT = { topic: 'topics', group: 'groups' };
const POLL_MS = 2000;

const view = document.getElementById('view'), banner = document.getElementById('banner'), live = document.getElementById('live');
let place = null; // {name, module, id, state}: the view that is shown
let shown = null; // {at, all, data}: what was drawn last
let turn = 0; // of the newest poll: what an older one brings is not shown
let lostSince = 0;
let timer = 0;

// ---- where we are: #/view/id?key=value

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, ...rest] = path.split('/');
  const known = VIEWS[name] ? name : 'overview';
  let id = rest.join('/');
  try {
    id = decodeURIComponent(id);
  } catch { /* as it stands */ }
  return { name: known, module: VIEWS[known], id, state: Object.fromEntries(new URLSearchParams(query || '')) };
}

// A view changes its part of the address: the address is all the state there is.
function set(changes, push) {
  const state = { ...place.state, ...changes };
  for (const key of Object.keys(state)) if (state[key] === '' || state[key] === undefined || state[key] === null) delete state[key];
  const query = String(new URLSearchParams(state));
  const hash = '#/' + place.name + (place.id ? '/' + encodeURIComponent(place.id) : '') + (query && '?' + query);
  history[push ? 'pushState' : 'replaceState'](null, '', hash);
  place = read();
  poll();
}

function go() {
  const from = place;
  place = read();
  for (const link of document.querySelectorAll('nav a')) {
    const here = link.getAttribute('href') === '#/' + (PARENT[place.name] || place.name);
    if (here) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  if (!from || from.name !== place.name || from.id !== place.id) {
    document.title = place.module.title(place.id) + ' – Millrace';
    view.classList.add('stale');
    place.module.enter?.();
    if (from) {
      document.getElementById('main').focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }
  poll();
}

// ---- the frame's own figures

function frame(all) {
  document.getElementById('cluster').textContent = 'cluster ' + all.clusterId + ' · node ' + all.node.id + ' · ' + all.node.version;
  const trouble = { topics: all.partitions.offline + all.partitions.underReplicated, groups: all.groups.alarms, brokers: all.brokers.fenced + all.brokers.notAnswering };
  for (const [name, n] of Object.entries(trouble)) {
    const link = document.querySelector('nav a[href="#/' + name + '"]');
    link.querySelector('.count')?.remove();
    if (n > 0) link.append(h('span', { class: 'count', title: many(n, 'alarm') }, n));
  }
}

function say(text, state, tone) {
  banner.textContent = text;
  banner.hidden = !text;
  live.textContent = state;
  live.className = 'pill ' + tone;
}

function lost(error) {
  if (error instanceof Answer) {
    say(error.message, 'not ready', 'warn');
    lostSince = 0;
  } else {
    lostSince ||= Date.now();
    say('The node does not answer, for ' + span(Date.now() - lostSince) + ' now. What is shown is what it said last. This page tries again every two seconds.', 'no answer', 'bad');
  }
  view.classList.add('stale');
}

// ---- drawing

function draw() {
  if (!shown || shown.at !== place) return;
  const { at, all, data } = shown;
  const once = () => morph(view, [at.module.render(data, { all, id: at.id, state: at.state, set })].flat(9).filter(Boolean));
  once();
  if (measure()) once();
}

// ---- polling

async function poll() {
  clearTimeout(timer);
  const mine = ++turn, at = place;
  try {
    const [all, data] = await Promise.all([ask('overview'), load(at)]);
    if (mine !== turn) return;
    lostSince = 0;
    say('', 'live', 'good');
    frame(all);
    view.classList.remove('stale');
    shown = { at, all, data };
    draw();
    document.documentElement.dataset.shown = at.name;
  } catch (error) {
    if (mine !== turn) return;
    lost(error);
    if (!(error instanceof Answer) && !(error instanceof TypeError) && error.name !== 'TimeoutError' && error.name !== 'AbortError') throw error;
  } finally {
    if (mine === turn && !document.hidden) timer = setTimeout(poll, POLL_MS);
  }
}

// What the view itself is refused (a topic that is gone) is its own page, not the frame's trouble.
async function load(at) {
  try {
    return await at.module.load(at.id, at.state);
  } catch (error) {
    if (error instanceof Answer && error.status !== 503) return { refused: error };
    throw error;
  }
}

// ---- colours, keys, life

const THEMES = ['auto', 'light', 'dark'];
const button = document.getElementById('theme');

function paint(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = theme;
  button.textContent = theme[0].toUpperCase() + theme.slice(1);
  button.dataset.now = theme;
}

button.addEventListener('click', () => {
  const next = THEMES[(THEMES.indexOf(button.dataset.now) + 1) % THEMES.length];
  localStorage.setItem('theme', next);
  paint(next);
});
paint(THEMES.includes(localStorage.getItem('theme')) ? localStorage.getItem('theme') : 'auto');

addEventListener('keydown', (event) => {
  const field = document.getElementById('filter');
  if (event.key === '/' && field && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    field.focus();
  }
});
addEventListener('hashchange', () => { if (location.hash !== '#main') go(); });
document.addEventListener('visibilitychange', () => { if (!document.hidden) poll(); });
addEventListener('online', () => poll());
onRedraw(draw);
new ResizeObserver(draw).observe(view);
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  document.getElementById('main').focus();
});
go();
