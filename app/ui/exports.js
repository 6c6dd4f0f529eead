/**
 * All that filters select, from `GET /events/export`, into a file. It is read as NDJSON whatever the file is to be: only
 * there the last line tells whether all came.
 */

import { el, theirs } from "./dom.js";
import { save } from "./files.js";
import { pinned } from "./filters.js";
import { problemNotice } from "./notices.js";

const REASONS = { deadline: "it took longer than the gateway allows", stopping: "the gateway is being stopped" };

export class Exports {
  /** `place`: where each is told of; `readLines(pairs, signal)`: what is in the export's lines, some at a time. */
  constructor(place, readLines) {
    this._place = place;
    this._readLines = readLines;
    this._under = new Set(); // AbortControllers
  }

  /** Stops all, and saves nothing. */
  forget() {
    for (const abort of this._under) abort.abort();
    this._place.replaceChildren();
  }

  /** All that the filters of `walk` select, but of the sources that fail. `name`: the beginning of the file's name. */
  start(walk, name, format) {
    const failed = walk.sources.filter(({ status }) => status === "failed").map((source) => source.name);
    const pairs = pinned(walk.pairs, walk.window).filter(([key]) => key !== "partial");
    const job = { name, format, pairs, failed, count: 0, last: null, parts: [format.header], box: el("div") };
    if (failed.length) {
      // An export is complete or says that it is not: it leaves nobody out unless the others are named.
      const others = walk.sources.filter(({ status }) => status === "ok" || status === "forbidden");
      job.pairs = [...pairs.filter(([key]) => key !== "source"), ...others.map((source) => ["source", source.name])];
      job.name = `${name}-part`;
    }
    this._place.append(job.box);
    return this._run(job);
  }

  async _run(job) {
    const abort = new AbortController();
    const progress = el("p", {});
    this._under.add(abort);
    this._tell(job, {}, progress, [["Stop", () => abort.abort()]]);
    const step = () => (progress.textContent = `Downloading … ${events(job.count)} so far`);
    step();
    try {
      this._end(job, await this._readAll(job, abort.signal, step));
    } catch (problem) {
      if (problem.name === "AbortError") this._tell(job, { role: "status" }, "Stopped. Nothing was saved.", []);
      else if (job.count) this._broken(job, "the connection was cut");
      else job.box.replaceChildren(problemNotice(problem, [["Try again", () => this._run(job)], this._closing(job)]));
    } finally {
      this._under.delete(abort);
    }
  }

  /** What the export's last line tells, or null where there is no such line. */
  async _readAll(job, signal, step) {
    // A connection broke: the same again, behind the last event that came whole.
    const pairs = job.last ? [...job.pairs, ["after", job.last]] : job.pairs;
    for await (const all of this._readLines(pairs, signal)) {
      const end = all.at(-1)?.complete === undefined ? null : all.pop();
      if (all.length) {
        job.count += all.length;
        job.last = all.at(-1).id;
        job.parts.push(new Blob([job.format.rows(all)])); // which the browser may keep on its disk
        step();
      }
      if (end) return end;
    }
    return null;
  }

  _end(job, end) {
    if (!end?.complete) {
      return this._broken(job, end ? (REASONS[end.reason] ?? end.reason) : "the connection was cut");
    }
    const file = save(job.parts, job.name, job.format);
    const missing = [
      ...job.failed.map((name) => `${name}, which could not answer`),
      ...Object.entries(end.forbidden ?? {}).map(([name, what]) => `${name}: ${what}`),
    ];
    return this._tell(
      job,
      { role: "status" },
      `Saved as ${file}: ${events(job.count)}, all that the filters select${missing.length ? ", without " : "."}`,
      [],
      missing.join("; "),
    );
  }

  _broken(job, reason) {
    const name = `${job.name.replace(/-part$/, "")}-part-${job.count}-events`;
    this._tell(
      job,
      { role: "alert", class: "notice problem" },
      `The export was broken off after ${events(job.count)}: `,
      [
        ["Go on", () => this._run(job)],
        [`Save these ${job.count.toLocaleString("en")}`, () => save(job.parts, name, job.format)],
      ],
      reason,
    );
  }

  _closing({ box }) {
    return ["Close", () => box.remove()];
  }

  /** `said` and what others said of it, `quoted`, with buttons; one to close it where it is over. */
  _tell(job, attributes, said, actions, quoted = "") {
    const over = attributes.role ? [this._closing(job)] : [];
    job.box.replaceChildren(
      el(
        "div",
        { class: "notice", ...attributes },
        el("p", {}, said, theirs(quoted)),
        el(
          "p",
          { class: "buttons" },
          [...actions, ...over].map(([label, act]) => el("button", { type: "button", click: act }, label)),
        ),
      ),
    );
  }
}

function events(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "event" : "events"}`;
}
