/** One envelope: what became of it and of each recipient, every event, and its report. All of it from the API. */

import { save } from "./downloads.js";
import { Empty, Text, Time, copy, html, useEffect, useRef, useState, usePage } from "./lib.js";
import { ProblemNotice, SourceNotices } from "./notices.js";
import { Panel } from "./panel.js";
import { durationOf, secondsBetween, utcOf } from "./times.js";
import { Glyph, capital, count, groupOf, nameOf, reasonOf, sentenceOf } from "./words.js";

const STAGES = [
  ["invited_at", "Invited"],
  ["delivered_at", "Delivered"],
  ["viewed_at", "Viewed"],
  ["verified_at", "Verified"],
  ["signed_at", "Signed"],
  ["declined_at", "Declined"],
];
const IDS = [
  ["id", "Envelope id"],
  ["owner", "Owner"],
  ["flow_id", "Flow id"],
  ["workspace_id", "Workspace id"],
  ["sequence_id", "Sequence id"],
];
const BAD = ["declined", "canceled", "expired"];

/** `id`; `source`: where it is, or null for any; `back`: address of the events view. */
export function EnvelopeView({ id, source, back, say }) {
  const { session, times } = usePage();
  const [state, setState] = useState({});
  const [report, setReport] = useState(null);
  const [open, setOpen] = useState(null);
  const [turn, setTurn] = useState(0);
  const heading = useRef();
  const path = `envelopes/${encodeURIComponent(id)}`;
  const query = source ? [["source", source]] : [];
  useEffect(() => {
    const abort = new AbortController();
    session.read(path, query, abort.signal).then(
      (found) => setState({ found }),
      (problem) => problem.name !== "AbortError" && setState(({ found }) => ({ found, problem })),
    );
    return () => abort.abort();
  }, [turn]);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);

  const withReport = async (use) => {
    setReport("Making the report …");
    try {
      const answer = await session.send(`${path}/report`, query);
      use(await answer.text());
      setReport(null);
    } catch (problem) {
      if (problem.name !== "AbortError") setReport(problem.message);
    }
  };
  const saved = (text) => save(new Blob([text], { type: "text/html" }), `envelope-${id.replace(/[^\w-]/g, "_")}.html`);
  const { found, problem } = state;
  const shown = found?.events.find((event) => event.id === open);
  return html`
    <div class="view envelope-view ${shown ? "with-panel" : ""}">
      <article class="main" aria-label="Envelope ${id}">
        <div class="bar">
          <a href=${back || "#"}>← All events</a>
          ${
            found &&
            html`<span class="buttons">
              ${report && html`<span class="small" role="status">${report}</span>`}
              <button type="button" onClick=${() => copy(location.href, say, "The link to this envelope is copied.")}>Copy link</button>
              <button type="button" onClick=${() => withReport(saved)}>Save report</button>
              <button type="button" onClick=${() => withReport(printed)}>Print report</button>
            </span>`
          }
        </div>
        <h1 ref=${heading} tabindex="-1"><${Text} value=${found?.envelope.name ?? id} /></h1>
        ${!found && !problem && html`<p role="status">Loading …</p>`}
        ${problem && problem.status !== 404 && html`<${ProblemNotice} problem=${problem} actions=${[["Try again", () => setTurn(turn + 1)]]} />`}
        ${problem?.status === 404 && html`<${NoEnvelope} id=${id} source=${source} />`}
        ${found && html`<${Story} found=${found} open=${open} onOpen=${setOpen} />`}
        <p class="small">Times in ${times.label}${found?.complete_through ? `. Complete through ${times.full(found.complete_through)}` : ""}.</p>
      </article>
      ${shown && html`<${Panel} id=${open} event=${shown} focused=${true} say=${say} onClose=${() => setOpen(null)} onFilter=${(name, value) => (location.hash = `#${new URLSearchParams([[name, value]])}`)} />`}
    </div>
  `;
}

function NoEnvelope({ id, source }) {
  const search = `#${new URLSearchParams({ envelope_id: id, last: "ever" })}`;
  const where = source && html` in <${Text} value=${source} />`;
  return html`<div class="empty"><h2>No such envelope</h2>
    <p>No source has an envelope with this id${where}. Check that the id is complete, or <a href=${search}>search all events for it</a>.</p></div>`;
}

function Story({ found, open, onOpen }) {
  const { envelope, recipients, events, status } = found;
  const [first, last] = [events[0].occurred_at, events.at(-1).occurred_at];
  const group = BAD.includes(status) ? "problem" : status === "completed" ? "signed" : "prepared";
  const facts = [
    ["Status", html`<span class="tag is-${group}">${capital(status.replaceAll("_", " "))}</span>`],
    ["First event", html`<${Time} at=${first} form="full" />`],
    ["Last event", html`<${Time} at=${last} form="full" />`],
    ["Duration", durationOf(found.durations.total)],
    ["Source", html`<${Text} value=${found.source} />`],
    ...IDS.map(([name, label]) => [label, envelope[name] && html`<${Text} value=${envelope[name]} />`]),
  ];
  return html`
    <${SourceNotices} sources=${found.sources} />
    <dl class="facts">${facts.filter(([, value]) => value).map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>
    ${recipients.length > 0 && html`<${Recipients} recipients=${recipients} />`}
    <${Events} events=${events} more=${found.has_more} open=${open} onOpen=${onOpen} />
  `;
}

function Recipients({ recipients }) {
  const stages = STAGES.filter(([name]) => recipients.some((one) => one[name]));
  return html`
    <h2 id="recipients-title">Recipients</h2>
    <div class="scroll" tabindex="0" role="group" aria-labelledby="recipients-title">
      <table class="plain">
        <thead><tr>${["Recipient", "Signature", ...stages.map(([, label]) => label), "Messages"].map((label) => html`<th key=${label} scope="col">${label}</th>`)}</tr></thead>
        <tbody>
          ${recipients.map((one, place) => {
            const [failed, reminded] = [one.failures.length, one.reminders.length];
            return html`<tr key=${one.id ?? place}>
              <th scope="row">
                <${Text} value=${nameOf(one) ?? "–"} />
                ${one.name && one.email && html`<small><${Text} value=${one.email} /></small>`}
                ${one.id && (one.name || one.email) && html`<small class="id"><${Text} value=${one.id} /></small>`}
              </th>
              <td>${one.signature_type ? html`<${Text} value=${one.signature_type} />` : html`<${Empty} />`}</td>
              ${stages.map(([name]) => html`<td key=${name} class=${name === "declined_at" && one[name] ? "is-problem" : ""}>${one[name] ? html`<${Time} at=${one[name]} />` : html`<${Empty} />`}</td>`)}
              <td>
                ${failed > 0 && html`<span class="tag is-problem">${failed} failed</span> `}
                ${reminded > 0 && html`<span class="tag is-delivery">${count(reminded, "reminder", "reminders")}</span>`}
                ${!failed && !reminded && html`<${Empty} />`}
              </td>
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
  `;
}

function Events({ events, more, open, onOpen }) {
  const { times } = usePage();
  return html`
    <h2 id="steps-title">${more && "The first "}${count(events.length, "event", "events")}</h2>
    <div class="scroll" tabindex="0" role="group" aria-labelledby="steps-title">
      <table class="plain steps">
        <thead><tr>${[times.isUtc ? "Time" : "Time, and UTC", "Event", "Elapsed"].map((label) => html`<th key=${label} scope="col">${label}</th>`)}</tr></thead>
        <tbody>
          ${events.map((event, place) => {
            const group = groupOf(event);
            const reason = group === "problem" ? reasonOf(event) : null;
            return html`<tr key=${event.id} class=${event.id === open ? "is-open" : ""}>
              <td class="at"><${Time} at=${event.occurred_at} />${!times.isUtc && html`<small class="utc">${utcOf(event.occurred_at)} UTC</small>`}</td>
              <td class="what">
                <button type="button" class="quiet" onClick=${() => onOpen(event.id)}><${Glyph} group=${group} /><span>${sentenceOf(event)}</span></button>
                ${reason && html`<small>Reason: <${Text} value=${reason} /></small>`}
              </td>
              <td class="small">${place ? durationOf(secondsBetween(events[place - 1].occurred_at, event.occurred_at)) : ""}</td>
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
  `;
}

/**
 * Print the report without leaving the page. It inherits the page's policy, which admits no style in HTML: the report's
 * style goes in as a style sheet object. The sandbox keeps scripts out.
 */
function printed(report) {
  const styles = /<style[^>]*>(.*?)<\/style>/gs;
  const css = [...report.matchAll(styles)].map(([, text]) => text).join("\n");
  const src = URL.createObjectURL(new Blob([report.replace(styles, "")], { type: "text/html;charset=utf-8" }));
  document.getElementById("report")?.remove();
  const frame = Object.assign(document.createElement("iframe"), { id: "report", title: "Report", src });
  frame.sandbox = "allow-same-origin allow-modals";
  frame.addEventListener("load", () => {
    const sheet = new frame.contentWindow.CSSStyleSheet();
    sheet.replaceSync(css);
    frame.contentDocument.adoptedStyleSheets = [sheet];
    frame.contentWindow.print();
  });
  document.body.append(frame);
}
