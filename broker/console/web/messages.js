// Messages of a partition, if the node shows them. They are bytes: what they mean is chosen here.
import { Answer, ask } from './api.js';
import { bytes, h, number, stamp } from './ui.js';

export const title = () => 'Messages';

const FORMS = { auto: 'As they look', text: 'Text', json: 'JSON', hex: 'Hex' };
const LIMIT = 50;
const DEPTH_MAX = 100;

export async function load(id, state) {
  if (!(await ask('overview')).messages) return {};
  const names = (await ask('topics', { per: 500, internal: 0 })).topics.map((one) => one.name);
  if (!state.topic) return { names };
  try {
    const page = await ask('messages', { topic: state.topic, partition: state.partition || 0, offset: state.offset || 'newest', limit: LIMIT });
    return { names, page };
  } catch (error) {
    if (error instanceof Answer && error.status !== 503) return { names, refused: error };
    throw error;
  }
}

// ---- bytes

const raw = (piece) => (piece.base64 === undefined ? null : Uint8Array.from(atob(piece.base64), (c) => c.charCodeAt(0)));

function asText(data) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data);
    return /[\u0000-\u0008\u000e-\u001f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

function asHex(data) {
  const lines = [];
  for (let at = 0; at < data.length; at += 16) {
    const part = [...data.slice(at, at + 16)];
    lines.push(at.toString(16).padStart(6, '0') + '  ' + part.map((b) => b.toString(16).padStart(2, '0')).join(' ').padEnd(47) + '  ' + part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '.')).join(''));
  }
  return lines.join('\n');
}

// JSON with a line for each value. What is written anew is the space alone: a number beyond 2^53 and a key that stands twice are shown as they are.
function laidOut(json) {
  const tokens = json.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g);
  const opens = (t) => t === '{' || t === '[', closes = (t) => t === '}' || t === ']';
  let out = '', depth = 0;
  for (const [i, t] of tokens.entries()) {
    const empty = opens(t) ? closes(tokens[i + 1]) : closes(t) && opens(tokens[i - 1]);
    depth += opens(t) - closes(t);
    if (depth > DEPTH_MAX) return null;
    const line = empty ? '' : '\n' + '  '.repeat(depth);
    out += opens(t) || t === ',' ? t + line : closes(t) ? line + t : t === ':' ? ': ' : t;
  }
  return out;
}

function asJson(data) {
  const text = asText(data);
  try {
    if (text === null) return null;
    JSON.parse(text); // is it any?
    return laidOut(text);
  } catch {
    return null;
  }
}

// [text, kind]
function show(piece, form) {
  const data = raw(piece);
  if (data === null) return ['null', 'null'];
  const looks = /^\s*[[{]/.test(asText(data.slice(0, 64)) ?? '');
  const json = form === 'json' || (form === 'auto' && looks) ? asJson(data) : null;
  if (json !== null) return [json, 'JSON'];
  const text = form === 'hex' ? null : asText(data) ?? (form === 'auto' ? null : new TextDecoder().decode(data));
  return text !== null ? [text, form === 'json' ? 'no JSON, text' : 'text'] : [asHex(data), 'hex'];
}

function brief(piece) {
  const data = raw(piece);
  if (data === null) return h('span', { class: 'muted' }, 'null');
  if (data.length === 0) return h('span', { class: 'muted' }, 'empty');
  const text = asText(data.slice(0, 400));
  return h('span', { class: 'mono' }, text ?? asHex(data.slice(0, 16)).slice(8, 55).trim() + ' …');
}

function whole(label, piece, form) {
  const [text, kind] = show(piece, form);
  const cut = piece.size !== null && piece.base64.length < Math.floor(piece.size / 3) * 4 ? ', only its beginning is shown' : '';
  return [h('h4', {}, label + (piece.size === null ? '' : ' · ' + bytes(piece.size) + ' · ' + kind + cut)), h('pre', { class: kind === 'hex' ? 'hex' : null }, text)];
}

function message(one, form) {
  return h('details', { class: 'message', 'data-key': String(one.offset) },
    h('summary', {}, h('span', {}, number(one.offset)), h('span', { class: 'muted' }, stamp(one.timestamp)), brief(one.key), brief(one.value)),
    h('div', { class: 'body' }, whole('Key', one.key, form), whole('Value', one.value, form),
      one.headers.map((header) => whole('Header ' + header.key, header.value, form)),
      one.headerCount > one.headers.length ? h('p', { class: 'muted' }, number(one.headerCount - one.headers.length) + ' more headers are not shown.') : null));
}

// ---- the page

function form(data, state, set) {
  const field = (label, input, half) => h('label', { class: half ? 'half' : null }, label, input);
  return h('form', { class: 'tools', onsubmit(event) {
    event.preventDefault();
    const values = new FormData(this);
    set({ topic: values.get('topic'), partition: values.get('partition'), offset: values.get('at') === 'offset' ? values.get('offset') || '0' : values.get('at') === 'newest' ? '' : 'earliest' }, true);
  } },
  field('Topic', h('input', { name: 'topic', list: 'names', id: 'filter', required: true, value: state.topic || '', autocomplete: 'off', spellcheck: 'false' })),
  h('datalist', { id: 'names' }, data.names.map((name) => h('option', { value: name }))),
  field('Partition', h('input', { name: 'partition', type: 'number', min: 0, value: state.partition || '0' }), true),
  field('Begin', h('select', { name: 'at' }, [['newest', 'Newest'], ['earliest', 'First'], ['offset', 'At offset']].map(([value, label]) =>
    h('option', { value, selected: value === (!state.offset ? 'newest' : state.offset === 'earliest' ? 'earliest' : 'offset') }, label))), true),
  field('Offset', h('input', { name: 'offset', type: 'number', min: 0, value: /^\d+$/.test(state.offset || '') ? state.offset : '' }), true),
  field('Show as', h('select', { onchange() { set({ form: this.value === 'auto' ? '' : this.value }); } }, Object.entries(FORMS).map(([value, label]) => h('option', { value, selected: value === (state.form || 'auto') }, label))), true),
  h('button', { type: 'submit' }, 'Show'));
}

function page(data, state, set) {
  const p = data.page, newest = !state.offset;
  const list = newest ? [...p.messages].reverse() : p.messages;
  return [
    h('p', { class: 'muted' }, 'Offsets ' + number(p.start) + ' to ' + number(p.end) + (newest ? ', newest first, as they come' : '') + '. ',
      p.broken ? h('span', { class: 'bad-text' }, p.broken) : null),
    h('div', { class: 'card' },
      list.length ? list.map((one) => message(one, state.form || 'auto')) : h('div', { class: 'empty' }, p.end > p.start ? 'There is no message from there on.' : 'The partition holds no message.'),
      h('div', { class: 'pager' },
        h('button', { type: 'button', disabled: p.from <= p.start, onclick: () => set({ offset: String(Math.max(p.start, p.from - LIMIT)) }, true) }, 'Older'),
        h('button', { type: 'button', disabled: p.next >= p.end, onclick: () => set({ offset: String(p.next) }, true) }, 'Newer'),
        h('button', { type: 'button', disabled: newest, onclick: () => set({ offset: '' }, true) }, 'Newest'))),
  ];
}

function closed() {
  return h('div', { class: 'card empty' },
    h('p', {}, 'This node shows no messages.'),
    h('p', {}, 'To switch it on, set ', h('code', { class: 'mono' }, 'console.messages.enable=true'), ' in the node’s configuration and start it again.'),
    h('p', {}, 'Everybody who reaches this page can then read every message of the cluster: there is no password.'));
}

export function render(data, { all, state, set }) {
  const head = h('h1', {}, 'Messages', state.topic && all.messages ? h('small', {}, state.topic + ', partition ' + (state.partition || 0)) : null);
  if (!all.messages) return [head, closed()];
  return [head, form(data, state, set),
    data.refused ? h('div', { class: 'card empty' }, data.refused.message)
      : data.page ? page(data, state, set)
        : h('div', { class: 'card empty' }, 'Choose a topic.')];
}
