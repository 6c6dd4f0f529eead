/**
 * The list of events: a grid that Tab enters once and the arrow keys walk through. Rows are only ever added at its end;
 * the style sheet has the browser skip the work for those out of sight.
 */

import { byId, el, theirs } from "./dom.js";
import { glyph, groupOf } from "./groups.js";
import { clockOf, dayOf, utcOf } from "./times.js";
import { actorOf, nameOf, titleOf } from "./wording.js";

const COLUMNS = ["Time", "What", "Envelope", "Done by", "Recipient", "Outcome", "Source"];
const OUTCOMES = { success: "Success", failure: "Failure" };

export class EventList {
  /** `onOpen(event, opener)`: the reader wants all of it; `opener`: the row's button. */
  constructor(onOpen) {
    this._onOpen = onOpen;
    this._grid = byId("grid");
    this._grid.addEventListener("keydown", (event) => this._onKey(event));
    this._grid.addEventListener("focusin", (event) => this._makeCurrent(event.target));
    this.clear();
  }

  clear() {
    this._rows = new Map(); // event id -> row
    this._names = new Map(); // address of a story -> its envelope's name
    this._nameless = new Map(); // address of a story -> links that wait for the name
    this._day = null;
    this._group = null;
    this._current = null;
    this._grid.replaceChildren(
      el(
        "div",
        { role: "row", class: "row head" },
        COLUMNS.map((title) => el("span", { role: "columnheader" }, title)),
      ),
    );
  }

  append(events) {
    for (const event of events) {
      const day = dayOf(event.occurred_at);
      if (day !== this._day) this._startDay(day);
      const row = this._row(event);
      this._rows.set(event.id, row);
      this._group.append(row);
    }
    if (!this._current) this._makeCurrent(this._grid.querySelector("button"));
  }

  /** Brings the rows of `events` into view, goes to the first of them, and marks them for a moment. */
  goTo(events) {
    const rows = events.map((event) => this._rows.get(event.id)).filter(Boolean);
    if (!rows.length) return;
    const first = rows.reduce((one, other) =>
      one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_PRECEDING ? other : one,
    );
    this._grid.querySelectorAll(".marked").forEach((row) => row.classList.remove("marked"));
    rows.forEach((row) => row.classList.add("marked"));
    first.querySelector("button").focus({ preventScroll: true });
    center(first);
  }

  _startDay(day) {
    this._day = day;
    this._group = el(
      "div",
      { role: "rowgroup", "aria-label": day },
      el("div", { role: "row", class: "day" }, el("span", { role: "rowheader", "aria-colspan": COLUMNS.length }, day)),
    );
    this._grid.append(this._group);
  }

  _row(event) {
    const group = groupOf(event);
    const cell = (name, ...children) => el("span", { role: "gridcell", class: name }, ...children);
    const open = (click) => {
      // A link keeps its own meaning, and so does marking text with the mouse.
      if (!click.target.closest("a") && !getSelection().toString()) this._onOpen(event, pick(click.currentTarget));
    };
    return el(
      "div",
      { role: "row", class: "row", "data-id": event.id, click: open },
      cell(
        "when",
        el("time", { datetime: event.occurred_at, title: utcOf(event.occurred_at) }, clockOf(event.occurred_at)),
      ),
      cell(
        "what",
        el(
          "button",
          { type: "button", tabindex: "-1", "aria-haspopup": "dialog" },
          glyph(group),
          el("bdi", {}, titleOf(event)),
        ),
      ),
      cell("envelope", event.envelope ? this._storyLink(event) : none()),
      cell("actor", theirs(actorOf(event))),
      cell("recipient", nameOf(event.recipient) ? theirs(nameOf(event.recipient)) : none()),
      cell(
        `outcome ${event.outcome === "failure" ? "failure" : ""}`,
        event.outcome ? (OUTCOMES[event.outcome] ?? event.outcome) : none(),
      ),
      cell("source", theirs(event.source)),
    );
  }

  /** Not every event names its envelope; then another event's name for it stands in, be it loaded before or later. */
  _storyLink(event) {
    const href = storyAddress(event);
    const { id, name } = event.envelope;
    if (name && !this._names.has(href)) {
      this._names.set(href, name);
      this._nameless.get(href)?.forEach((link) => link.replaceChildren(theirs(name)));
      this._nameless.delete(href);
    }
    const shown = name ?? this._names.get(href);
    const link = el("a", { href, tabindex: "-1", title: "This envelope’s story" }, theirs(shown ?? id));
    if (!shown) this._nameless.set(href, [...(this._nameless.get(href) ?? []), link]);
    return link;
  }

  _makeCurrent(target) {
    if (!target?.matches("button, a")) return;
    this._current?.setAttribute("tabindex", "-1");
    this._current = target;
    target.setAttribute("tabindex", "0");
  }

  _onKey(event) {
    const row = event.target.closest(".row");
    const rows = () => [...this._rows.values()];
    const step = (distance) => {
      const all = rows();
      return all[Math.max(0, Math.min(all.length - 1, all.indexOf(row) + distance))];
    };
    const moves = {
      ArrowDown: () => step(1),
      ArrowUp: () => step(-1),
      PageDown: () => step(20),
      PageUp: () => step(-20),
      Home: () => rows()[0],
      End: () => rows().at(-1),
    };
    const across = { ArrowRight: "a", ArrowLeft: "button" };
    const isLink = event.target.matches("a");
    const target = moves[event.key]
      ? pick(moves[event.key](), isLink)
      : across[event.key] && row.querySelector(across[event.key]);
    if (!target) return;
    event.preventDefault();
    target.focus();
    target.scrollIntoView({ block: "nearest" });
  }
}

/** Rows that come into sight get their true heights only then, and push this one away: it takes some rounds. */
function center(row, rounds = 5) {
  row.scrollIntoView({ block: "center", behavior: "instant" });
  if (rounds) requestAnimationFrame(() => center(row, rounds - 1));
}

/** The address of an envelope's story. */
export function storyAddress(event) {
  return `#${new URLSearchParams([
    ["envelope", event.envelope.id],
    ["source", event.source],
  ])}`;
}

function pick(row, isLink) {
  return (isLink && row.querySelector("a")) || row.querySelector("button");
}

function none() {
  return el("span", { class: "none" }, "–");
}
