/** Times in the chosen zone, and durations. */

const LOCALE = "en-GB"; // the language of the page; the zone is the reader's choice
const UNITS = [
  ["day", 86_400, "days"],
  ["h", 3_600, "h"],
  ["min", 60, "min"],
  ["s", 1, "s"],
];
const DAY = 86_400_000;

/** The browser's own zone, such as "Atlantic/Reykjavik". */
export const LOCAL = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Formatters for `zone`: "utc" or "local". Texts are RFC 3339 times; numbers are milliseconds. */
export function timesIn(zone) {
  const timeZone = zone === "utc" ? "UTC" : LOCAL;
  const format = (options) => {
    const made = new Intl.DateTimeFormat(LOCALE, { timeZone, ...options });
    return (time) => made.format(new Date(time));
  };
  const minute = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  const offset = new Intl.DateTimeFormat(LOCALE, { timeZone, timeZoneName: "shortOffset" })
    .formatToParts(new Date())
    .find(({ type }) => type === "timeZoneName").value;
  const yearOf = format({ year: "numeric" });
  const brief = (options) => {
    const [short, long] = [format(options), format({ ...options, year: "numeric" })];
    return (time) => (yearOf(time) === yearOf(Date.now()) ? short : long)(time);
  };
  return {
    zone,
    timeZone,
    isUtc: zone === "utc" || /^(GMT|UTC)(\+0)?$/.test(offset),
    label: zone === "utc" ? "UTC" : `${LOCAL} (${offset})`,
    stamp: brief({ ...minute, second: "2-digit" }), // these two without the current year
    minute: brief(minute),
    full: format({ ...minute, year: "numeric", second: "2-digit" }),
    moment: format({ ...minute, year: "numeric" }),
    day: format({ weekday: "short", day: "numeric", month: "short" }),
    clock: format({ hour: "2-digit", minute: "2-digit" }),
    tick: format({ day: "numeric", month: "short" }),
    month: format({ month: "short", year: "numeric" }),
    /** For `<input type=datetime-local>` and back; "" where there is no time. */
    toInput: (text) => (text ? local(text, zone).slice(0, 16) : ""),
    fromInput: (text) => (text ? new Date(zone === "utc" ? `${text}Z` : text).toISOString() : ""),
  };
}

/** "2026-11-09 07:59:51.952600", exactly as the gateway sent it. */
export const utcOf = (text) => text.replace("T", " ").replace("Z", "");

/** "1 day 3 h", "11 min 5 s", "under 1 s": the two largest units of `seconds`, cut off. */
export function durationOf(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 0) return `−${durationOf(-seconds)}`;
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  if (first < 0) return seconds ? "under 1 s" : "0 s";
  let rest = Math.floor(seconds);
  const parts = UNITS.slice(first, first + 2).map(([one, size, many]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count && `${count} ${count === 1 ? one : many}`;
  });
  return parts.filter(Boolean).join(" ");
}

/** Seconds between two RFC 3339 times. Microseconds are kept. */
export function secondsBetween(from, to) {
  return (microsOf(to) - microsOf(from)) / 1e6;
}

/** The label of an axis tick at `time` ms, where ticks are `step` ms apart. */
export function tickOf(times, time, step) {
  if (step >= 30 * DAY) return times.month(time);
  return step >= DAY || times.clock(time) === "00:00" ? times.tick(time) : times.clock(time);
}

function microsOf(text) {
  const [whole, fraction = ""] = text.replace("Z", "").split(".");
  return Date.parse(`${whole}Z`) * 1_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

function local(text, zone) {
  const time = new Date(text);
  return new Date(time - (zone === "utc" ? 0 : time.getTimezoneOffset() * 60_000)).toISOString();
}
