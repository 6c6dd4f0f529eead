/** Copy as curl, and download: of whatever is shown, in the look and in a story alike. */

import { curlOf } from "./curl.js";
import { byId, el } from "./dom.js";
import { save, toCsv, toNdjson } from "./files.js";

/**
 * Buttons for `walk()`, the Walk that is shown. `name`: the beginning of the files' names.
 */
export function toolButtons(walk, name) {
  const file = (write, ending, type) => () => save(write(walk().events), `${name}-${stamp()}.${ending}`, type);
  return [
    el(
      "button",
      { type: "button", click: () => copy(curlOf(walk().pairs, walk().window, walk().events.length)) },
      "Copy as curl",
    ),
    el("button", { type: "button", click: file(toNdjson, "ndjson", "application/x-ndjson") }, "Download NDJSON"),
    el("button", { type: "button", click: file(toCsv, "csv", "text/csv") }, "Download CSV"),
  ];
}

async function copy(command) {
  byId("command-text").textContent = command;
  try {
    await navigator.clipboard.writeText(command);
    byId("command-said").textContent = "Copied. Put your API key into the variable GATEWAY_KEY first.";
  } catch {
    // Browsers offer the clipboard over HTTPS and on this machine only.
    byId("command-said").textContent = "Copy this, and put your API key into the variable GATEWAY_KEY first.";
  }
  byId("command").showModal();
}

function stamp() {
  return new Date().toISOString().slice(0, 19).replaceAll(":", "");
}
