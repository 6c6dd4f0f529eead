/** Events as a file. Columns and care are those of `GET /events/export` (app/api/exports/csv.py). */

import { el } from "./dom.js";

const OWN = [
  "id",
  "occurred_at",
  "source",
  "provider",
  "category",
  "type",
  "outcome",
  "provider_type",
  "provider_id",
  "description",
];
const PARTS = {
  actor: ["kind", "id", "name", "email"],
  envelope: ["id", "name", "status", "owner", "flow_id", "workspace_id", "sequence_id"],
  recipient: ["id", "name", "email", "phone", "national_id", "signature_type"],
  delivery: ["channel", "status", "purpose"],
};
const COLUMNS = [
  ...OWN.map((name) => [name, (event) => event[name]]),
  ...Object.entries(PARTS).flatMap(([part, names]) =>
    names.map((name) => [`${part}_${name}`, (event) => event[part]?.[name]]),
  ),
  ["user_agent", (event) => event.user_agent],
  ["data", (event) => json(event.data)],
  ["raw", (event) => json(event.raw)],
];

// What begins a formula in some spreadsheet, behind any blanks, controls and invisible characters; and controls that a
// spreadsheet may take for the end of a cell.
const DANGEROUS = new RegExp(
  "^[\\s\\x00-\\x20\\x7f-\\xa0\\xad\\u061c\\u115f\\u180e\\u200b-\\u200f\\u2028-\\u202f\\u2060-\\u206f\\u3000\\u3164\\ufe00-\\ufe0f" +
    "\\ufeff\\uffa0\\ufff9-\\ufffb]*[=+\\-@\\uff1d\\uff0b\\uff0d\\uff20\\u2212\\ufe62\\ufe63\\ufe66\\ufe6b]",
  "u",
);
const CONTROLS = ["\t", "\r", "\n", "\0", "'"];

/** One JSON text a line. */
export const NDJSON = {
  title: "NDJSON",
  ending: "ndjson",
  type: "application/x-ndjson",
  header: "",
  rows: (events) => events.map((event) => `${JSON.stringify(event)}\n`).join(""),
};

/** RFC 4180, with an apostrophe before whatever a spreadsheet may take for a formula. */
export const CSV = {
  title: "CSV",
  ending: "csv",
  type: "text/csv",
  header: row(COLUMNS.map(([name]) => name)),
  rows: (events) => events.map((event) => row(COLUMNS.map(([, read]) => neutral(read(event) ?? "")))).join(""),
};

/** Hands `parts`, one after the other, to the browser's downloads as `name-<now>`, and returns the file's name. */
export function save(parts, name, { ending, type }) {
  const file = `${name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${ending}`;
  const url = URL.createObjectURL(new Blob(parts, { type }));
  el("a", { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return file;
}

function row(cells) {
  return `${cells.map(cell).join(",")}\r\n`;
}

function json(value) {
  return value === null || value === undefined || Object.keys(value).length === 0 ? "" : JSON.stringify(value);
}

function neutral(text) {
  return CONTROLS.some((control) => text.startsWith(control)) || DANGEROUS.test(text) ? `'${text}` : text;
}

function cell(text) {
  // Half a surrogate pair has no UTF-8; it is written as JSON would.
  const whole = text.replace(/\p{Surrogate}/gu, (half) => `\\u${half.charCodeAt(0).toString(16)}`);
  return /[",\r\n]/.test(whole) ? `"${whole.replaceAll('"', '""')}"` : whole;
}
