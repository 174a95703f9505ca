// Building elements. Texts become text nodes, never markup: titles come from anywhere.

const UNSEEN = new RegExp(document.documentElement.dataset.unseen, "gu");

// What nobody sees, and what turns the line round, is no text for people.
export const visible = (text) => String(text).replace(UNSEEN, "");

export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : visible(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined)
    .map((child) => (child instanceof Node ? child : visible(child))));
  return element;
}

export const byId = (id) => document.getElementById(id);

export function show(error) {
  const place = byId("error");
  place.hidden = !error;
  place.textContent = error ? visible(error.message) : "";
}

// Text of a stranger: its direction is its own and does not turn what stands beside it.
export const text = (value, tag = "span") => h(tag, { dir: "auto", class: "text" }, value);
