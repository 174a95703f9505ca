// What became of a cluster's id in each run, the newest first.

import { get } from "./api.js";
import { h } from "./dom.js";
import { count, share, time } from "./format.js";

const RUNS = 10;
const CHANGES = {
  born: "a new id", continued: "no more members than before", grew: "more members than before",
  merged: "other ids went into it", split: "a part of what had one id before", returned: "back after a pause",
  absorbed: "it went into another id", dormant: "no cluster is it; one of the next runs may bring it back",
  ended: "it never comes back",
};

// Of an id that was published.
export async function historyOf(id, open) {
  const rows = h("ol", { class: "history" });
  const more = h("button", { type: "button" }, "Earlier runs");
  let cursor = null;
  async function next() {
    const page = await get(`clusters/${id}/lineage`, { limit: RUNS, cursor });
    rows.append(...page.lineage.map((one) => row(one, id, open)));
    cursor = page.next_cursor;
    more.hidden = cursor === null;
  }
  await next();
  more.addEventListener("click", next);
  return h("div", {}, rows, more);
}

function row(one, id, open) {
  const related = one.related.map((other) => h("li", {},
    other.cluster_id === id ? h("span", {}, "itself") :
      h("button", { type: "button", class: "link", onclick: () => open(other.cluster_id) }, other.cluster_id),
    h("span", { class: "quiet" }, ` shares ${count(other.shared)}, ${share(other.of_it)} of it`)));
  const size = one.size ? `, ${count(one.size)} members` : "";
  return h("li", { class: one.withdrawn ? "withdrawn" : null },
    h("details", {},
      h("summary", {}, h("span", {}, `${one.change}${size}`),
        h("span", { class: "quiet" }, time(one.as_of))),
      h("p", { class: "quiet" }, `${CHANGES[one.change] ?? ""} (${one.job_id})`, one.withdrawn ? ", withdrawn by a roll-back" : ""),
      related.length ? h("ul", {}, related) : null));
}
