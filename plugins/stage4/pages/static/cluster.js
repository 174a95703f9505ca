// A cluster's page: what it is about, who is in it, and what is near.

import { get } from "./api.js";
import { correctionsOf } from "./corrections.js";
import { h, text } from "./dom.js";
import { between, count, date, decimal, share, time, words } from "./format.js";
import { historyOf } from "./history.js";

const MEMBERS = 20;
const TITLES = ["title", "event_description", "entity_text", "storyline_summary", "name"];

// `acts`: open(id), moved(id), search(words), tagged(tag), corrected(), close(). An id may be a former one: then
// the API leads to the cluster that it went into, names the parts of one that was split, or tells that it
// is gone.
export async function clusterPage(asked, loadId, acts) {
  let cluster;
  try {
    cluster = await get(`clusters/${asked}`, { load_id: loadId });
  } catch (error) {
    if (error.status === 300 || (error.status === 410 && error.content?.identity)) {
      return formerPage(asked, error, acts);
    }
    throw error;
  }
  const id = cluster.cluster_id;
  if (id !== asked) acts.moved(id);
  const [similar, history] = await Promise.all([
    get(`clusters/${id}/similar`, { load_id: loadId, limit: 8 }),
    loadId === null ? historyOf(id, acts.open) : null,  // a run that was only loaded has ids that nobody saw
  ]);
  const corrections = loadId === null ? correctionsOf(cluster, acts.corrected) : null;
  const members = h("ol", { class: "members" });
  const more = h("button", { type: "button" }, "More members");
  const list = paged(members, more, id, loadId, corrections);
  await Promise.all([list(), corrections?.show()]);
  more.addEventListener("click", list);
  return h("article", {},
    h("div", { class: "head" },
      h("h2", { tabindex: -1, dir: "auto", class: "text" }, cluster.label),
      h("button", { type: "button", class: "close", "aria-label": "Close", onclick: acts.close }, "×")),
    id === asked ? null : h("p", { class: "note" }, `${asked} went into this cluster.`),
    ...cluster.marks.filter((one) => one.kind !== "rename").map((one) => h("p", { class: "note" },
      one.kind === "hide" ? "Hidden: lists and searches omit this cluster." : "Pinned.")),
    cluster.record.label_source === "llm" && cluster.marks.every((one) => one.kind !== "rename")
      ? h("p", { class: "note" }, "Labelled by a language model.") : null,
    facts(cluster),
    chips("Key phrases", cluster.key_phrases, acts.search),
    chips("Keywords", cluster.keywords, acts.search),
    chips("Entities", cluster.primary_entities, acts.search),
    tags(cluster.tags, acts.tagged),
    part("Representatives", cluster.representatives.length ? h("ol", {}, cluster.representatives.map(
      (one) => h("li", {}, text(one.title ?? one.id), similarity(one.similarity)))) : null),
    part(`Members (${count(cluster.size)})`, members, more),
    part("History of this id", history),
    part("Near clusters", similar.clusters.length ? h("ol", { class: "clusters" }, similar.clusters.map(
      (one) => h("li", {}, clusterButton(one, acts.open), similarity(one.similarity), corrections?.same(one)))) : null),
    corrections?.part,
    part("Metadata", h("details", {}, h("summary", {}, "The record, as Stage 5 gets it"),
      h("p", { class: "quiet" }, "Without centroid_vector, member_ids, member_probabilities and " +
        "member_similarities: the list of members and the JSONL have them."),
      h("pre", { dir: "auto" }, JSON.stringify(cluster.record, null, 2)))));
}

async function formerPage(id, error, acts) {
  const choices = error.content.choices ?? [];
  const said = choices.length ? "This cluster was split. Its members are in:" : error.message;
  return h("article", {},
    h("div", { class: "head" },
      h("h2", { tabindex: -1, class: "text" }, id),
      h("button", { type: "button", class: "close", "aria-label": "Close", onclick: acts.close }, "×")),
    h("p", { class: "note" }, said),
    choices.length ? h("ol", { class: "clusters" }, choices.map((one) => h("li", {},
      one.state === "active" ? clusterButton(one, acts.open) : text(`${one.cluster_id} (${one.state})`)))) : null,
    part("History of this id", await historyOf(id, acts.open)));
}

export function clusterButton(one, open) {
  return h("button", { type: "button", class: "link", "data-cluster": one.cluster_id,
    onclick: () => open(one.cluster_id) },
  text(one.label ?? one.cluster_id), h("small", {}, ` ${count(one.size)}`));
}

function facts(cluster) {
  const rows = {
    members: count(cluster.size),
    time: between(cluster.start_time, cluster.end_time),
    domain: cluster.domain && words(cluster.domain),
    "event type": cluster.event_type && words(cluster.event_type),
    "entity type": cluster.entity_type,
    "mean similarity": decimal(cluster.intra_cluster_similarity),
    "mean probability": decimal(cluster.mean_probability),
    documents: count(cluster.document_ids.length),
    trend: cluster.trend && cluster.trend !== "unknown" ? trendOf(cluster) : null,
    id: cluster.cluster_id,
  };
  return h("dl", {}, Object.entries(rows).filter(([, value]) => value)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, text(value)))));
}

export const trendOf = (one) => (one.trend === "fading" && !one.rate && !one.earlier_rate ? ended(one)
  : `${one.trend}: ${decimal(one.rate)} a day, ${decimal(one.earlier_rate)} before`);

// All items are older than both periods of the trend. A day to come is the end of an item's time span.
function ended(one) {
  const last = one.end_time ?? one.start_time;
  return last && new Date(last) <= new Date() ? `ended, last item ${date(last)}` : "ended";
}

function chips(title, values, search) {
  return values.length ? part(title, h("ul", { class: "chips" }, values.map((value) =>
    h("li", {}, h("button", { type: "button", onclick: () => search(value) }, text(value)))))) : null;
}

function tags(values, tagged) {
  return values.length ? part("Tags", h("ul", { class: "chips" }, values.map((one) =>
    h("li", {}, h("button", { type: "button", title: tagTitle(one), onclick: () => tagged(one.tag) },
      text(one.tag), h("small", {}, ` ${share(one.confidence)}`)))))) : null;
}

const tagTitle = (one) => `${words(one.category)}: ${count(one.members)} members bear it` +
  `, ${count(one.applied)} got it, ${count(one.conflicts)} kept another`;

function part(title, ...content) {
  return content[0] === null ? null : h("section", {}, h("h3", {}, title), content);
}

const similarity = (value) => h("span", { class: "number" }, decimal(value));

function paged(members, more, id, loadId, corrections) {
  let cursor = null;
  return async () => {
    const page = await get(`clusters/${id}/members`, { load_id: loadId, limit: MEMBERS, order: "similarity", cursor });
    members.append(...page.members.map((one) => member(one, corrections)));
    cursor = page.next_cursor;
    more.hidden = cursor === null;
  };
}

function member(one, corrections) {
  const title = TITLES.map((name) => one.metadata[name]).find((value) => typeof value === "string" && value);
  return h("li", {},
    h("details", {},
      h("summary", {}, text(title ?? one.source_id), similarity(one.similarity)),
      h("p", { class: "quiet" }, text(one.source_id), one.occurred_at ? `, ${time(one.occurred_at)}` : "",
        one.assignment === "nearest" ? ", assigned to the nearest cluster" : "",
        one.near_duplicate_of ? [", near-duplicate of ", text(one.near_duplicate_of)] : ""),
      one.tags.length ? h("p", { class: "quiet" }, "got the tags ", one.tags.flatMap((tag, at) =>
        [at ? ", " : "", text(tag.tag), ` (${share(tag.confidence)})`])) : null,
      corrections?.leave(one.vector_id),
      h("pre", { dir: "auto" }, JSON.stringify(one.metadata, null, 2))));
}
