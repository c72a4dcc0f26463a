// Numbers with their units, and times on a zone's own clock.

const LOCALE = "en-GB";
const NARROW = "\u202f";
const formats = new Map();

function format(options) {
  const name = JSON.stringify(options);
  if (!formats.has(name)) formats.set(name, new Intl.DateTimeFormat(LOCALE, options));
  return formats.get(name);
}

export const known = (value) => typeof value === "number" && Number.isFinite(value);

export function number(value, digits = 0) {
  if (!known(value)) return "–";
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "negative" }; // no minus before 0
  return value.toLocaleString(LOCALE, options).replace("-", "\u2212");
}

export const signed = (value, digits = 0) => {
  const text = number(value, digits);
  return known(value) && Number(value.toFixed(digits)) > 0 ? `+${text}` : text;
};

export const megawatts = (value, digits = 0) => `${number(value, digits)}${NARROW}MW`;
export const percent = (value, digits = 0) => `${number(value, digits)}${NARROW}%`;

/** Seconds since 1970 of an ISO 8601 instant. */
export const seconds = (text) => Date.parse(text) / 1000;

/** Seconds that a resolution such as PT15M stands for. */
export function step(resolution) {
  const [, hours, minutes] = /^PT(?:(\d+)H)?(?:(\d+)M)?$/.exec(resolution) ?? [];
  return Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 || 3600;
}

const at = (time) => new Date(time * 1000);

/** 17:00 */
export const clock = (time, tz) => format({ timeZone: tz, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at(time));

const zoneName = (time, tz) => format({ timeZone: tz, timeZoneName: "short" }).formatToParts(at(time)).find((part) => part.type === "timeZoneName").value;

/** 17:00–18:00, and where the clock changes on the way 02:00 CEST–02:00 CET */
export function span(start, length, tz) {
  const names = [start, start + length].map((time) => zoneName(time, tz));
  const [from, to] = names[0] === names[1] ? ["", ""] : names.map((name) => ` ${name}`);
  return `${clock(start, tz)}${from}–${clock(start + length, tz)}${to}`;
}

/** The calendar day of an instant on a clock: 2026-11-24 */
export function day(time, tz) {
  const parts = Object.fromEntries(
    format({ timeZone: tz, year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts(at(time)).map((part) => [part.type, part.value]),
  );
  return `${parts.year}-${parts.month}-${parts.day}`;
}

/** A calendar day in words: Tuesday 24 November 2026, or shorter; an empty weekday leaves it out. */
export function dayInWords(text, { weekday = "long", month = "long", year } = {}) {
  return format({ timeZone: "UTC", ...(weekday ? { weekday } : {}), day: "numeric", month, year }).format(new Date(`${text}T12:00:00Z`)).replace(",", "");
}

/** Mon 23 Nov, 11:00 CET */
export function moment(time, tz) {
  return `${dayInWords(day(time, tz), { weekday: "short", month: "short" })}, ${clock(time, tz)} ${zoneName(time, tz)}`;
}

/** How a day is called today, on the clock that the market runs on: Tomorrow, Today, Yesterday, or nothing. */
export function called(text, tz) {
  const days = Math.round((Date.parse(text) - Date.parse(day(Date.now() / 1000, tz))) / 86_400_000);
  return { 1: "Tomorrow", 0: "Today", "-1": "Yesterday" }[days] ?? "";
}

export const shifted = (text, days) => new Date(Date.parse(text) + days * 86_400_000).toISOString().slice(0, 10);

/** The first instant of a calendar day on a clock, in seconds. */
export function midnight(text, tz) {
  let guess = Date.parse(`${text}T00:00:00Z`) / 1000;
  for (let turn = 0; turn < 2; turn += 1) {
    const [hour, minute] = clock(guess, tz).split(":").map(Number);
    const ahead = Date.parse(day(guess, tz)) - Date.parse(text);
    guess -= ahead / 1000 + hour * 3600 + minute * 60;
  }
  return guess;
}

export const instant = (time) => at(time).toISOString().replace(".000Z", "Z");

/** 3 hours, 2 days */
export function age(hours) {
  if (!known(hours)) return "unknown";
  if (hours < 1) return "less than an hour";
  const [count, unit] = hours < 48 ? [Math.round(hours), "hour"] : [Math.round(hours / 24), "day"];
  return `${number(count)} ${unit}${count === 1 ? "" : "s"}`;
}

export const plain = (name) => name.replaceAll("_", " ");
