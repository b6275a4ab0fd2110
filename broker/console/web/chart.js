// Lines over time, in SVG: one or two series with one scale, which begins at 0.
import { clock, h, s } from './ui.js';

let width = 460; // of the drawings on the page, in pixels
let hover = null; // {title, at}: a moment that is pointed at
let redraw = () => {};

export const onRedraw = (f) => { redraw = f; };

// True: the drawings have another width than they were made for.
export function measure() {
  const now = document.querySelector('.chart svg')?.clientWidth;
  if (!now || Math.abs(now - width) < 2) return false;
  width = now;
  return true;
}

const HEIGHT = 150, LEFT = 58, BOTTOM = 18, TOP = 8, TICKS = 4, GAP_MS = 15000;
const SPANS_MS = [120000, 300000, 600000]; // the least that shows all that there is

// A round number at or above v, in steps that divide well.
function ceiling(v, base) {
  if (v <= 0) return 1;
  let unit = 1;
  while (unit * base <= v) unit *= base;
  while (unit > v) unit /= base;
  for (const step of [1, 2, 4, 5, 8, 10, 20, 25, 50, 100, 128, 200, 256, 500, 512, 1000]) {
    if (step <= base && unit * step >= v) return unit * step;
  }
  return unit * base;
}

function paths(points, x, y) {
  const runs = [];
  for (const [at, v] of points) {
    const last = runs[runs.length - 1];
    if (!last || at - last.at > GAP_MS) runs.push({ at, d: 'M' + x(at) + ' ' + y(v), from: x(at), to: x(at) });
    else { last.d += 'L' + x(at) + ' ' + y(v); last.at = at; last.to = x(at); }
  }
  return runs;
}

function nearest(points, at) {
  let best = null;
  points.forEach(([t], i) => { if (best === null || Math.abs(t - at) < Math.abs(points[best][0] - at)) best = i; });
  return best;
}

// series: [{name, points: [[ms, value]]}]. base: 1024 for bytes.
export function chart({ title, text, series, format, base = 1000, now = Date.now() }) {
  const most = Math.max(0, ...series.flatMap((one) => one.points.map(([, v]) => v)));
  const top = ceiling(most, base), began = series[0].points[0]?.[0] ?? now;
  const span = SPANS_MS.find((ms) => began >= now - ms) ?? SPANS_MS.at(-1), from = now - span;
  const x = (at) => Math.round((LEFT + (at - from) / span * (width - LEFT)) * 10) / 10;
  const y = (v) => Math.round((TOP + (1 - v / top) * (HEIGHT - TOP - BOTTOM)) * 10) / 10;
  const near = hover?.title === title ? nearest(series[0].points, hover.at) : null;
  const latest = series.map((one) => (near === null ? one.points.at(-1) : one.points[near])?.[1]);
  const shapes = [];
  for (let i = 0; i <= TICKS; i++) {
    const v = top * i / TICKS;
    shapes.push(s('line', { class: 'grid', x1: LEFT, x2: width, y1: y(v), y2: y(v) }), s('text', { x: LEFT - 8, y: y(v) + 4, 'text-anchor': 'end' }, format(v).replace('/s', '')));
  }
  for (let i = 0; i <= 2; i++) {
    const at = from + span * i / 2;
    shapes.push(s('text', { x: x(at), y: HEIGHT - 3, 'text-anchor': ['start', 'middle', 'end'][i] }, clock(at)));
  }
  series.forEach((one, i) => {
    for (const run of paths(one.points.filter(([at]) => at >= from), x, y)) {
      shapes.push(s('path', { class: 'area s' + i, d: run.d + 'L' + run.to + ' ' + y(0) + 'L' + run.from + ' ' + y(0) + 'Z' }), s('path', { class: 'line s' + i, d: run.d }));
    }
  });
  if (near !== null) {
    const at = series[0].points[near][0];
    shapes.push(s('line', { class: 'cursor', x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }));
  }
  const point = function (event) {
    const box = this.getBoundingClientRect();
    hover = { title, at: from + (event.clientX - box.left - LEFT) / (width - LEFT) * span };
    redraw();
  };
  const said = title + ': ' + series.map((one, i) => (one.name ? one.name + ' ' : '') + (latest[i] === undefined ? 'not known yet' : format(latest[i]))).join(', ');
  return h('div', { class: 'card chart', 'data-key': title },
    h('h3', {}, title, h('b', {}, near === null ? null : h('small', { class: 'muted' }, clock(series[0].points[near][0]) + '  '), latest[0] === undefined ? '–' : format(latest[0]))),
    h('p', {}, series.length > 1 ? series.map((one, i) => h('span', { class: 'key k' + i }, h('i'), one.name + (latest[i] === undefined ? '' : ' ' + format(latest[i])))) : text),
    s('svg', { viewBox: '0 0 ' + width + ' ' + HEIGHT, role: 'img', 'aria-label': said, onpointermove: point, onpointerleave() { hover = null; redraw(); } }, shapes));
}

export function spark(values, bad) {
  if (values.length < 2) return null;
  const most = Math.max(1, ...values);
  const d = values.map((v, i) => (i ? 'L' : 'M') + (i / (values.length - 1) * 84).toFixed(1) + ' ' + (18 - v / most * 16).toFixed(1)).join('');
  return s('svg', { class: 'spark ' + (bad ? 'bad' : ''), viewBox: '0 0 84 20', 'aria-hidden': 'true' }, s('path', { d }));
}
