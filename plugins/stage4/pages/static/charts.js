// Small charts as SVG: lines over runs, and bars. Plotly would bring 4.8 MB; these are 100 lines.

import { h, svg } from "./dom.js";
import { clock, date, time } from "./format.js";

const WIDTH = 480;
const HEIGHT = 170;
const LEFT = 60;
const BOTTOM = 18;
const TOP = 8;

// Lines of values over runs: series of {name, values}, one value a run, null where there is none;
// `moments` are the runs' own.
export function lines(title, series, moments, format, range = {}) {
  const all = series.flatMap((one) => one.values).filter((value) => value !== null);
  if (!all.length) return figure(title, [], h("p", { class: "quiet" }, "Not measured."));
  const low = range.low ?? Math.min(...all);
  const high = range.high ?? Math.max(...all);
  const ticks = low === high ? [low] : [low, (low + high) / 2, high];
  const y = (value) => scale(value, low, high, HEIGHT - BOTTOM, TOP);
  const x = (index) => scale(index, 0, Math.max(moments.length - 1, 1), LEFT, WIDTH - 8);
  const drawn = series.map((one, place) => [
    ...runsOf(one.values).map((run) =>
      svg("polyline", {
        class: `line s${place}`,
        points: run.map((index) => `${x(index)},${y(one.values[index])}`).join(" "),
      })),
    ...one.values.map((value, index) => value === null ? null :
      svg("circle", { class: `dot s${place}`, cx: x(index), cy: y(value), r: 3 },
        svg("title", {}, `${time(moments[index])}: ${one.name} ${format(value)}`))),
  ]);
  const latest = series.map((one) => `${one.name} ${format(one.values.at(-1))}`).join(", ");
  const [first, last] = endsOf(moments);
  return figure(title, series, svg("svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}; latest: ${latest}` },
    axis(ticks, y, format), drawn.flat(),
    svg("text", { class: "tick", x: LEFT, y: HEIGHT - 3 }, first),
    last ? svg("text", { class: "tick end", x: WIDTH - 8, y: HEIGHT - 3 }, last) : null));
}

// What stands at both ends of the axis: days, or times where both are of one day.
export function endsOf(moments) {
  const [first, last] = [moments[0], moments.at(-1)];
  if (date(first) !== date(last)) return [date(first), date(last)];
  return clock(first) === clock(last) ? [time(first), null] : [time(first), clock(last)];
}

// Bars of {label, value, title}.
export function bars(title, items, format) {
  if (!items.length) return figure(title, [], h("p", { class: "quiet" }, "No clusters."));
  const high = Math.max(...items.map((item) => item.value), 1);
  const y = (value) => scale(value, 0, high, HEIGHT - BOTTOM, TOP);
  const step = (WIDTH - LEFT - 8) / items.length;
  const shown = Math.ceil(items.length / 8); // every so many labels have room
  const drawn = items.flatMap((item, index) => [
    svg("rect", {
      class: "bar", x: LEFT + index * step + 1, y: y(item.value),
      width: Math.max(step - 2, 1), height: HEIGHT - BOTTOM - y(item.value),
    }, svg("title", {}, item.title)),
    index % shown ? null :
      svg("text", { class: "tick middle", x: LEFT + (index + 0.5) * step, y: HEIGHT - 3 }, item.label),
  ]);
  const told = items.map((item) => item.title).join("; ");
  return figure(title, [], svg("svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${told}` },
    axis([0, high], y, format), drawn));
}

function figure(title, series, content) {
  const key = series.length < 2 ? null : h("span", { class: "key" },
    series.map((one, place) => h("span", { class: `s${place}` }, one.name)));
  return h("figure", {}, h("figcaption", {}, title, key), content);
}

function axis(ticks, y, format) {
  return ticks.flatMap((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick end", x: LEFT - 5, y: y(value) + 3 }, format(value)),
  ]);
}

function scale(value, low, high, from, to) {
  return low === high ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from);
}

// Indices of values that follow each other without a gap.
function runsOf(values) {
  const runs = [[]];
  values.forEach((value, index) => {
    if (value === null) runs.push([]);
    else runs.at(-1).push(index);
  });
  return runs.filter((run) => run.length > 1);
}
