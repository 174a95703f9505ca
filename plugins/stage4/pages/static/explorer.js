// The explorer: a level's map or timeline, a search, and a cluster beside it. The address tells which.

import { get, post } from "./api.js";
import { clusterButton, clusterPage, trendOf } from "./cluster.js";
import { byId, h, show, text, visible } from "./dom.js";
import { count, time } from "./format.js";
import { legend } from "./legend.js";
import { makeMap } from "./map.js";
import { timeline } from "./timeline.js";

const LISTED = 12;
const state = { level: "events", view: "map", cluster: null, q: null, tag: null, load_id: null, job: null };
const levels = [...document.querySelectorAll("[data-level]")];

const map = makeMap(byId("canvas"), {
  load: async (bbox, signal) => {
    try {
      const view = await get(`map/${state.level}`, { bbox, load_id: state.load_id }, { signal });
      show(null);
      return view;
    } catch (error) {
      if (error.name !== "AbortError") nothing(error);
      return null;
    }
  },
  open: (id) => go({ cluster: id }),
  hover: showHover,
  seen: showSeen,
});

// What another level or run has left would pass for this one's.
function nothing(error) {
  byId("points").textContent = "";
  for (const name of ["legend", "list", "timeline", "trends"]) byId(name).replaceChildren();
  show(error);
}

function go(change) {
  Object.assign(state, change);
  history.pushState(null, "", address());
  render(change);
}

function address() {
  const told = Object.entries(state).filter(([, value]) => value !== null && value !== "");
  return `?${new URLSearchParams(told)}`;
}

function read() {
  const asked = new URLSearchParams(location.search);
  for (const name of Object.keys(state)) state[name] = asked.get(name);
  state.load_id ??= asked.get("run"); // its name in addresses that were kept
  if (!levels.some((one) => one.dataset.level === state.level)) state.level = "events";
  if (!["timeline", "trends"].includes(state.view)) state.view = "map";
}

function render(change) {
  for (const one of levels) one.setAttribute("aria-pressed", one.dataset.level === state.level);
  for (const one of document.querySelectorAll("[data-view]")) {
    one.setAttribute("aria-pressed", one.dataset.view === state.view);
  }
  byId("map").hidden = state.view !== "map";
  byId("timeline").hidden = state.view !== "timeline";
  byId("trends").hidden = state.view !== "trends";
  byId("list").parentElement.hidden = state.view === "trends";
  byId("text").value = state.q ?? "";
  const whole = !change || "level" in change || "load_id" in change || "view" in change;
  if (whole && state.view === "map") map.start();
  if (whole && state.view === "timeline") attempt(showTimeline);
  if (whole && state.view === "trends") attempt(showTrends);
  if (!change || "level" in change || "load_id" in change) attempt(showWhich);
  attempt(showPanel);
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    show(error);
  }
}

async function showWhich() {
  const run = state.load_id ? await get(`runs/${state.level}/${state.load_id}`)
    : (await get("statistics")).levels.find((one) => one.level === state.level)?.current;
  byId("which").textContent = run
    ? `${count(run.clusters)} clusters of ${count(run.read)} items, ${time(run.as_of)}` +
      (run.state === "current" ? "" : ` (load ${run.load_id}, not the current one)`)
    : "";
}

function showSeen(view, colour, inside) {
  const [clusters, members] = [view.clusters.x.length, view.members.x.length];
  byId("points").textContent = `${count(clusters)} clusters (circles) and ${count(members)} of their members` +
    ` (dots): ${count(clusters + members)} points` + (view.complete ? "" : ", zoom in for more");
  byId("legend").replaceChildren(...legend(colour, "clusters, with their members,"));
  const { cluster_id: id, label, size, hidden } = view.clusters;
  const listed = inside.filter((i) => !hidden[i]).slice(0, LISTED);
  byId("list").replaceChildren(...listed.map((i) => h("li", {},
    clusterButton({ cluster_id: id[i], label: label[i], size: size[i] }, (one) => go({ cluster: one })))));
  byId("list-title").textContent = "Largest in view";
}

function showHover(found, x, y) {
  const place = byId("hover");
  place.hidden = !found;
  if (!found) return;
  place.textContent = `${visible(found.label ?? found.id)}${found.size === null ? "" : ` (${count(found.size)})`}`;
  place.style.left = `${Math.min(x + 12, byId("canvas").clientWidth - 220)}px`;
  place.style.top = `${y + 14}px`;
}

async function showTimeline() {
  const { level, load_id } = state;
  let clusters;
  try {
    ({ clusters } = await get("clusters", { level, load_id, order: "size", limit: 200 }));
  } catch (error) {
    return nothing(error);
  }
  if (level !== state.level || load_id !== state.load_id) return; // an answer that came late
  byId("timeline").replaceChildren(timeline(clusters, (id) => go({ cluster: id })));
  byId("list").replaceChildren(...clusters.slice(0, LISTED).map((one) =>
    h("li", {}, clusterButton(one, (id) => go({ cluster: id })))));
  byId("list-title").textContent = "Largest clusters";
  show(null);
}

async function showTrends() {
  const { level, load_id } = state;
  const of = async (trend, order) =>
    (await get("clusters", { level, load_id, trend, order, limit: LISTED })).clusters;
  let growing, fading;
  try {
    [growing, fading] = await Promise.all([of("growing", "growth"), of("fading", "size")]);
  } catch (error) {
    return nothing(error);
  }
  if (level !== state.level || load_id !== state.load_id) return; // an answer that came late
  byId("trends").replaceChildren(
    trendList("Growing", "No cluster grows faster than chance.", growing),
    trendList("Fading or ended, the largest first", "No cluster fades faster than chance, and none has ended.", fading));
  show(null);
}

function trendList(title, none, clusters) {
  return h("section", {}, h("h2", {}, title), clusters.length
    ? h("ol", { class: "clusters" }, clusters.map((one) => h("li", {},
      clusterButton(one, (id) => go({ cluster: id })),
      h("span", { class: "quiet" }, ` ${trendOf(one)}`))))
    : h("p", { class: "quiet" }, none));
}

let latest = 0;

async function showPanel() {
  const mine = ++latest;
  const panel = byId("panel");
  panel.hidden = !state.cluster && !state.q && !state.tag;
  map.select(state.cluster);
  const place = state.cluster && map.placeOf(state.cluster);
  if (place) map.show(...place);
  if (panel.hidden) return panel.replaceChildren();
  panel.replaceChildren(h("p", { class: "quiet" }, "Loading"));
  try {
    const content = state.cluster ? await clusterContent() : await results();
    if (mine === latest) {
      panel.replaceChildren(content);
      panel.scrollTop = 0;
      panel.focus({ preventScroll: true });
      if (window.innerWidth <= 800) panel.scrollIntoView({ block: "start" });
    }
  } catch (error) {
    if (mine === latest) {
      panel.replaceChildren(h("div", { class: "head" }, h("p", { class: "error" }, error.message),
        closeButton(() => go({ cluster: null, q: null, tag: null }))));
    }
  }
}

function clusterContent() {
  return clusterPage(state.cluster, state.load_id, {
    open: (id) => go({ cluster: id }),
    moved: (id) => {
      state.cluster = id;
      history.replaceState(null, "", address());
      map.select(id);
    },
    search: (q) => go({ q, tag: null, cluster: null }),
    tagged: (tag) => go({ tag, q: null, cluster: null }),
    corrected: () => (state.view === "map" ? map.again() : attempt(state.view === "trends" ? showTrends : showTimeline)),
    close: () => go({ cluster: null }),
  });
}

async function results() {
  return state.tag ? tagged() : found();
}

async function tagged() {
  const { level, tag, load_id } = state;
  const { clusters } = await get("clusters", { level, tag, load_id, order: "size", limit: 50 });
  return listOf("Tagged ", tag, clusters, () => go({ tag: null }), "No cluster has this tag.");
}

async function found() {
  const asked = { level: state.level, text: state.q, limit: 50 };
  if (state.load_id) asked.load_id = Number(state.load_id);
  const { clusters } = await post("clusters/search", asked);
  return listOf("Found for ", state.q, clusters, () => go({ q: null }),
    "No cluster has these words in its label, key phrases, keywords or entities.");
}

function listOf(title, words, clusters, close, nothing) {
  return h("article", {},
    h("div", { class: "head" }, h("h2", {}, title, text(words)), closeButton(close)),
    clusters.length ? h("ol", { class: "clusters" }, clusters.map((one) =>
      h("li", {}, clusterButton(one, (id) => go({ cluster: id }))))) : h("p", {}, nothing));
}

const closeButton = (act) => h("button",
  { type: "button", class: "close", "aria-label": "Close", onclick: act }, "×");

async function findJob() {
  // from a run's page in Airflow
  const { runs } = await get("runs", { level: state.level, limit: 200 });
  const found = runs.find((run) => run.job_id === state.job);
  state.job = null;
  if (found) state.load_id = found.state === "current" ? null : found.load_id;
  else show(new Error("This run is not in the database, or not yet: these are the published clusters."));
}

for (const one of levels) {
  one.addEventListener("click", () => go({ level: one.dataset.level, cluster: null, load_id: null }));
}
for (const one of document.querySelectorAll("[data-view]")) {
  one.addEventListener("click", () => go({ view: one.dataset.view }));
}
document.querySelector("[data-zoom=in]").addEventListener("click", map.zoomIn);
document.querySelector("[data-zoom=out]").addEventListener("click", map.zoomOut);
document.querySelector("[data-zoom=all]").addEventListener("click", map.all);
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  go({ q: byId("text").value.trim() || null, tag: null, cluster: null });
});
window.addEventListener("popstate", () => {
  read();
  render();
});

read();
if (state.job) await attempt(findJob);
render();
