/** What a reader must know beside the events: what failed, what is missing, what was not understood. */

import { Text, html, useEffect, useState } from "./lib.js";
import { count } from "./words.js";

/** A problem with its remedies. `actions`: [[label, callback]]; `note`: what remains of the page. */
export function ProblemNotice({ problem, actions = [], note }) {
  const lines = [
    ...problem.errors.map(({ parameter, message }) => `${parameter}: ${message}`),
    ...problem.sources.map(({ name, detail }) => `${name}: ${detail}`),
  ].filter((line) => !problem.message.includes(line.slice(line.indexOf(": ") + 2)));
  return html`
    <div class="notice problem" role="alert">
      <h2>${problem.title}</h2>
      <p><${Text} value=${problem.message.replaceAll(" (in a URL write + as %2B)", "")} /> ${note}</p>
      ${lines.length > 0 && html`<ul>${lines.map((line) => html`<li key=${line}><${Text} value=${line} /></li>`)}</ul>`}
      ${problem.retryAfter && html`<${Wait} key=${problem.requestId} seconds=${problem.retryAfter} />`}
      <p class="buttons">${actions.map(([label, act]) => html`<button key=${label} type="button" onClick=${act}>${label}</button>`)}</p>
      ${problem.requestId && html`<p class="small">Request ${problem.requestId}</p>`}
    </div>
  `;
}

/** A countdown to the time that the gateway named. */
function Wait({ seconds }) {
  const [left, setLeft] = useState(Math.ceil(seconds));
  useEffect(() => {
    const timer = setInterval(() => setLeft((now) => Math.max(0, now - 1)), 1_000);
    return () => clearInterval(timer);
  }, []);
  return html`<p>${left ? `Try again in ${count(left, "second", "seconds")}.` : "You can try again now."}</p>`;
}

const WORDS = {
  failed: "did not answer. Its events are missing",
  forbidden: "does not let the gateway read everything. Some of its events are missing",
  skipped: "is left out",
};

/** Sources that did not give everything, one line each. `retry`: reload; absent where that cannot help. */
export function SourceNotices({ sources, retry }) {
  const lacking = sources.filter(({ status, reason }) => status !== "ok" || reason);
  return lacking.map(
    ({ name, status, reason }) => html`
      <div key=${name} class="notice ${status === "failed" ? "problem" : "warning"}" role="status">
        <p>
          <strong><${Text} value=${name} /></strong>${status !== "ok" && ` ${WORDS[status] ?? status}`}${reason && html`${status === "ok" ? ": " : ". Reason: "}<${Text} value=${reason} />`}.
          ${status === "failed" && retry && html` <button type="button" class="quiet" onClick=${retry}>Try again</button>`}
        </p>
      </div>
    `,
  );
}

/** Warnings of the API: a value that can match nothing, with the nearest known one. */
export function Warnings({ warnings }) {
  return warnings.map(({ parameter, message }) => {
    const text = `${parameter}: ${message}`;
    return html`<div key=${text} class="notice warning" role="status"><p><${Text} value=${text} /></p></div>`;
  });
}

/** Names in the page's address that mean nothing. */
export function UnknownNames({ names }) {
  if (!names?.length) return null;
  return html`
    <div class="notice warning" role="status">
      <p>Not understood in this address, and ignored: <strong><${Text} value=${names.join(", ")} /></strong>.</p>
    </div>
  `;
}
