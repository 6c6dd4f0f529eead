/** The story of one envelope: reads all its events, from the first to the last, and has them shown. */

import { byId, el } from "./dom.js";
import { problemNotice } from "./notices.js";
import { tell } from "./story.js";
import { showStory } from "./story-view.js";
import { toolButtons } from "./tools.js";
import { Walk } from "./walk.js";

const PAGE = 1_000;

export class Tale {
  /** As `Look`'s. */
  constructor(read, onKeyProblem, onOpen) {
    this._read = read;
    this._onKeyProblem = onKeyProblem;
    this._onOpen = onOpen;
    this._walk = null;
    byId("story-tools").append(
      ...toolButtons(() => this._walk, "envelope"),
      el("button", { type: "button", click: () => print() }, "Print"),
    );
  }

  /** `envelope`: its id; `source`: where it is, or null for wherever it may be. */
  async show(envelope, source) {
    this._walk?.stop();
    const pairs = [["envelope_id", envelope], ["order", "asc"], ...(source ? [["source", source]] : [])];
    const walk = (this._walk = new Walk((query, signal) => this._read("events", query, signal), pairs, PAGE));
    byId("story-title").replaceChildren(el("bdi", {}, envelope));
    byId("story-body").replaceChildren();
    byId("story-tools").hidden = true;
    await this._readAll(walk);
  }

  /** Takes everything off the page that the gateway answered, and shows nothing until `show`. */
  forget() {
    this._walk?.stop();
    this._walk = null;
    for (const place of ["story-title", "story-body", "story-said"]) byId(place).replaceChildren();
    byId("story-tools").hidden = true;
  }

  async _readAll(walk) {
    this._say("Reading …");
    try {
      do {
        await walk.next();
        if (walk !== this._walk) return;
        this._say(`Reading … ${walk.events.length} events`);
      } while (!walk.ended);
    } catch (problem) {
      if (walk === this._walk && problem.name !== "AbortError") this._fail(walk, problem);
      return;
    }
    if (!walk.events.length) return this._say("No source knows an envelope with this id, or it has no events.");
    this._say("");
    byId("story-tools").hidden = false;
    showStory(tell(walk.events), this._onOpen);
  }

  _fail(walk, problem) {
    this._say("");
    if (problem.status === 401) return this._onKeyProblem(problem);
    byId("story-body").replaceChildren(problemNotice(problem, [["Try again", () => this._again(walk)]]));
  }

  _again(walk) {
    byId("story-body").replaceChildren();
    return this._readAll(walk);
  }

  _say(text) {
    byId("story-said").textContent = text;
  }
}
