// A cluster's page: what it is about, who is in it, and what is near.

import { get } from "./api.js";
import { h, text } from "./dom.js";
import { between, count, decimal, time, words } from "./format.js";

const MEMBERS = 20;
const TITLES = ["title", "event_description", "entity_text", "storyline_summary", "name"];

// `acts`: open(id), search(words), close().
export async function clusterPage(id, loadId, acts) {
  const [cluster, similar] = await Promise.all([
    get(`clusters/${id}`, { load_id: loadId }),
    get(`clusters/${id}/similar`, { load_id: loadId, limit: 8 }),
  ]);
  const members = h("ol", { class: "members" });
  const more = h("button", { type: "button" }, "More members");
  const list = paged(members, more, id, loadId);
  await list();
  more.addEventListener("click", list);
  return h("article", {},
    h("div", { class: "head" },
      h("h2", { tabindex: -1, dir: "auto", class: "text" }, cluster.label),
      h("button", { type: "button", class: "close", "aria-label": "Close", onclick: acts.close }, "×")),
    facts(cluster),
    chips("Key phrases", cluster.key_phrases, acts.search),
    chips("Keywords", cluster.keywords, acts.search),
    chips("Entities", cluster.primary_entities, acts.search),
    chips("Tags", cluster.tags.map(String), acts.search),
    part("Representatives", cluster.representatives.length ? h("ol", {}, cluster.representatives.map(
      (one) => h("li", {}, text(one.title ?? one.id), similarity(one.similarity)))) : null),
    part(`Members (${count(cluster.size)})`, members, more),
    part("Near clusters", similar.clusters.length ? h("ol", { class: "clusters" }, similar.clusters.map(
      (one) => h("li", {}, clusterButton(one, acts.open), similarity(one.similarity)))) : null),
    part("Metadata", h("details", {}, h("summary", {}, "The record, as Stage 5 gets it"),
      h("pre", { dir: "auto" }, JSON.stringify(cluster.record, null, 2)))));
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
    id: cluster.cluster_id,
  };
  return h("dl", {}, Object.entries(rows).filter(([, value]) => value)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, text(value)))));
}

function chips(title, values, search) {
  return values.length ? part(title, h("ul", { class: "chips" }, values.map((value) =>
    h("li", {}, h("button", { type: "button", onclick: () => search(value) }, text(value)))))) : null;
}

function part(title, ...content) {
  return content[0] === null ? null : h("section", {}, h("h3", {}, title), content);
}

const similarity = (value) => h("span", { class: "number" }, decimal(value));

function paged(members, more, id, loadId) {
  let cursor = null;
  return async () => {
    const page = await get(`clusters/${id}/members`, { load_id: loadId, limit: MEMBERS, order: "similarity", cursor });
    members.append(...page.members.map(member));
    cursor = page.next_cursor;
    more.hidden = cursor === null;
  };
}

function member(one) {
  const title = TITLES.map((name) => one.metadata[name]).find((value) => typeof value === "string" && value);
  return h("li", {},
    h("details", {},
      h("summary", {}, text(title ?? one.source_id), similarity(one.similarity)),
      h("p", { class: "quiet" }, text(one.source_id), one.occurred_at ? `, ${time(one.occurred_at)}` : "",
        one.assignment === "nearest" ? ", assigned to the nearest cluster" : ""),
      h("pre", { dir: "auto" }, JSON.stringify(one.metadata, null, 2))));
}
