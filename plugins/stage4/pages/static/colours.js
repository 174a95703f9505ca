// A colour for each group of clusters, the same on every day; without groups one for each cluster.

const GROUPS = [
  "#2f6fed", "#e0601f", "#1f9e5a", "#b2379f", "#c79a00", "#0e9fb5", "#d63a4a", "#7a5cd6", "#6f9a1f",
  "#e58bb0", "#8d6044", "#5f7fa8",
];
const OTHER = "#8a8f98";
// Stage 2's domains, and types of entities. What is in no list is grey.
const LISTS = [
  ["political_events", "economic_activity", "environmental", "cultural_social", "legal_judicial",
    "technology_science", "military_operations", "diplomatic_relations", "health_medical",
    "sports_entertainment", "infrastructure_development", "general_news"],
  ["PER", "ORG", "LOC", "MISC", "MONEY", "EVENT", "GPE", "NORP", "DATE", "FAC", "PRODUCT", "WORK_OF_ART"],
];
const KNOWN = new Map(LISTS.flatMap((names) => names.map((name, place) => [name, GROUPS[place]])));

// `grouped`: an earlier view of the same clusters had groups.
export function colours(groups, grouped = false) {
  const named = new Set(groups);
  const some = grouped || groups.some(Boolean);
  const of = (group, id) =>
    KNOWN.get(group) ?? (some ? OTHER : GROUPS[hash(id) % GROUPS.length]);
  const legend = [...KNOWN].filter(([name]) => named.has(name)).map(([name, colour]) => ({ name, colour }));
  const other = some && groups.some((group) => !KNOWN.has(group));
  return { grouped: some, legend: other ? [...legend, { name: "other", colour: OTHER }] : legend, of };
}

function hash(value) {
  let sum = 0;
  for (let i = 0; i < value.length; i++) sum = (sum * 31 + value.charCodeAt(i)) >>> 0;
  return sum;
}
