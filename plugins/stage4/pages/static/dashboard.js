// The dashboard: jobs as they run, alerts, and how each level's runs went.

import { airflowLink, get, patch, remove } from "./api.js";
import { bars, lines } from "./charts.js";
import { byId, h, show, text } from "./dom.js";
import { count, decimal, seconds, share, time, words } from "./format.js";

// The server knows the tasks of a level's DAG, and the steps that are timed.
const { tasks: TASKS, timed: TIMED } = JSON.parse(byId("pipeline").textContent);
const SECONDS = TIMED.map((step) => `seconds.${step}`);
const METRICS = [
  "coverage", "outlier_share", "quality.silhouette", "quality.intra_cluster_similarity",
  "tags.coverage", ...SECONDS,
];
const FINISHED = new Set(["completed", "failed", "canceled"]);
const ACTS = {
  queued: ["pause", "cancel"],
  running: ["pause", "pause now", "cancel"],
  paused: ["resume", "cancel"],
  failed: ["retry"],
};
let shownJobs = null;
let shown = [];
let sure = null; // the job whose cancellation is to be confirmed

function follow() {
  const source = new EventSource(new URL("progress", document.baseURI));
  const live = byId("live");
  source.addEventListener("open", () => say(live, "live", true));
  source.addEventListener("error", () => say(live, "reconnecting", false));
  source.addEventListener("jobs", (event) => {
    say(live, "live", true);
    const jobs = JSON.parse(event.data);
    showJobs(jobs);
    const finished = jobs.filter((job) => FINISHED.has(job.state)).map((job) => job.job_id).join();
    if (shownJobs !== null && finished !== shownJobs) refresh();
    shownJobs = finished;
  });
}

function say(place, words_, good) {
  place.textContent = words_;
  place.classList.toggle("good", good);
}

function showJobs(jobs) {
  shown = jobs;
  byId("running").replaceChildren(
    ...jobs.filter((job) => !FINISHED.has(job.state)).map(runningJob));
  const head = ["state", "what", "started", "took", ""].map((name) =>
    h("th", { scope: "col", class: name === "took" ? "number" : null }, name));
  const rows = jobs.map((job) => h("tr", {},
    h("td", {}, state(job.state)),
    h("td", {}, h("a", airflowLink(runPath(job)), job.level ?? "all levels")),
    h("td", {}, time(job.started_at)),
    h("td", { class: "number" }, took(job)),
    h("td", {}, job.level && job.state === "completed"
      ? h("a", { href: explorer({ level: job.level, job: job.job_id }) }, "clusters")
      : job.state === "failed" ? acts(job) : "")));
  if (!rows.length) rows.push(h("tr", {}, h("td", { colspan: 5 }, "No run yet.")));
  byId("runs").replaceChildren(h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows));
}

function runningJob(job) {
  const name = `${job.level ?? "all levels"}`;
  const percent = Math.floor(job.percent ?? 0);
  const place = (task) => TASKS.indexOf(task.task_id);
  const tasks = (job.tasks ?? []).sort((one, other) => place(one) - place(other)).map((task) => {
    const states = Object.entries(task.states);
    const told = states.map(([one, how]) => (how > 1 ? `${how} ${said(one)}` : said(one))).join(", ");
    const only = states.length === 1 ? states[0][0] : task.states.failed ? "failed" : "running";
    return h("li", { class: `task ${only}` },
      words(task.task_id), h("small", {}, ` ${told}`));
  });
  return h("div", { class: "job" },
    h("div", {}, state(job.state), " ", h("a", airflowLink(runPath(job)), name), ` ${percent} %`,
      items(job), parts(job),
      job.paused ? ", its DAG is paused" : "", acts(job)),
    h("progress", { max: 100, value: percent, "aria-label": `Progress of ${name}` }),
    h("ul", { class: "tasks" }, tasks),
    idleSettings(job.idle_settings));
}

function acts(job) {
  const names = ACTS[job.state].map((name) => {
    const asked = name === "cancel" && sure === job.job_id;
    const label = asked ? "cancel for good?" : name;
    return h("button", { type: "button", onclick: () => act(job, name, asked) }, label);
  });
  return h("span", { class: "acts" }, names);
}

// Airflow's frame allows no dialog: cancelling takes a second click.
async function act(job, name, asked) {
  sure = name === "cancel" && !asked ? job.job_id : null;
  showJobs(shown);
  if (sure) return;
  const path = `jobs/${job.job_id}`;
  const body = { action: name.split(" ")[0], now: name === "pause now" };
  try {
    const now = await (name === "cancel" ? remove(path) : patch(path, body));
    showJobs(shown.map((one) => (one.job_id === job.job_id ? now : one)));
    show(null);
  } catch (error) {
    show(error);
  }
}

function idleSettings(found) {
  if (!found?.length) return "";
  return h("ul", { class: "idle" }, found.map((one) => h("li", {},
    h("code", {}, `${one.setting}=${shownValue(one.value)}`),
    " has no effect: it ", text(one.reason))));
}

const shownValue = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function items(job) {
  if ((job.items_total ?? null) === null) return "";
  const done = (job.items_done ?? null) === null ? "" : `${count(job.items_done)} of `;
  return `, ${done}${count(job.items_total)} items`;
}

function parts(job) {
  if (!job.parts_failed) return "";
  return `, ${count(job.parts_failed)} ${job.parts_failed === 1 ? "part" : "parts"} failed`;
}

const said = (taskState) => (taskState === "none" ? "waits" : words(taskState));
const state = (name) => h("span", { class: `state ${name}` }, name);
const runPath = (job) =>
  `dags/${encodeURIComponent(job.dag_id)}/runs/${encodeURIComponent(job.dag_run_id)}`;
const explorer = (parameters) => `explorer?${new URLSearchParams(parameters)}`;

function took(job) {
  if (!job.started_at) return "–";
  const end = job.ended_at ? new Date(job.ended_at) : new Date();
  return seconds(Math.max(0, (end - new Date(job.started_at)) / 1000));
}

async function showAlerts() {
  const { alerts } = await get("alerts", { current: true, limit: 50 });
  byId("alerts").replaceChildren(
    alerts.length ? h("ul", { class: "alerts" }, alerts.map(alert)) : h("p", {}, "None."));
}

function alert(one) {
  return h("li", { class: one.severity },
    h("strong", {}, one.severity), ` ${one.level}: `, text(one.message),
    h("p", {}, text(one.action)), h("small", {}, time(one.raised_at)));
}

async function showLevel(section, jobs) {
  const level = section.dataset.level;
  const body = section.querySelector(".body");
  try {
    const { latest, trend } = await get(`metrics/${level}`, { names: METRICS.join(), limit: 30 });
    const run = await get(`runs/${level}/${latest.load_id}`);
    body.replaceChildren(facts(level, run, jobs), h("div", { class: "charts" }, charts(run, trend)));
  } catch (error) {
    if (error.status !== 404 && error.status !== 403) throw error;
    body.replaceChildren(
      h("p", { class: "quiet" }, error.status === 404 ? unpublished(level, jobs) : error.message));
  }
}

// What the newest run of a level without a published one says about it.
function unpublished(level, jobs) {
  const newest = jobs.find((job) => job.level === level);
  if (!newest) return `No run yet: start the DAG cluster_${level}.`;
  const link = h("a", airflowLink(runPath(newest)), "newest run");
  if (newest.state === "failed") {
    return ["No run is published: the ", link, " failed; the logs of its failed tasks name the cause."];
  }
  if (newest.state === "completed") {
    return ["No run is published: the ", link, " has completed; see its task publish."];
  }
  return ["No run is published yet: the ", link, ` is ${newest.state}.`];
}

function facts(level, run, jobs) {
  const finished = jobs.filter((job) => job.level === level && FINISHED.has(job.state));
  const failed = finished.filter((job) => job.state === "failed").length;
  const rows = {
    "stands for": time(run.as_of),
    items: count(run.read),
    clusters: count(run.clusters),
    coverage: share(run.coverage),
    outliers: share(run.outlier_share),
    "largest cluster": share(run.largest_cluster_share),
    silhouette: decimal(run.report.quality.silhouette),
    tagged: share(run.report.tags?.coverage),
    "tags per item": decimal(run.report.tags?.per_item),
    "tag conflicts": count(run.report.tags?.conflicts),
    algorithm: words(run.algorithm),
    mode: mode(run.report.mode),
    ids: lineage(run.report.lineage),
    errors: count(run.report.errors?.total),
    "failed runs": finished.length ? `${failed} of the last ${finished.length}` : "–",
  };
  return h("div", {},
    h("dl", {}, Object.entries(rows).flatMap(([name, value]) =>
      [h("div", {}, h("dt", {}, name), h("dd", {}, value))])),
    idleSettings(run.report.idle_settings),
    h("p", {}, h("a", { href: explorer({ level }) }, `Explore ${level}`)));
}

function mode(made) {
  if (!made) return "–";
  return made.asked === "full" ? made.taken : text(`${made.taken} (asked for: ${made.asked}; ${made.reason})`);
}

const lineage = (ids) => Object.entries(ids ?? {}).filter(([, many]) => many).sort((a, b) => b[1] - a[1])
  .map(([change, many]) => `${count(many)} ${change}`).join(", ") || "–";

function charts(run, trend) {
  const moments = trend.map((one) => one.as_of);
  const of = (name) => trend.map((one) => one.values[name] ?? null);
  const total = trend.map((one) => {
    const parts = SECONDS.map((name) => one.values[name]).filter((value) => typeof value === "number");
    return parts.length ? parts.reduce((sum, value) => sum + value, 0) : null;
  });
  const sizes = run.report.sizes.histogram.map((bin) => ({
    label: count(bin.from),
    value: bin.clusters,
    title: `${count(bin.from)} to ${count(bin.to)} members: ${count(bin.clusters)} clusters`,
  }));
  const whole = (value) => count(Math.round(value));
  return [
    bars("Clusters by size", sizes, whole),
    lines("Shares",
      [{ name: "coverage", values: of("coverage") },
        { name: "outliers", values: of("outlier_share") },
        { name: "tagged", values: of("tags.coverage") }], moments, share, { low: 0, high: 1 }),
    lines("Quality",
      [{ name: "similarity", values: of("quality.intra_cluster_similarity") },
        { name: "silhouette", values: of("quality.silhouette") }], moments, decimal),
    lines("Computing time", [{ name: "seconds", values: total }], moments, seconds, { low: 0 }),
  ];
}

async function refresh() {
  try {
    const { jobs } = await get("jobs", { limit: 200 });
    await showAlerts();
    await Promise.all([...document.querySelectorAll(".level")].map((one) => showLevel(one, jobs)));
    show(null);
  } catch (error) {
    show(error);
  }
}

follow();
refresh();
setInterval(refresh, 300_000);
