/**
 * A text field that takes several values: a choice from its suggestions, or a comma, makes what stands in it a chip,
 * which can be taken away again. Leaving the field does not: the page would move under the pointer that is on its way
 * to a button. What still stands there counts all the same.
 */

import { el } from "./dom.js";

export class ValuesInput {
  /** `label`: the field's name for screen readers' announcements of its chips. */
  constructor(input, label) {
    this.input = input;
    this._label = label;
    this._values = [];
    this._chips = el("ul", { class: "chips", "aria-label": `${label}: chosen` });
    this.element = el("div", { class: "values" }, input, this._chips);
    input.addEventListener("input", ({ inputType }) => {
      // Browsers tell a choice by this type, or by none at all.
      if (input.value.includes(",") || !inputType || inputType === "insertReplacementText") this._take();
    });
    this._show();
  }

  get values() {
    this._take();
    return [...this._values];
  }

  set values(values) {
    this._values = [...new Set(values)];
    this.input.value = "";
    this._show();
  }

  _take() {
    const written = this.input.value
      .split(",")
      .map((value) => value.trim())
      .filter(Boolean);
    if (written.length) this.values = [...this._values, ...written];
  }

  _show() {
    this._chips.hidden = this._values.length === 0;
    this._chips.replaceChildren(...this._values.map((value) => el("li", {}, this._button(value))));
  }

  _button(value) {
    const remove = () => {
      this.values = this._values.filter((other) => other !== value);
      this.input.focus();
    };
    return el(
      "button",
      { type: "button", class: "chip", "aria-label": `Remove ${this._label} ${value}`, click: remove },
      el("bdi", {}, value),
      el("span", { "aria-hidden": "true" }, "×"),
    );
  }
}
