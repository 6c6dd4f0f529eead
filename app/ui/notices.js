/** What a reader must know beside the events: what went wrong, what to do about it, and what is missing. */

import { el, theirs } from "./dom.js";
import { momentOf } from "./times.js";

/**
 * A Problem with its remedies. `actions`: [label, callback]; `rest`: errors that no field of the form shows, of which the
 * message may tell already, as of the sources. Where the gateway named a time to wait, it is counted down.
 */
export function problemNotice(problem, actions, rest = problem.errors) {
  const wait = el("p", { class: "wait" });
  const untold = [
    ...rest.map(({ parameter, message }) => `${parameter}: ${message}`),
    ...problem.sources.map(({ name, detail }) => `${name}: ${detail}`),
  ].filter((line) => !problem.message.includes(line));
  const notice = el(
    "div",
    { class: "notice problem", role: "alert" },
    el("h3", {}, problem.title),
    el("p", {}, theirs(problem.message)),
    list(untold),
    wait,
    el(
      "p",
      { class: "buttons" },
      actions.map(([label, act]) => el("button", { type: "button", click: act }, label)),
    ),
    problem.requestId ? el("p", { class: "small" }, `Request ${problem.requestId}`) : "",
  );
  if (problem.retryAfter) countDown(wait, problem.retryAfter);
  else wait.remove();
  return notice;
}

/** Whether the sources that did not fail may be shown without the others; `pairs`: what was asked. */
export function othersAreLeft(problem, pairs) {
  if (!problem.sources.length || pairs.some(([name]) => name === "partial")) return false;
  const chosen = pairs.filter(([name]) => name === "source").map(([, value]) => value);
  const failed = problem.sources.map(({ name }) => name);
  return !chosen.length || chosen.some((name) => !failed.includes(name));
}

/** Whether events are missing because a source failed. */
export function isPartial(sources) {
  return sources.some(({ status }) => status === "failed");
}

/** What is not in the answer, of the page's `sources`; null when nothing is missing. */
export function missingNotice(sources) {
  const missing = sources.filter(({ status }) => status !== "ok");
  if (!missing.length) return null;
  const words = {
    skipped: "is left out",
    forbidden: "refuses a part",
    failed: "could not answer, and its events are missing",
  };
  return el(
    "div",
    { class: "notice missing", role: "status" },
    missing.map(({ name, status, reason }) =>
      el(
        "p",
        {},
        el("strong", {}, theirs(name)),
        ` ${words[status] ?? status}`,
        reason ? [": ", theirs(reason)] : "",
        ".",
      ),
    ),
  );
}

/** What the page's address asks for and nobody understands, so that nothing is taken for filtered that is not. */
export function addressNotice(names) {
  const listed = names.flatMap((name, place) => [place ? ", " : "", el("strong", {}, theirs(name))]);
  return el(
    "div",
    { class: "notice", role: "status" },
    el("p", {}, "Not understood in this address, and left out: ", listed, "."),
  );
}

/** "Searched back to …", where the gateway's own filters let nothing through. */
export function scannedText(scannedTo) {
  return `Nothing more found as far as ${momentOf(scannedTo)}; there may be more beyond.`;
}

function list(lines) {
  return lines.length
    ? el(
        "ul",
        {},
        lines.map((line) => el("li", {}, theirs(line))),
      )
    : "";
}

function countDown(place, seconds) {
  const until = Date.now() + seconds * 1_000;
  const timer = setInterval(show, 1_000);
  show();
  function show() {
    const left = Math.ceil((until - Date.now()) / 1_000);
    place.textContent = left > 0 ? `The gateway asks for ${left} s of patience.` : "The time to wait is over.";
    if (left <= 0 || (left < seconds && !place.isConnected)) clearInterval(timer);
  }
}
