/**
 * Filters as a list of [name, value] pairs: the address, the API's parameters and the chips show the same list.
 *
 * The address keeps them in its fragment, which browsers never send to a server: filters may hold e-mail addresses. The API
 * key is never part of an address.
 */

/** `not`: the API takes `NAME.not` too. `many`: several values mean any of them. `hint`: what to type. */
export const FIELDS = {
  type: { label: "Type", not: true, many: true, hint: "recipient.signed" },
  source: { label: "Source", not: true, many: true, hint: "name of an account" },
  envelope_id: { label: "Envelope id", many: true, hint: "an id" },
  actor: { label: "Done by", not: true, hint: "e-mail address" },
  recipient: { label: "Recipient", hint: "id or e-mail address" },
  owner: { label: "Envelope owner", hint: "e-mail address" },
  envelope_status: { label: "Envelope status" },
  category: { label: "Category", not: true, many: true, hint: "envelope or team" },
  provider: { label: "Provider", many: true, hint: "a vendor" },
  provider_type: { label: "Provider’s type", not: true, many: true, hint: "SigneeSigned" },
  workspace_id: { label: "Workspace id", hint: "an id" },
  flow_id: { label: "Flow id", hint: "an id" },
  flow_type: { label: "Flow type", hint: "a type" },
  q: { label: "Text", hint: "words to search for" },
};

/** Periods that end now: [id, label, hours]; hours null: without a beginning. */
export const PERIODS = [
  ["24h", "Last 24 hours", 24],
  ["7d", "Last 7 days", 168],
  ["30d", "Last 30 days", 720],
  ["90d", "Last 90 days", 2_160],
  ["1y", "Last 12 months", 8_760],
  ["ever", "All time", null],
];
export const DEFAULT_PERIOD = "30d";
const BEGINNING = "1970-01-01T00:00:00Z";
const TIMES = ["since", "until"];
const OTHERS = ["person", "order", "last", ...TIMES];

/** The field of a filter's name, which may end in ".not"; undefined for a name without a chip. */
export function fieldOf(name) {
  const [base, not] = name.split(/\.(?=not$)/);
  const field = Object.hasOwn(FIELDS, base) ? FIELDS[base] : undefined;
  return field && (!not || field.not) ? { ...field, name: base, negative: Boolean(not) } : undefined;
}

/**
 * The view of an address's fragment: {envelope, source} for an envelope's page, else {pairs, event}; `unknown`: names that
 * are no filters, because a reader would otherwise take the list for filtered.
 */
export function parse(fragment) {
  const all = [...new URLSearchParams(fragment.replace(/^#/, ""))].filter(([, value]) => value);
  const only = (name) => all.find(([one]) => one === name)?.[1] ?? null;
  if (only("envelope")) return { envelope: only("envelope"), source: only("source"), event: only("event") };
  const known = ([name, value]) => {
    if (name === "last") return PERIODS.some(([id]) => id === value);
    if (TIMES.includes(name)) return !Number.isNaN(Date.parse(value));
    return fieldOf(name) || OTHERS.includes(name);
  };
  const rest = all.filter(([name]) => name !== "event");
  const unknown = rest
    .filter((pair) => !known(pair))
    .map(([name, value]) => (OTHERS.includes(name) ? `${name}=${value}` : name));
  return { pairs: rest.filter(known), event: only("event"), unknown: [...new Set(unknown)] };
}

/** The fragment for `pairs` and an open event. */
export function fragmentOf(pairs, event = null) {
  const shown = pairs.filter(([name, value]) => name !== "last" || value !== DEFAULT_PERIOD || has(pairs, "since"));
  const text = new URLSearchParams([...shown, ...(event ? [["event", event]] : [])]).toString();
  return text && `#${text}`;
}

export const envelopeAddress = (id, source) => `#${new URLSearchParams({ envelope: id, ...(source && { source }) })}`;
export const eventAddress = (id) => `#${new URLSearchParams({ event: id })}`;
export const has = (pairs, name) => pairs.some(([one]) => one === name);
export const valueOf = (pairs, name) => pairs.find(([one]) => one === name)?.[1] ?? "";
export const without = (pairs, ...names) => pairs.filter(([name]) => !names.includes(name));

/** `pairs` with `name` set to one value, or removed where the value is empty. */
export function withValue(pairs, name, value) {
  return [...without(pairs, name), ...(value ? [[name, value]] : [])];
}

/** `pairs` and one more filter. Values of a field that takes one value replace each other. */
export function added(pairs, name, value) {
  const field = fieldOf(name);
  const kept = field.many || field.negative ? pairs : without(pairs, name);
  return kept.some(([one, other]) => one === name && other === value) ? kept : [...kept, [name, value]];
}

/** "Last 30 days" or "custom". */
export function periodOf(pairs) {
  const id = valueOf(pairs, "last");
  return id || (has(pairs, "since") || has(pairs, "until") ? "custom" : DEFAULT_PERIOD);
}

/** The parameters of the API for `pairs` at `now`. A window that the address names beats a period that ends now. */
export function queryOf(pairs, now) {
  const rest = without(pairs, "last");
  if (has(rest, "since") || has(rest, "until")) return rest;
  const hours = PERIODS.find(([id]) => id === periodOf(pairs))[2];
  return [["since", hours === null ? BEGINNING : new Date(now - hours * 3_600_000).toISOString()], ...rest];
}

/** `pairs` in the window that the API named, so that they select the same events later. */
export function pinned(pairs, { since, until }) {
  return [...without(pairs, "since", "until"), ["since", since], ["until", until]];
}

/** The filters in words, for print: [[label, text]]. */
export function inWords(pairs) {
  const lines = new Map();
  for (const [name, value] of pairs) {
    const field = fieldOf(name) ?? (name === "person" ? { label: "Person" } : null);
    if (!field) continue;
    const label = field.negative ? `${field.label} is not` : field.label;
    lines.set(label, [...(lines.get(label) ?? []), value]);
  }
  return [...lines].map(([label, values]) => [label, values.join(label.endsWith("is not") ? ", " : " or ")]);
}
