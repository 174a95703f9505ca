// The largest clusters over time: a bar from a cluster's first day to its last.

import { colours } from "./colours.js";
import { h, svg, visible } from "./dom.js";
import { between, count, date } from "./format.js";
import { legend } from "./legend.js";

const WIDTH = 1000;
const ROW = 18;
const TOP = 22;
const LEAST = 5;
const LETTER = 6; // about the width of one
const SHORTEST = 6; // letters of a name that tell anything

export function timeline(clusters, open) {
  const dated = clusters.filter((one) => one.start_time);
  if (!dated.length) return h("p", { class: "quiet" }, "No cluster has a date.");
  const colour = colours(dated.map((one) => one.domain ?? one.entity_type));
  const spans = dated.map((one) => [Date.parse(one.start_time), Date.parse(one.end_time ?? one.start_time)]);
  const [low, high] = [Math.min(...spans.map(([from]) => from)), Math.max(...spans.map(([, to]) => to))];
  const x = (moment) => (high === low ? WIDTH / 2 : ((moment - low) / (high - low)) * (WIDTH - 20) + 10);
  const lanes = [];
  const drawn = dated.map((one, index) => {
    const [from, to] = spans[index].map(x);
    const left = Math.min(from, WIDTH - LEAST - 10);
    const width = Math.max(to - left, LEAST);
    const lane = freeLane(lanes, left, left + width + 4);
    const act = () => open(one.cluster_id);
    const bar = svg("rect", {
      class: "span", x: left, y: TOP + lane * ROW, width, height: ROW - 5, rx: 3, tabindex: 0,
      role: "button", fill: colour.of(one.domain ?? one.entity_type, one.cluster_id),
      "aria-label": told(one), onclick: act,
      onkeydown: (event) => { if (event.key === "Enter") act(); },
    }, svg("title", {}, told(one)));
    const letters = Math.floor((width - 6) / LETTER);
    return [bar, letters < SHORTEST ? null : svg("text",
      { class: "span-name", x: left + 4, y: TOP + lane * ROW + 10, "aria-hidden": "true" },
      cut(visible(one.label), letters))];
  });
  const ticks = [low, (low + high) / 2, high].map((moment, place) =>
    svg("text", { class: `tick ${["", "middle", "end"][place]}`, x: x(moment), y: 13 },
      date(new Date(moment).toISOString())));
  const height = TOP + lanes.length * ROW + 4;
  return h("div", {},
    h("div", { class: "scroll" }, svg("svg",
      { viewBox: `0 0 ${WIDTH} ${height}`, class: "timeline", role: "group", "aria-label": "Timeline" },
      low === high ? ticks[1] : ticks, drawn.flat())),
    h("p", { class: "legend quiet" }, legend(colour, "clusters")),
    h("p", { class: "quiet" }, `The ${count(dated.length)} largest clusters with a date` +
      (clusters.length > dated.length ? `; ${count(clusters.length - dated.length)} have none.` : ".")));
}

const cut = (name, letters) => (name.length > letters ? `${name.slice(0, letters - 1)}…` : name);
const told = (one) =>
  `${one.label} (${count(one.size)}; ${between(one.start_time, one.end_time)})`;

function freeLane(lanes, from, to) {
  // bars that cover each other's days lie below one another
  for (let lane = 0; lane < lanes.length; lane++) {
    if (lanes[lane].every(([left, right]) => to <= left || from >= right)) {
      lanes[lane].push([from, to]);
      return lane;
    }
  }
  lanes.push([[from, to]]);
  return lanes.length - 1;
}
