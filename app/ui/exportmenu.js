/** The Export menu, and the notice of an export that runs or ended. */

import { curlOf, download, exportQuery } from "./downloads.js";
import { Menu, copy, html, useEffect, useRef, useState, usePage } from "./lib.js";
import { ProblemNotice } from "./notices.js";

const FORMATS = [
  ["csv", "CSV for spreadsheets"],
  ["ndjson", "NDJSON, one event a line"],
];

/** `feed`: what is shown; `say(text, copyable)`; `onJob(node)` shows the state of an export. */
export function ExportMenu({ feed, say, onJob }) {
  const { session } = usePage();
  const running = useRef(null);
  const failed = feed.sources.filter(({ status }) => status === "failed").map(({ name }) => name);
  useEffect(() => () => running.current?.abort(), []);
  const close = () => onJob(null);
  const start = async (format) => {
    document.getElementById("export").hidePopover();
    running.current?.abort();
    const abort = (running.current = new AbortController());
    const stop = () => abort.abort();
    const step = (bytes) => onJob(html`<${Running} bytes=${bytes} stop=${stop} />`);
    step(0);
    try {
      const [file, gaps] = await download(session, exportQuery(feed), format, step, abort.signal);
      const without = failed.length ? ` without ${failed.join(", ")}` : "";
      onJob(html`<${Note} text="Saved as ${file}${without}.${gaps}" close=${close} />`);
    } catch (problem) {
      if (abort.signal.aborted) onJob(html`<${Note} text="Export stopped. Nothing was saved." close=${close} />`);
      else if (problem.name !== "AbortError")
        onJob(
          html`<${ProblemNotice} problem=${problem} actions=${[
            ["Try again", () => start(format)],
            ["Close", close],
          ]} />`,
        );
    }
  };
  const command = () => {
    document.getElementById("export").hidePopover();
    copy(curlOf(feed), say, "The command is copied. It reads your API key from $GATEWAY_KEY.");
  };
  return html`
    <${Menu} id="export" label="Export" title="Download everything that the filters select">
      ${failed.length > 0 && html`<p class="small">Without ${failed.join(", ")}, which did not answer.</p>`}
      ${FORMATS.map(([format, label]) => html`<button key=${format} type="button" onClick=${() => start(format)}>${label}</button>`)}
      <button type="button" onClick=${() => print()}>Print this list</button>
      <button type="button" onClick=${command}>Copy as curl</button>
    <//>
  `;
}

function Running({ bytes, stop }) {
  return html`<div class="notice" role="status">
    <p>Exporting … ${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB <button type="button" class="quiet" onClick=${stop}>Stop</button></p>
  </div>`;
}

function Note({ text, close }) {
  return html`<div class="notice" role="status"><p>${text} <button type="button" class="quiet" onClick=${close}>Close</button></p></div>`;
}
