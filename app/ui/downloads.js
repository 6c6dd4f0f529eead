/** Everything that the filters select, as a file, from `GET /events/export`; and the same as a command. */

import { BASE, Problem, unreachable } from "./api.js";
import { pinned, without } from "./filters.js";

const TYPES = { csv: "text/csv", ndjson: "application/x-ndjson" };

/** The parameters that select what `feed` shows, from the sources that answered. */
export function exportQuery({ pairs, window: shown, sources }) {
  const query = without(pinned(pairs, shown), "last", "source");
  const failed = sources.filter(({ status }) => status === "failed");
  // An export is complete or an error: it leaves a source out only if the others are named.
  const named = failed.length
    ? sources.filter(({ status }) => ["ok", "forbidden"].includes(status)).map(({ name }) => name)
    : null;
  const asked = pairs.filter(([name]) => name === "source").map(([, value]) => value);
  return [...query, ...(named ?? asked).map((name) => ["source", name])];
}

/**
 * Read an export to its end, save it, and return the file's name and a sentence on missing records.
 * `onProgress(bytes)`. Raises Problem where the export is not complete: then nothing is saved.
 */
export async function download(session, query, format, onProgress, signal) {
  // The page itself states that records cannot be read.
  const form = { format, bom: format === "csv", unreadable: "skip" };
  const answer = await session.send("events/export", [...query, ...Object.entries(form)], signal);
  const parts = [];
  let bytes = 0;
  try {
    for (const reader = answer.body.getReader(); ;) {
      const { value, done } = await reader.read();
      if (done) break;
      bytes += value.length;
      parts.push(new Blob([value])); // which the browser may keep on its disk
      onProgress(bytes);
    }
  } catch (error) {
    throw unreachable(error, answer.status);
  }
  const file = new Blob(parts, { type: TYPES[format] });
  const gaps = await (format === "ndjson" ? checkEnd(file) : estimate(session, query, signal));
  return [save(file, fileNameOf(answer) ?? `audit-events.${format}`), gaps];
}

/** By a count of a CSV export's events, which has no last line: an estimate where records may be missing. */
async function estimate(session, query, signal) {
  try {
    const { relation } = await session.read("events/count", without(query, "order"), signal);
    return relation === "estimate" ? " Records that cannot be read or were not read may be missing." : "";
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return ""; // the export itself is complete
  }
}

/** By the last line of an NDJSON export. Raises Problem if the gateway or the network ended it early. */
async function checkEnd(file) {
  const tail = await file.slice(-65_536).text();
  const last = tail.trimEnd().split("\n").at(-1);
  const end = last.includes('"complete"') ? JSON.parse(last) : null;
  if (end?.complete || end?.cursor === null) {
    const reasons = Object.entries(end.notes ?? {}).map(([name, reason]) => ` ${name}: ${reason}.`);
    return [end.bad_records ? " Records that cannot be read are left out." : "", ...reasons].join("");
  }
  const detail = `${end?.reason ? `The gateway ended it early (${end.reason}). ` : ""}Choose a shorter period, or use “audit-gateway export”, which resumes.`;
  throw new Problem(0, { title: "The export is not complete, and was not saved", detail });
}

/** Hand `file` to the browser's downloads and return its name. */
export function save(file, name) {
  const url = URL.createObjectURL(file);
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return name;
}

function fileNameOf(answer) {
  return /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
}

/** `curl` for a POSIX shell. The key stays out of it: the command reads it from $GATEWAY_KEY. */
export function curlOf({ pairs, window: shown }) {
  const all = [...without(pinned(pairs, shown), "last"), ["limit", "1000"]];
  const lines = [
    `curl -sS --get ${quoted(new URL("events", BASE).href)}`,
    `-H "Authorization: Bearer $GATEWAY_KEY"`,
    ...all.map(([name, value]) => `--data-urlencode ${quoted(`${name}=${value}`)}`),
  ];
  return lines.join(" \\\n  ");
}

/** Within single quotes a shell takes everything as it is, but for the single quote. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
