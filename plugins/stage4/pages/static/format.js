// Numbers and times as people read them; what is not known is a dash.

const NONE = "–";
const number = new Intl.NumberFormat("en");
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });
const moment = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium", timeStyle: "short", timeZone: "UTC",
});
const hours = new Intl.DateTimeFormat("en-GB", { timeStyle: "short", timeZone: "UTC" });
const known = (value) => value !== null && value !== undefined;

export const count = (value) => (known(value) ? number.format(value) : NONE);
export const share = (value) => (known(value) ? `${(100 * value).toFixed(1)} %` : NONE);
export const decimal = (value) => (known(value) ? value.toFixed(3) : NONE);
export const date = (value) => (value ? day.format(new Date(value)) : NONE);
export const clock = (value) => (value ? `${hours.format(new Date(value))} UTC` : NONE);
export const time = (value) => (value ? `${moment.format(new Date(value))} UTC` : NONE);

export function seconds(value) {
  if (!known(value)) return NONE;
  if (value < 1) return `${value.toFixed(2)} s`;
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${(value / 3600).toFixed(1)} h`;
}

export function between(start, end) {
  if (!start) return NONE;
  const [first, last] = [date(start), date(end)];
  return first === last || !end ? first : `${first} – ${last}`;
}

export const words = (name) => name.replaceAll("_", " ");
