// Elements, how figures are written, and what the views are made of. A view is a function from figures to elements; morph() brings what is on the
// page to what the view made, and leaves alone what is the same, so that focus, selection and open details stay. Text only ever becomes text nodes.

const SVG = 'http://www.w3.org/2000/svg';

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) {
      (node.handlers ||= {})[name.slice(2)] = value;
      node.addEventListener(name.slice(2), dispatch);
    } else if (value === true) {
      node.setAttribute(name, '');
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value);
    }
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(node, child);
    else if (child instanceof Node) node.append(child);
    else if (child !== null && child !== undefined && child !== false) node.append(document.createTextNode(String(child)));
  }
}

// The handler of a node may be another one after a morph.
function dispatch(event) {
  this.handlers?.[event.type]?.call(this, event);
}

export const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

// ---- morph

const keyOf = (node) => (node.nodeType === 1 ? node.getAttribute('data-key') : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

// What the user has set is not reset: the text of a field, what is open.
const KEPT = { INPUT: ['value', 'checked'], DETAILS: ['open'], SELECT: [] };

function morphOne(from, to) {
  if (from.nodeType !== 1) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  const kept = KEPT[from.nodeName] || [];
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !kept.includes(name)) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value && !kept.includes(name)) from.setAttribute(name, value);
  }
  for (const type of Object.keys(to.handlers || {})) {
    if (!from.handlers?.[type]) from.addEventListener(type, dispatch);
  }
  from.handlers = to.handlers;
  if (from.nodeName === 'SELECT' && document.activeElement === from) return;
  morph(from, [...to.childNodes]);
}

export function morph(parent, wanted) {
  let at = parent.firstChild;
  for (const node of wanted) {
    let found = at;
    const key = keyOf(node);
    if (key !== null) while (found && !alike(found, node)) found = found.nextSibling;
    if (found && alike(found, node)) {
      while (at !== found) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      morphOne(found, node);
      at = found.nextSibling;
    } else {
      parent.insertBefore(node, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

// ---- figures

const plain = new Intl.NumberFormat('en');
const UNKNOWN = '–';

export const number = (v) => (v === null || v === undefined ? UNKNOWN : plain.format(v));

export function short(v) {
  if (v === null || v === undefined) return UNKNOWN;
  const units = ['', ' k', ' M', ' G', ' T'];
  let i = 0;
  while (v >= 10000 && i < units.length - 1) { v /= 1000; i++; }
  if (i === 0 && v < 10000) return plain.format(v < 10 ? Math.round(v * 10) / 10 : Math.round(v));
  return (v < 100 ? v.toFixed(1) : Math.round(v)) + units[i];
}

export function bytes(v) {
  if (v === null || v === undefined) return UNKNOWN;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let i = 0;
  while (v >= 1024 && i < units.length - 1) { v /= 1024; i++; }
  return (i === 0 ? Math.round(v) : v < 10 ? v.toFixed(2) : v < 100 ? v.toFixed(1) : Math.round(v)) + ' ' + units[i];
}

export const rate = (v) => (v === null || v === undefined ? UNKNOWN : short(v) + '/s');
export const byteRate = (v) => (v === null || v === undefined ? UNKNOWN : bytes(v) + '/s');

export function span(ms) {
  if (ms === null || ms === undefined) return UNKNOWN;
  const sec = Math.max(0, Math.round(ms / 1000));
  if (sec < 90) return sec + ' s';
  if (sec < 5400) return Math.round(sec / 60) + ' min';
  return sec < 172800 ? Math.round(sec / 3600) + ' h' : Math.round(sec / 86400) + ' days';
}

const two = (n) => String(n).padStart(2, '0');
export const clock = (ms) => { const d = new Date(ms); return two(d.getHours()) + ':' + two(d.getMinutes()) + ':' + two(d.getSeconds()); };
export function stamp(ms) {
  if (ms < 0) return UNKNOWN;
  const d = new Date(ms);
  return d.getFullYear() + '-' + two(d.getMonth() + 1) + '-' + two(d.getDate()) + ' ' + clock(ms) + '.' + String(d.getMilliseconds()).padStart(3, '0');
}

export const many = (n, one, more) => number(n) + ' ' + (n === 1 ? one : more || one + 's');

// ---- what views are made of

export const tile = (label, value, { unit, tone, href, under } = {}) =>
  h(href ? 'a' : 'div', { class: 'card tile ' + (tone || ''), href }, h('span', {}, label), h('b', {}, value, unit && [' ', h('small', {}, unit)]), under && h('span', {}, under));

export const pill = (text, tone) => h('span', { class: 'pill ' + (tone || '') }, text);

// columns: [label, class]; rows: [key, cells]. A cell is what h() takes.
export function table(columns, rows, empty) {
  if (rows.length === 0) return h('div', { class: 'card empty' }, empty);
  return h('div', { class: 'card scroll' }, h('table', { class: 'fold' },
    h('thead', {}, h('tr', {}, columns.map(([label, kind]) => h('th', { scope: 'col', class: kind === 'num' ? 'num' : null }, label)))),
    h('tbody', {}, rows.map(([key, cells]) => h('tr', { 'data-key': key },
      cells.map((cell, i) => h('td', { class: columns[i][1], 'data-label': columns[i][0] }, cell)))))));
}

export function pager(data, go) {
  const pages = Math.max(1, Math.ceil(data.total / data.per));
  if (pages === 1) return null;
  return h('div', { class: 'pager' },
    h('button', { type: 'button', disabled: data.page === 0, onclick: () => go(data.page - 1) }, 'Previous'),
    'Page ' + (data.page + 1) + ' of ' + number(pages) + ', ' + number(data.total) + ' in all',
    h('button', { type: 'button', disabled: data.page >= pages - 1, onclick: () => go(data.page + 1) }, 'Next'));
}

export function bar(share, tone) {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return s('svg', { class: 'bar ' + (tone || ''), viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    s('rect', { class: 'back', width: 100, height: 6 }), s('rect', { class: 'part', width, height: 6 }));
}

export const search = (label, value, change) => h('label', {}, label,
  h('input', { type: 'search', value, id: 'filter', autocomplete: 'off', spellcheck: 'false', placeholder: 'press / to type here', oninput() { change(this.value); } }));

export const topicLink = (name, text) => h('a', { href: '#/topic/' + encodeURIComponent(name) }, text || name);
export const groupLink = (id) => h('a', { href: '#/group/' + encodeURIComponent(id) }, id || '(empty name)');
