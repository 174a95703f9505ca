// A colour for each group of clusters; without groups one for each cluster.

const GROUPS = ["#2f6fed", "#e0601f", "#1f9e5a", "#b2379f", "#c79a00", "#0e9fb5", "#d63a4a", "#7a5cd6"];
const OTHER = "#8a8f98";

export function colours(groups) {
  const counts = new Map();
  for (const group of groups) if (group) counts.set(group, (counts.get(group) ?? 0) + 1);
  const names = [...counts].sort((a, b) => b[1] - a[1]).slice(0, GROUPS.length).map(([name]) => name);
  const known = new Map(names.map((name, place) => [name, GROUPS[place]]));
  return {
    fixed: groups.length > 0,
    names,
    of: (group, id) => known.get(group) ?? (names.length ? OTHER : GROUPS[hash(id) % GROUPS.length]),
  };
}

function hash(value) {
  let sum = 0;
  for (let i = 0; i < value.length; i++) sum = (sum * 31 + value.charCodeAt(i)) >>> 0;
  return sum;
}
