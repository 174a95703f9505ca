// Which labels of the map are drawn, and where: none over another, none over a circle that counts beside its own.

const MOST = 24;
const TRIED = 120; // circles, the largest first
const LETTERS = 26; // of a line
const LINES = 3;
export const LINE = 14; // pixels from a line to the next
const GAP = 5;
const SMALL = 4; // radius of a circle that any label may cover
const LESS = 0.4; // and of its own circle's radius

// `circles` are {x, y, radius, label}, the largest first; `taken` are boxes [left, top, right, bottom]
// that stay free; `measure(line)` gives a line's width. A label is {lines, x, y, box}: its lines are
// centred at x, the first one's baseline is y.
export function placeLabels(circles, taken, width, height, measure) {
  const boxes = circles.filter((one) => one.radius > SMALL).map((one) => ({ box: around(one), radius: one.radius }));
  const fixed = (box) => ({ box, radius: Infinity });
  boxes.push(...taken.map(fixed));
  const labels = [];
  for (const one of circles.slice(0, TRIED)) {
    if (labels.length >= MOST) break;
    if (!one.label) continue;
    const label = place(one, boxes, width, height, measure);
    if (!label) continue;
    labels.push(label);
    boxes.push(fixed(label.box));
  }
  return labels;
}

function place(one, boxes, width, height, measure) {
  const lines = wrap(one.label);
  const half = Math.max(...lines.map(measure)) / 2 + GAP;
  const tall = lines.length * LINE;
  if (2 * half > width) return null;
  const away = one.radius + GAP;
  const within = Math.min(Math.max(one.x, half), width - half);
  const places = [ // above, below, on the right, on the left
    [within, one.y - away - tall], [within, one.y + away],
    [one.x + away + half, one.y - tall / 2], [one.x - away - half, one.y - tall / 2],
  ];
  const counts = boxes.filter((other) => other.radius > LESS * one.radius);
  for (const [x, top] of places) {
    const box = [x - half, top, x + half, top + tall];
    const inside = box[0] >= 0 && box[1] >= 0 && box[2] <= width && box[3] <= height;
    if (inside && !counts.some((other) => overlap(box, other.box))) return { lines, x, y: top + LINE - 3, box };
  }
  return null;
}

// Breaks a label between words into lines; what has no room in the last one is cut after a word.
export function wrap(label) {
  const lines = [];
  for (const word of label.split(/\s+/u).filter(Boolean)) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + word.length < LETTERS) lines[lines.length - 1] = `${line} ${word}`;
    else if (lines.length < LINES) lines.push(cut(word));
    else {
      lines[LINES - 1] += " …";
      break;
    }
  }
  return lines;
}

const cut = (word) => (word.length > LETTERS ? `${word.slice(0, LETTERS - 1)}…` : word);
const around = ({ x, y, radius }) => [x - radius, y - radius, x + radius, y + radius];
const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
