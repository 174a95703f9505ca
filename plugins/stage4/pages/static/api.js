// The REST API, beside these pages; the browser sends Airflow's cookie.

const BASE = new URL("../api/v1/", document.baseURI);

export function get(path, parameters = {}, options = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return ask(url, options);
}

export const post = (path, body) => send("POST", path, body);
export const patch = (path, body) => send("PATCH", path, body);

function send(method, path, body) {
  return ask(new URL(path, BASE), {
    method,
    headers: { "Content-Type": "application/json", "X-Stage4-Request": "page" },
    body: JSON.stringify(body),
  });
}

export function remove(path) {
  return ask(new URL(path, BASE), { method: "DELETE", headers: { "X-Stage4-Request": "page" } });
}

async function ask(url, options) {
  const answer = await fetch(url, { credentials: "same-origin", ...options });
  if (answer.ok) return answer.json();
  const json = (answer.headers.get("content-type") || "").includes("json");
  const content = json ? await answer.json() : null;
  const error = new Error(answer.status === 401 ? "You are no longer logged in: reload the page."
    : problem(content) ?? `${answer.status} ${answer.statusText}`);
  error.status = answer.status;
  error.content = content;
  throw error;
}

// The lines of a problem+json: what happened, then each of its `errors` with its place.
function problem(content) {
  if (!content?.detail) return null;
  const errors = (content.errors ?? []).map((one) => `${one.where}: ${one.message}`);
  return [content.detail, ...errors].join("\n");
}

// A page of Airflow itself. Within Airflow's frame, which may not lead its window elsewhere, the
// window's own document does.
export function airflowLink(path) {
  const url = new URL(`../../${path}`, document.baseURI).href;
  const framed = window.parent !== window;
  return {
    href: url,
    onclick: (event) => {
      if (!framed) return;
      event.preventDefault();
      const link = window.parent.document.createElement("a");
      link.href = url;
      link.click();
    },
  };
}
