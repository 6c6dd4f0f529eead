/** The story of one envelope: reads all its events, from the first to the last, and has them shown. */

import { byId, el } from "./dom.js";
import { Exports } from "./exports.js";
import { isPartial, missingNotice, othersAreLeft, problemNotice } from "./notices.js";
import { tell } from "./story.js";
import { showStory } from "./story-view.js";
import { toolsFor } from "./tools.js";
import { Walk } from "./walk.js";

const PAGE = 1_000;

export class Tale {
  /** As `Look`'s. */
  constructor(read, readLines, onKeyProblem, onOpen) {
    this._read = read;
    this._onKeyProblem = onKeyProblem;
    this._onOpen = onOpen;
    this._walk = null;
    this._exports = new Exports(byId("story-exports"), (pairs, signal) => readLines("events/export", pairs, signal));
  }

  /** `envelope`: its id; `source`: where it is, or null for wherever it may be. */
  async show(envelope, source) {
    this._walk?.stop();
    this._exports.forget();
    byId("story-title").replaceChildren(el("bdi", {}, envelope));
    await this._begin([["envelope_id", envelope], ["order", "asc"], ...(source ? [["source", source]] : [])]);
  }

  /** Takes everything off the page that the gateway answered, and shows nothing until `show`. */
  forget() {
    this._walk?.stop();
    this._walk = null;
    this._exports.forget();
    for (const place of ["story-title", "story-body", "story-said"]) byId(place).replaceChildren();
    byId("story-tools").hidden = true;
  }

  async _begin(pairs) {
    this._walk = new Walk((query, signal) => this._read("events", query, signal), pairs, PAGE);
    byId("story-body").replaceChildren();
    byId("story-tools").hidden = true;
    await this._readAll(this._walk);
  }

  async _readAll(walk) {
    let fresh;
    this._say("Reading …");
    try {
      do {
        fresh = await walk.next();
        if (walk !== this._walk) return;
        this._say(`Reading … ${walk.events.length} events`);
      } while (!walk.ended && !this._waitsForOne(walk, fresh));
    } catch (problem) {
      if (walk === this._walk && problem.name !== "AbortError") this._fail(walk, problem);
      return;
    }
    if (!walk.events.length) return this._say("No source knows an envelope with this id, or it has no events.");
    this._say("");
    const exportAll = (all, format) => this._exports.start(all, "envelope", format);
    byId("story-tools").replaceChildren(
      ...toolsFor(walk, "envelope", exportAll),
      el("button", { type: "button", click: () => print() }, "Print"),
    );
    byId("story-tools").hidden = false;
    showStory(tell(walk.events), missingNotice(walk.sources), this._onOpen);
  }

  /** The cursor of a source that failed stays, and only that source is left to be read. */
  _waitsForOne(walk, fresh) {
    return isPartial(walk.sources) && fresh.length < PAGE && !walk.scannedTo;
  }

  _fail(walk, problem) {
    this._say("");
    if (problem.status === 401) return this._onKeyProblem(problem);
    const others = othersAreLeft(problem, walk.pairs)
      ? [["Show the others", () => this._begin([...walk.pairs, ["partial", "true"]])]]
      : [];
    byId("story-body").replaceChildren(problemNotice(problem, [["Try again", () => this._again(walk)], ...others]));
  }

  _again(walk) {
    byId("story-body").replaceChildren();
    return this._readAll(walk);
  }

  _say(text) {
    byId("story-said").textContent = text;
  }
}
