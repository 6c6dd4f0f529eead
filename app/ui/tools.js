/** Copy as curl, and download: of whatever is shown, in the look and in a story alike. */

import { MOST, curlOf } from "./curl.js";
import { byId, el } from "./dom.js";
import { CSV, NDJSON, save } from "./files.js";

/**
 * The tools for `walk`, the Walk that is shown. `name`: the beginning of the files' names; `exportAll(walk, format)`: the
 * reader wants all that its filters select, of which only a part is here.
 */
export function toolsFor(walk, name, exportAll) {
  const { length } = walk.events;
  const saveAs = (title) => (format) => save([format.header, format.rows(walk.events)], title, format);
  const failed = walk.sources.filter(({ status }) => status === "failed").map((source) => source.name);
  const all = failed.length ? `Download all but ${failed.join(", ")}` : "Download all";
  return [
    el("button", { type: "button", click: () => copy(walk) }, "Copy as curl"),
    ...(walk.ended
      ? [choice("Download all", saveAs(name))]
      : [
          length
            ? choice(`Download these ${length.toLocaleString("en")}`, saveAs(`${name}-part-${length}-events`))
            : "",
          choice(all, (format) => exportAll(walk, format)),
        ]),
  ];
}

/** One button a format. */
function choice(label, onChoose) {
  return el(
    "span",
    { class: "choice" },
    el("span", { "aria-hidden": "true" }, label),
    [NDJSON, CSV].map((format) =>
      el(
        "button",
        { type: "button", "aria-label": `${label} as ${format.title}`, click: () => onChoose(format) },
        format.title,
      ),
    ),
  );
}

async function copy(walk) {
  const count = walk.events.length;
  const command = curlOf(walk.pairs, walk.window, count);
  const part = !walk.ended || count > MOST ? ` It gives the first ${Math.min(count, MOST).toLocaleString("en")}.` : "";
  byId("command-text").textContent = command;
  try {
    await navigator.clipboard.writeText(command);
    byId("command-said").textContent = `Copied.${part} Put your API key into the variable GATEWAY_KEY first.`;
  } catch {
    // Browsers offer the clipboard over HTTPS and on this machine only.
    byId("command-said").textContent = `Copy this, and put your API key into the variable GATEWAY_KEY first.${part}`;
  }
  byId("command").showModal();
}
