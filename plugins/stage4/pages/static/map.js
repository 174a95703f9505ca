// The map: a canvas on which a view of up to 5,000 points is drawn, moved and zoomed.

import { colours } from "./colours.js";
import { visible } from "./dom.js";
import { LINE, placeLabels } from "./labels.js";

// `span` is how much of the map the canvas's shorter side shows, so that a canvas of another shape
// shows at least as much.
const WHOLE = { x: 0, y: 0, span: 2.2 };
const DEEPEST = 0.0005;
const WAIT_MS = 120;

// `load(bbox, signal)` gives a view; `open(clusterId)`, `hover(label)`, `seen(view)` tell the page.
export function makeMap(canvas, { load, open, hover, seen }) {
  const context = canvas.getContext("2d");
  let view = { ...WHOLE };
  let data = null;
  let selected = null;
  let request = null;
  let timer = 0;
  let frame = 0;
  let colour = colours([]);

  const ratio = () => window.devicePixelRatio || 1;
  const pixels = () => Math.min(canvas.clientWidth, canvas.clientHeight) / view.span;
  const toX = (x) => (x - view.x) * pixels() + canvas.clientWidth / 2;
  const toY = (y) => (view.y - y) * pixels() + canvas.clientHeight / 2;
  const fromX = (px) => view.x + (px - canvas.clientWidth / 2) / pixels();
  const fromY = (py) => view.y - (py - canvas.clientHeight / 2) / pixels();
  const largest = () => Math.min(15, Math.min(canvas.clientWidth, canvas.clientHeight) / 40);
  const radius = (size) =>
    Math.max(2.5, largest() * Math.sqrt(size / data.largest)) * Math.min(2, Math.sqrt(WHOLE.span / view.span));

  function fit() {
    canvas.width = Math.round(canvas.clientWidth * ratio());
    canvas.height = Math.round(canvas.clientHeight * ratio());
    if (data) move(view);
    redraw();
  }

  function move(next, at = WAIT_MS) {
    view = { x: clamp(next.x, 1.2), y: clamp(next.y, 1.2), span: within(next.span) };
    redraw();
    clearTimeout(timer);
    timer = setTimeout(fetchView, at);
  }

  function zoom(factor, px = canvas.clientWidth / 2, py = canvas.clientHeight / 2) {
    const [x, y] = [fromX(px), fromY(py)];
    const span = within(view.span * factor);
    const change = span / view.span;
    move({ x: x + (view.x - x) * change, y: y + (view.y - y) * change, span });
  }

  async function fetchView() {
    request?.abort();
    if (!canvas.clientWidth) return; // the timeline is shown
    request = new AbortController();
    const half = [canvas.clientWidth, canvas.clientHeight].map((side) => (0.55 * side) / pixels());
    const edges = [view.x - half[0], view.y - half[1], view.x + half[0], view.y + half[1]];
    const bbox = edges.map((edge) => edge.toFixed(6)).join();
    const found = await load(bbox, request.signal);
    if (!found) return;
    const largest = Math.max(data?.largest ?? 0, ...found.clusters.size.slice(0, 1), 1);
    data = { ...found, largest };
    data.place = new Map(data.clusters.cluster_id.map((id, index) => [id, index]));
    const ofMembers = data.members.cluster_id.map((id) => data.clusters.group[data.place.get(id)] ?? null);
    colour = colours([...data.clusters.group, ...ofMembers], colour.grouped);
    redraw();
    seen(data, colour, clustersInView());
  }

  function clustersInView() {
    const { x, y } = data.clusters;
    const inside = [];
    for (let i = 0; i < x.length; i++) {
      const [px, py] = [toX(x[i]), toY(y[i])];
      if (px >= 0 && py >= 0 && px <= canvas.clientWidth && py <= canvas.clientHeight) inside.push(i);
    }
    return inside;
  }

  function redraw() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(draw);
  }

  function draw() {
    context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    if (!data) return;
    drawMembers();
    drawClusters();
    drawLabels();
  }

  function drawMembers() {
    const { x, y, cluster_id: of } = data.members;
    context.globalAlpha = 0.75;
    for (let i = 0; i < x.length; i++) {
      const place = data.place.get(of[i]);
      context.fillStyle = colour.of(place === undefined ? null : data.clusters.group[place], of[i]);
      context.fillRect(toX(x[i]) - 1.5, toY(y[i]) - 1.5, 3, 3);
    }
    context.globalAlpha = 1;
  }

  function drawClusters() {
    const { x, y, size, group, cluster_id: id } = data.clusters;
    for (let i = x.length - 1; i >= 0; i--) {
      context.beginPath();
      context.arc(toX(x[i]), toY(y[i]), radius(size[i]), 0, 2 * Math.PI);
      context.fillStyle = context.strokeStyle = colour.of(group[i], id[i]);
      context.globalAlpha = 0.28;
      context.fill();
      context.globalAlpha = 1;
      context.lineWidth = 1;
      context.stroke();
      if (id[i] === selected) ring(toX(x[i]), toY(y[i]), radius(size[i]) + 4);
    }
  }

  function ring(px, py, r) {
    context.beginPath();
    context.arc(px, py, r, 0, 2 * Math.PI);
    context.lineWidth = 3;
    context.strokeStyle = style("--text");
    context.stroke();
  }

  function drawLabels() {
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    context.lineJoin = "round";
    context.strokeStyle = style("--ground");
    context.lineWidth = 3;
    context.fillStyle = style("--text");
    const { x, y, size, label } = data.clusters;
    const circles = clustersInView().map((i) => ({
      x: toX(x[i]), y: toY(y[i]), radius: radius(size[i]), label: label[i] && visible(label[i]),
    }));
    const measure = (line) => context.measureText(line).width;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    for (const one of placeLabels(circles, [zoomButtons()], width, height, measure)) {
      one.lines.forEach((line, place) => {
        context.strokeText(line, one.x, one.y + place * LINE);
        context.fillText(line, one.x, one.y + place * LINE);
      });
    }
  }

  function zoomButtons() {
    const { offsetLeft: left, offsetTop: top, offsetWidth: wide, offsetHeight: tall } =
      canvas.parentElement.querySelector(".zoom");
    return [left, top, left + wide, top + tall];
  }

  function nearest(px, py, most) {
    let best = null;
    let least = most;
    if (!data) return null;
    const { x, y, size, cluster_id: id } = data.clusters;
    for (let i = 0; i < x.length; i++) {
      const away = Math.hypot(toX(x[i]) - px, toY(y[i]) - py) - radius(size[i]);
      if (away < least) [best, least] = [{ id: id[i], place: i }, away];
    }
    const of = data.members;
    for (let i = 0; i < of.x.length; i++) {
      const away = Math.hypot(toX(of.x[i]) - px, toY(of.y[i]) - py);
      if (away < Math.min(least, 5)) [best, least] = [{ id: of.cluster_id[i], place: data.place.get(of.cluster_id[i]) }, away];
    }
    return best;
  }

  const fingers = new Map();
  let moved = 0;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return pointAt(event);
    const now = [event.offsetX, event.offsetY];
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    fingers.set(event.pointerId, now);
    if (others.length) {
      const middle = [(now[0] + others[0][0]) / 2, (now[1] + others[0][1]) / 2];
      zoom(apart(before, others[0]) / Math.max(apart(now, others[0]), 1), ...middle);
    } else if (moved > 3) {
      move({ ...view, x: view.x - (now[0] - before[0]) / pixels(), y: view.y + (now[1] - before[1]) / pixels() });
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (name === "pointerup" && moved <= 3) {
        const found = nearest(event.offsetX, event.offsetY, 12);
        if (found) open(found.id);
      }
    });
  }
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 120) / 400),
      event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = view.span / 8;
    const acts = {
      ArrowLeft: () => move({ ...view, x: view.x - step }),
      ArrowRight: () => move({ ...view, x: view.x + step }),
      ArrowUp: () => move({ ...view, y: view.y + step }),
      ArrowDown: () => move({ ...view, y: view.y - step }),
      "+": () => zoom(0.7),
      "=": () => zoom(0.7),
      "-": () => zoom(1 / 0.7),
      0: () => move(WHOLE),
      Enter: () => {
        const found = nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity);
        if (found) open(found.id);
      },
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    acts[event.key]();
  });

  function pointAt(event) {
    const found = nearest(event.offsetX, event.offsetY, 8);
    canvas.classList.toggle("over", Boolean(found));
    const place = found?.place;
    const label = place === undefined ? null : data.clusters.label[place];
    hover(found && { label, size: place === undefined ? null : data.clusters.size[place], id: found.id },
      event.offsetX, event.offsetY);
  }

  new ResizeObserver(fit).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  return {
    all: () => move(WHOLE),
    again: () => move(view, 0),
    zoomIn: () => zoom(0.7),
    zoomOut: () => zoom(1 / 0.7),
    start() {
      data = null;
      colour = colours([]);
      view = { ...WHOLE };
      move(view, 0);
    },
    select(id) {
      selected = id;
      redraw();
    },
    show(x, y) {
      if (toX(x) < 20 || toY(y) < 20 || toX(x) > canvas.clientWidth - 20 || toY(y) > canvas.clientHeight - 20) {
        move({ ...view, x, y });
      }
    },
    placeOf: (id) => {
      const index = data?.place.get(id);
      return index === undefined ? null : [data.clusters.x[index], data.clusters.y[index]];
    },
  };
}

const within = (span) => Math.min(Math.max(span, DEEPEST), 2 * WHOLE.span);
const clamp = (value, most) => Math.min(Math.max(value, -most), most);
const apart = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
