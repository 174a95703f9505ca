// What the colours of a map or a timeline stand for.

import { h } from "./dom.js";
import { words } from "./format.js";

// `colour` is what `colours()` gives; `what` names the things that are coloured.
export function legend(colour, what) {
  if (!colour.grouped) return [h("span", {}, `Colours only tell ${what} apart.`)];
  return colour.legend.map((one) => {
    const mark = h("i");
    mark.style.background = one.colour;
    return h("span", {}, mark, words(one.name));
  });
}
