// What people corrected about a cluster, and the acts: each is a request that the API checks.

import { get, post, remove } from "./api.js";
import { h, text, visible } from "./dom.js";
import { time } from "./format.js";

const MOST = 50;
const LONGEST_LABEL = 200;
const LONGEST_REASON = 1000;

// Of one cluster of the published run; of an earlier load there is nothing to correct. `corrected()`:
// something has changed that other lists show.
export function correctionsOf(cluster, corrected) {
  const list = h("ol", { class: "corrections" });
  const status = h("p", { role: "status", class: "quiet" });
  const reason = h("input", { type: "text", maxlength: LONGEST_REASON, autocomplete: "off", id: "reason" });
  const level = cluster.level;

  async function show() {
    const { corrections } = await get("corrections", { cluster_id: cluster.cluster_id, limit: MOST });
    list.replaceChildren(...corrections.map(row));
  }

  function tell(place, message, isError = false) {
    place.append(status); // the answer stands where the reader has clicked
    status.className = isError ? "error" : "quiet";
    status.textContent = visible(message);
    status.scrollIntoView({ block: "nearest" });
  }

  async function attempt(act, button, place) {
    button.disabled = true;
    tell(place, "Sending");
    try {
      const made = await act();
      reason.value = "";
      await show();
      const shown = place.isConnected ? place : list.querySelector(`[data-correction="${made.correction_id}"]`);
      tell(shown ?? part, outcome(made));
      if (made.changed) corrected();
    } catch (error) {
      tell(place, error.message, true);
    } finally {
      button.disabled = false;
    }
  }

  const send = (body, button, place) =>
    attempt(() => post("corrections", { level, reason: reason.value.trim(), ...body }), button, place);

  // With a `question` it is asked first, in place: within Airflow's frame a page may open no dialog.
  function act(name, body, question = null) {
    const button = h("button", { type: "button" }, name);
    const place = h("div", { class: "act" }, button);
    const now = () => send(body(), button, place);
    button.addEventListener("click", () => (question ? ask(place, question, name, now) : now()));
    return place;
  }

  function row(one) {
    const undo = h("button", { type: "button", "aria-label": `Undo correction ${one.correction_id}` }, "Undo");
    const about = h("div", { "data-correction": one.correction_id }, `${one.correction_id} ${one.kind} `, what(one),
      one.reason ? h("p", {}, text(one.reason)) : null,
      h("p", { class: "quiet" }, text(one.made_by), `, ${time(one.made_at)}`,
        one.undone_at ? [", undone by ", text(one.undone_by), `, ${time(one.undone_at)}`] : null));
    undo.addEventListener("click", () => attempt(() => remove(`corrections/${one.correction_id}`), undo, about));
    return h("li", {}, about, one.state === "holds" ? undo : null);
  }

  const id = cluster.cluster_id;
  const label = h("input", { type: "text", maxlength: LONGEST_LABEL, autocomplete: "off", id: "new-label" });
  const part = h("section", {}, h("h3", {}, "Corrections"),
    list,
    h("p", {}, h("label", { for: "reason" }, "Reason "), reason),
    h("div", { class: "acts" }, h("label", { for: "new-label" }, "New name "), label,
      act("Rename", () => ({ kind: "rename", cluster_id: id, label: label.value }))),
    h("div", { class: "acts" }, act("Pin", () => ({ kind: "pin", cluster_id: id })),
      act("Hide", () => ({ kind: "hide", cluster_id: id }))));
  return {
    part,
    show,
    leave: (vectorId) => act("Does not belong",
      () => ({ kind: "apart", items: [vectorId], cluster_id: id }),
      "From the next run on this item leaves the cluster. Is it of another story?"),
    same: (other) => act("Same story",
      () => ({ kind: "together", clusters: [id, other.cluster_id] }),
      ["From the next run on this cluster and ", text(other.label ?? other.cluster_id),
        " are one. Are they one story?"]),
  };
}

function outcome({ correction_id: number, state, changed }) {
  const held = state === "holds" ? "holds" : "is undone";
  if (!changed) return `Correction ${number} ${held} already: nothing is to be done.`;
  return `Correction ${number} ${held} from the next run on.`;
}

function ask(place, question, name, now) {
  place.querySelector(".question")?.remove();
  const answer = (then) => () => {
    asked.remove();
    then();
  };
  const asked = h("div", { class: "question", role: "group", "aria-label": name },
    h("p", {}, question),
    h("button", { type: "button", onclick: answer(now) }, `Yes: ${name.toLowerCase()}`),
    h("button", { type: "button", onclick: answer(() => {}) }, "No"));
  place.append(asked);
  asked.querySelector("button").focus();
}

function what(one) {
  if (one.label !== null) return text(one.label);
  if (one.cluster_id !== null) return null;
  if (one.kind === "together") return told(one.clusters.length ? one.clusters : one.items, one);
  return h("span", {}, told(one.items, one), " not with ",
    told(one.clusters.length ? one.clusters : one.others, one));
}

const told = (ids, one) =>
  text(ids.map((id) => (one.names[id] ? `${one.names[id]} (${id})` : id)).join(", "));
