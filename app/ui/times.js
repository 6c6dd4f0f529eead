/**
 * Times and durations. The API gives six digits of a second; all reckoning is in whole microseconds, which a number
 * holds exactly until the year 2255.
 */

const LOCALE = "en-GB"; // the language of the page; the zone is the reader's own
const SECOND = 1_000_000;
const UNITS = [
  ["day", 86_400 * SECOND, "days"],
  ["h", 3_600 * SECOND, "h"],
  ["min", 60 * SECOND, "min"],
  ["s", SECOND, "s"],
];

const day = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const toTheMinute = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
const short = new Intl.DateTimeFormat(LOCALE, toTheMinute);
const moment = new Intl.DateTimeFormat(LOCALE, { year: "numeric", ...toTheMinute });
const zone = new Intl.DateTimeFormat(LOCALE, { timeZoneName: "longOffset" });

/** Microseconds since 1970 of an RFC 3339 time in UTC, as the API writes it. */
export function microsOf(text) {
  const [whole, fraction = ""] = text.replace("Z", "").split(".");
  return Date.parse(`${whole}Z`) * 1_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

export const dayOf = (text) => day.format(new Date(text));
export const clockOf = (text) => clock.format(new Date(text));
export const momentOf = (text) => moment.format(new Date(text));
export const shortMomentOf = (text) => short.format(new Date(text));

/** "2026-11-09 07:59:51.952600 UTC", for whoever needs it exactly. */
export const utcOf = (text) => text.replace("T", " ").replace("Z", " UTC");

/** The reader's zone, such as "Atlantic/Reykjavik (GMT)". */
export function zoneName() {
  const offset = zone.formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
  return `${Intl.DateTimeFormat().resolvedOptions().timeZone} (${offset})`;
}

/** "1 day 3 h", "11 min 5 s", "under 1 s": the two largest units, cut off, not rounded. */
export function durationOf(micros) {
  if (micros < 0) return `−${durationOf(-micros)}`;
  const first = UNITS.findIndex(([, size]) => micros >= size);
  if (first < 0) return micros === 0 ? "0 s" : "under 1 s";
  let rest = micros;
  return UNITS.slice(first, first + 2)
    .map(([one, size, many]) => {
      const count = Math.floor(rest / size);
      rest -= count * size;
      return count ? `${count} ${count === 1 ? one : many}` : "";
    })
    .filter(Boolean)
    .join(" ");
}

/** The same exactly, for `<time datetime>`. */
export function isoDuration(micros) {
  const size = Math.abs(micros);
  const fraction = String(size % SECOND).padStart(6, "0");
  return `${micros < 0 ? "-" : ""}PT${Math.floor(size / SECOND)}.${fraction}S`;
}

/** A span of a histogram: "Mon 9 Nov, 07:00 – 08:00". Milliseconds. */
export function spanOf(from, to) {
  const second = (to - from) % 60_000 ? "2-digit" : undefined;
  const options = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second };
  return new Intl.DateTimeFormat(LOCALE, options).formatRange(from, to);
}

/** A label on an axis whose bins are `step` milliseconds: the day where one begins, else the time of day. */
export function markOf(at, step) {
  const begins = step >= 86_400_000 || new Date(at).toTimeString().startsWith("00:00:00");
  const seconds = step < 60_000 ? "2-digit" : undefined;
  const options = begins ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", second: seconds };
  return new Intl.DateTimeFormat(LOCALE, options).format(at);
}
