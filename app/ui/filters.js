/**
 * The filters: what a look is addressed by, what the API is asked, and what the form shows are one list of
 * [name, value] pairs.
 *
 * The address keeps them in its fragment (`#type=recipient.signed&last=7d`), so that a look can be shared. They may
 * hold somebody's e-mail address; a browser never sends a fragment to any server, so none gets into a log that way.
 * The API key is never part of an address.
 */

/** `kind`: "values" may be repeated, "text" is one text, "choice" one of `choices`, "flag" yes or nothing. */
export const FIELDS = [
  { name: "q", label: "Free text", kind: "text", main: true, hint: "as each provider searches" },
  { name: "type", label: "Type", kind: "values", main: true, hint: "such as recipient.*" },
  { name: "source", label: "Source", kind: "values", main: true },
  { name: "provider", label: "Provider", kind: "values" },
  { name: "category", label: "Category", kind: "values" },
  { name: "provider_type", label: "Provider’s own type", kind: "values" },
  { name: "envelope_id", label: "Envelope id", kind: "values" },
  {
    name: "envelope_status",
    label: "Envelope is now",
    kind: "choice",
    choices: [["", "in any state"], "completed", "active", "inactive"],
  },
  { name: "actor", label: "Done by", kind: "text", hint: "e-mail address" },
  { name: "recipient", label: "Recipient", kind: "text", hint: "id or e-mail address" },
  { name: "owner", label: "Envelope’s owner", kind: "text", hint: "e-mail address" },
  { name: "workspace_id", label: "Workspace id", kind: "text" },
  { name: "flow_id", label: "Flow id", kind: "text" },
  { name: "flow_type", label: "Flow type", kind: "text" },
  {
    name: "order",
    label: "Order",
    kind: "choice",
    choices: [
      ["", "newest first"],
      ["asc", "oldest first"],
    ],
  },
  { name: "partial", label: "Show the rest when a source fails", kind: "flag" },
];

/** Human words for a period up to now, and how long it is in hours; null: since ever. */
export const PERIODS = [
  ["24h", "Last 24 hours", 24],
  ["7d", "Last 7 days", 168],
  ["30d", "Last 30 days", 720],
  ["90d", "Last 90 days", 2_160],
  ["1y", "Last year", 8_760],
  ["ever", "Since ever", null],
];
const DEFAULT_PERIOD = "30d";
const EVER = "1970-01-01T00:00:00Z";

const KNOWN = new Set([...FIELDS.map((field) => field.name), "since", "until", "last"]);

/** The filters of an address's fragment. What the page does not know is left out; `notUnderstood` tells what. */
export function fromFragment(fragment) {
  return pairsOf(fragment).filter(([name, value]) => KNOWN.has(name) && value);
}

/** What an address's fragment holds that is no filter, each once, such as "sourc" or "last=fortnight". */
export function notUnderstood(fragment) {
  const names = pairsOf(fragment).map(([name, value]) => {
    if (name === "last" && value && !PERIODS.some(([id]) => id === value)) return `last=${value}`;
    return KNOWN.has(name) ? "" : name;
  });
  return [...new Set(names)].filter(Boolean);
}

function pairsOf(fragment) {
  return [...new URLSearchParams(fragment.replace(/^#/, ""))];
}

export function toFragment(pairs) {
  const text = new URLSearchParams(
    pairs.filter(([name, value]) => name !== "last" || value !== DEFAULT_PERIOD),
  ).toString();
  return text && `#${text}`;
}

/** The period that the filters name, or "custom". */
export function periodOf(pairs) {
  const named = pairs.find(([name]) => name === "last")?.[1];
  if (PERIODS.some(([id]) => id === named)) return named;
  return pairs.some(([name]) => name === "since" || name === "until") ? "custom" : DEFAULT_PERIOD;
}

/** The same filters in the window that the API itself named, so that they select the same events later, too. */
export function pinned(pairs, { since, until }) {
  return [["since", since], ["until", until], ...pairs.filter(([name]) => name !== "since" && name !== "until")];
}

/** What the API is to be asked at `now` (a Date). */
export function toQuery(pairs, now) {
  const rest = pairs.filter(([name]) => name !== "last");
  const period = PERIODS.find(([id]) => id === periodOf(pairs));
  if (!period) return rest;
  const [, , hours] = period;
  const since = hours === null ? EVER : new Date(now.getTime() - hours * 3_600_000).toISOString();
  return [["since", since], ...rest.filter(([name]) => name !== "since" && name !== "until")];
}
