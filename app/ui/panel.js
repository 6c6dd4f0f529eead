/** The side panel: everything about one event, with a permanent link. */

import { BASE } from "./api.js";
import { envelopeAddress, eventAddress } from "./filters.js";
import { Text, copy, html, useEffect, useRef, useState, usePage } from "./lib.js";
import { ProblemNotice } from "./notices.js";
import { utcOf } from "./times.js";
import { Glyph, groupOf, reasonOf, sentenceOf, titleOf } from "./words.js";

const OWN = ["id", "source", "provider", "type", "provider_type", "provider_id", "category", "user_agent"];
const PARTS = [
  ["actor", "Done by"],
  ["recipient", "Recipient"],
  ["target", "Target"],
  ["envelope", "Envelope"],
  ["delivery", "Delivery"],
];
const FILTERS = { "envelope.id": "envelope_id", source: "source", type: "type" };

/**
 * `id`: the event's id; `event`: the event where it is loaded, else it is read; `onClose()`; `onStep(distance)`, absent
 * where there is no list; `onFilter(name, value)`; `focused`: whether the panel takes the focus.
 */
export function Panel({ id, event: loaded, onClose, onStep, onFilter, focused, say }) {
  const { session, times } = usePage();
  const [found, setFound] = useState({});
  const [raw, setRaw] = useState(null);
  const title = useRef();
  const event = loaded ?? (found.id === id ? found.event : null);
  useEffect(() => {
    setRaw(null);
    if (focused) title.current?.focus();
    if (loaded) return undefined;
    const abort = new AbortController();
    session.read(`events/${encodeURIComponent(id)}`, [], abort.signal).then(
      (read) => setFound({ id, event: read }),
      (problem) => problem.name !== "AbortError" && setFound({ id, problem }),
    );
    return () => abort.abort();
  }, [id, loaded === undefined]);

  const readRaw = async () => {
    setRaw({ text: "Loading …" });
    try {
      const whole = await session.read(`events/${encodeURIComponent(id)}`, [["include", "raw"]]);
      setRaw({ id, json: whole.raw });
    } catch (problem) {
      if (problem.name !== "AbortError") setRaw({ id, text: problem.message });
    }
  };
  const link = new URL(`ui${eventAddress(id)}`, BASE).href;
  const problem = found.id === id && found.problem;
  return html`
    <aside class="panel" aria-label="Event details" onKeyDown=${(press) => press.key === "Escape" && onClose()}>
      <div class="bar">
        <h2 ref=${title} tabindex="-1">${event ? html`<${Glyph} group=${groupOf(event)} /> <${Text} value=${titleOf(event)} />` : "Event"}</h2>
        <span class="buttons">
          ${onStep && html`<button type="button" class="icon" aria-label="Previous event" onClick=${() => onStep(-1)}>↑</button>`}
          ${onStep && html`<button type="button" class="icon" aria-label="Next event" onClick=${() => onStep(1)}>↓</button>`}
          <button type="button" onClick=${() => copy(link, say, "The link to this event is copied.")}>Copy link</button>
          <button type="button" class="icon" aria-label="Close" onClick=${onClose}>×</button>
        </span>
      </div>
      <div class="body">
        ${!event && !problem && html`<p role="status">Loading …</p>`}
        ${problem && html`<${ProblemNotice} problem=${problem} />`}
        ${event && html`<${Details} event=${event} times=${times} onFilter=${onFilter} />`}
        ${
          event &&
          html`<section>
            <h3>Provider’s record</h3>
            ${raw?.json === undefined && html`<button type="button" onClick=${readRaw}>Show raw record</button>`}
            <div aria-live="polite">${raw && (raw.json === undefined ? html`<p class="small">${raw.text}</p>` : html`<${Json} value=${raw.json} />`)}</div>
          </section>`
        }
      </div>
    </aside>
  `;
}

function Details({ event, times, onFilter }) {
  const reason = reasonOf(event);
  return html`
    <p class="lead">${sentenceOf(event)}</p>
    ${reason && html`<p>Reason: <${Text} value=${reason} /></p>`}
    <dl>
      ${!times.isUtc && html`<div><dt>Time, local</dt><dd>${times.full(event.occurred_at)} <small>${times.label}</small></dd></div>`}
      <div><dt>Time, UTC</dt><dd>${utcOf(event.occurred_at)}</dd></div>
      ${event.outcome === "failure" && html`<div><dt>Outcome</dt><dd><span class="tag is-problem">Failed</span></dd></div>`}
      ${event.description && html`<div><dt>Description</dt><dd><${Text} value=${event.description} /></dd></div>`}
    </dl>
    ${PARTS.filter(([part]) => event[part]).map(
      ([part, heading]) => html`
        <section key=${part}>
          <h3>
            ${heading}
            ${part === "envelope" && html` <a class="small" href=${envelopeAddress(event.envelope.id, event.source)}>Open envelope</a>`}
          </h3>
          <${Fields} pairs=${Object.entries(event[part]).map(([name, value]) => [name, value, `${part}.${name}`])} onFilter=${onFilter} />
        </section>
      `,
    )}
    <section>
      <h3>Event</h3>
      <${Fields} pairs=${OWN.map((name) => [name, event[name], name])} onFilter=${onFilter} />
    </section>
    ${Object.keys(event.data).length > 0 && html`<section><h3>Data</h3><${Json} value=${event.data} /></section>`}
  `;
}

function Fields({ pairs, onFilter }) {
  return html`
    <dl>
      ${pairs
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([name, value, path]) => {
          const filter = FILTERS[path] ?? (/\.email$/.test(path) ? "person" : null);
          const isMasked = String(value).includes("***");
          return html`<div key=${name}>
            <dt>${name.replaceAll("_", " ")}</dt>
            <dd>
              <${Text} value=${value} />
              ${filter && !isMasked && html` <button type="button" class="quiet filter" aria-label="Filter by ${name} ${value}" onClick=${() => onFilter(filter, value)}>Filter</button>`}
            </dd>
          </div>`;
        })}
    </dl>
  `;
}

function Json({ value }) {
  return html`<pre tabindex="0"><${Text} value=${JSON.stringify(value, null, 2)} /></pre>`;
}
