// What people corrected about a cluster, and the acts: each is a request that the API checks.

import { get, post, remove } from "./api.js";
import { h, text } from "./dom.js";
import { time } from "./format.js";

const MOST = 50;
const LONGEST_LABEL = 200;
const LONGEST_REASON = 1000;

// Of one cluster of the published run; of an earlier load there is nothing to correct.
export function correctionsOf(cluster) {
  const list = h("ol", { class: "corrections" });
  const status = h("p", { role: "status", class: "quiet" });
  const reason = h("input", { type: "text", maxlength: LONGEST_REASON, autocomplete: "off", id: "reason" });
  const level = cluster.level;

  async function show() {
    const { corrections } = await get("corrections", { cluster_id: cluster.cluster_id, limit: MOST });
    list.replaceChildren(...corrections.map(row));
  }

  async function attempt(act, button) {
    button.disabled = true;
    status.className = "quiet";
    status.textContent = "Sending";
    try {
      const made = await act();
      status.textContent = made.state === "holds"
        ? `Correction ${made.correction_id} holds from the next run on.`
        : `Correction ${made.correction_id} is undone from the next run on.`;
      reason.value = "";
      await show();
    } catch (error) {
      status.className = "error";
      status.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  }

  const send = (body, button) =>
    attempt(() => post("corrections", { level, reason: reason.value.trim(), ...body }), button);

  function act(name, body) {
    const button = h("button", { type: "button" }, name);
    button.addEventListener("click", () => send(body(), button));
    return button;
  }

  function row(one) {
    const undo = h("button", { type: "button", "aria-label": `Undo correction ${one.correction_id}` }, "Undo");
    undo.addEventListener("click", () => attempt(() => remove(`corrections/${one.correction_id}`), undo));
    return h("li", {},
      h("div", {}, `${one.correction_id} ${one.kind} `, what(one),
        one.reason ? h("p", {}, text(one.reason)) : null,
        h("p", { class: "quiet" }, text(one.made_by), `, ${time(one.made_at)}`,
          one.undone_at ? [", undone by ", text(one.undone_by), `, ${time(one.undone_at)}`] : null)),
      one.state === "holds" ? undo : null);
  }

  const id = cluster.cluster_id;
  const label = h("input", { type: "text", maxlength: LONGEST_LABEL, autocomplete: "off", id: "new-label" });
  const part = h("section", {}, h("h3", {}, "Corrections"),
    list,
    h("p", {}, h("label", { for: "reason" }, "Reason "), reason),
    h("p", {}, h("label", { for: "new-label" }, "New name "), label,
      act("Rename", () => ({ kind: "rename", cluster_id: id, label: label.value }))),
    h("p", { class: "acts" }, act("Pin", () => ({ kind: "pin", cluster_id: id })),
      act("Hide", () => ({ kind: "hide", cluster_id: id }))),
    status);
  return {
    part,
    show,
    leave: (vectorId) => act("Does not belong", () => ({ kind: "apart", items: [vectorId], cluster_id: id })),
    same: (other) => act("Same story", () => ({ kind: "together", clusters: [id, other] })),
  };
}

function what(one) {
  if (one.label !== null) return text(one.label);
  if (one.cluster_id !== null) return null;
  const others = one.others.length ? [" not with ", text(one.others.join(", "))] : null;
  return [text(one.items.join(", ")), others].flat().filter((each) => each !== null)
    .reduce((line, each) => (line.append(each), line), h("span"));
}
