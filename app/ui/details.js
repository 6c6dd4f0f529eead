/** One event, whole, in a dialog; its raw record only when it is asked for. */

import { byId, el, theirs } from "./dom.js";
import { glyph, groupOf } from "./groups.js";
import { storyAddress } from "./list.js";
import { clockOf, dayOf, utcOf } from "./times.js";
import { titleOf } from "./wording.js";

const OWN = [
  "source",
  "provider",
  "type",
  "provider_type",
  "category",
  "outcome",
  "provider_id",
  "description",
  "user_agent",
  "id",
];
const PARTS = ["actor", "recipient", "envelope", "delivery"];

export class Details {
  /** `readRaw(id)` gives the event with its raw record, or raises Problem. */
  constructor(readRaw) {
    this._readRaw = readRaw;
    this._dialog = byId("details");
    byId("details-close").addEventListener("click", () => this._dialog.close());
    // A click beside the dialog lands on the dialog's own backdrop.
    this._dialog.addEventListener("click", (event) => event.target === this._dialog && this._dialog.close());
  }

  /** `opener`: the control that gets the focus when the dialog closes. A click with the mouse may have left it nowhere. */
  open(event, opener) {
    const raw = el("div", { class: "raw", "aria-live": "polite" });
    const button = el(
      "button",
      { type: "button", click: () => this._showRaw(event, raw, button) },
      "Show the provider’s raw record",
    );
    const close = () => this._dialog.close();
    byId("details-title").replaceChildren(glyph(groupOf(event)), theirs(titleOf(event)));
    byId("details-body").replaceChildren(
      el(
        "p",
        { class: "lead" },
        el("time", { datetime: event.occurred_at }, `${dayOf(event.occurred_at)}, ${clockOf(event.occurred_at)}`),
        el("span", { class: "utc" }, utcOf(event.occurred_at)),
      ),
      event.envelope ? el("p", {}, el("a", { href: storyAddress(event), click: close }, "This envelope’s story")) : "",
      fields(
        "Event",
        OWN.map((name) => [name, event[name]]),
      ),
      ...PARTS.filter((part) => event[part]).map((part) => fields(part, Object.entries(event[part]))),
      ...(Object.keys(event.data).length ? [section("data", pretty(event.data))] : []),
      button,
      raw,
    );
    opener.focus({ preventScroll: true });
    this._dialog.showModal();
    byId("details-body").scrollTop = 0;
  }

  /** Closes, and keeps nothing of the event. */
  forget() {
    this._dialog.close();
    byId("details-title").replaceChildren();
    byId("details-body").replaceChildren();
  }

  async _showRaw(event, place, button) {
    button.disabled = true;
    place.replaceChildren(el("p", {}, "Reading …"));
    try {
      const whole = await this._readRaw(event.id);
      place.replaceChildren(section("raw", pretty(whole.raw)));
      button.hidden = true;
    } catch (problem) {
      place.replaceChildren(el("p", { class: "error" }, problem.message));
    }
    button.disabled = false;
  }
}

function fields(title, pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined);
  return section(
    title,
    el(
      "dl",
      {},
      given.map(([name, value]) => [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, theirs(String(value)))]),
    ),
  );
}

function section(title, content) {
  return el("section", {}, el("h3", {}, title), content);
}

function pretty(value) {
  return el("pre", { tabindex: "0" }, JSON.stringify(value, null, 2));
}
