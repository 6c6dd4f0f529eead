/**
 * The API key: asked for once, kept for this tab alone (sessionStorage ends with it) once the gateway has taken it, and
 * sent in a header, never in an address.
 */

import { byId } from "./dom.js";
import { setup } from "./setup.js";

const SLOT = "audit-gateway-key";

export class Key {
  /** `onChange()`: there is another key now. */
  constructor(onChange) {
    this._dialog = byId("key");
    this._input = byId("key-input");
    this._button = byId("key-button");
    this.value = sessionStorage.getItem(SLOT) ?? setup.knownKey;
    this._button.hidden = !setup.keyNeeded;
    this._onChange = onChange;
    this._button.addEventListener("click", () => this.demand(""));
    byId("key-enter").addEventListener("click", () => this.demand(""));
    byId("key-former").addEventListener("click", () => this._use(sessionStorage.getItem(SLOT)));
    byId("key-cancel").addEventListener("click", () => this._dialog.close());
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const value = this._input.value.trim();
      // Anything else cannot stand in a header.
      if (!/^[\x21-\x7e]+$/.test(value)) return this._say("A key has only letters, digits and signs, without blanks.");
      this._dialog.close();
      this._use(value);
    });
  }

  /** Whether there is nothing to ask the gateway with. */
  get missing() {
    return setup.keyNeeded && !this.value;
  }

  /** The gateway has taken `value`. */
  keep(value) {
    if (value === this.value && value) sessionStorage.setItem(SLOT, value);
  }

  /** The gateway does not take the key, or there is none: says so on the page, whatever becomes of the dialog. */
  refused(reason) {
    const former = sessionStorage.getItem(SLOT);
    if (former === this.value) sessionStorage.removeItem(SLOT);
    byId("key-former").hidden = !former || former === this.value;
    byId("key-notice").hidden = false;
    this.demand(reason);
  }

  /** Asks the reader for a key, and says why. */
  demand(reason) {
    this._say(reason);
    this._input.value = this.value;
    if (!this._dialog.open) this._dialog.showModal();
    this._input.select();
  }

  _use(value) {
    this.value = value;
    byId("key-notice").hidden = true;
    this._onChange();
  }

  _say(text) {
    byId("key-error").textContent = text;
    byId("key-error").hidden = !text;
    this._input.setAttribute("aria-invalid", String(Boolean(text)));
  }
}
