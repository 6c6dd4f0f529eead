/**
 * The API key: asked for once, kept for this tab alone (sessionStorage ends with it), and sent in a header, never in an
 * address.
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
    this._button.addEventListener("click", () => this.demand(""));
    byId("key-cancel").addEventListener("click", () => this._dialog.close());
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const value = this._input.value.trim();
      // Anything else cannot stand in a header.
      if (!/^[\x21-\x7e]+$/.test(value)) return this._say("A key has only letters, digits and signs, without blanks.");
      sessionStorage.setItem(SLOT, value);
      this.value = value;
      this._dialog.close();
      onChange();
    });
  }

  /** Whether there is nothing to ask the gateway with. */
  get missing() {
    return setup.keyNeeded && !this.value;
  }

  /** Asks the reader for a key, and says why. */
  demand(reason) {
    this._say(reason);
    this._input.value = this.value;
    if (!this._dialog.open) this._dialog.showModal();
    this._input.select();
  }

  _say(text) {
    byId("key-error").textContent = text;
    byId("key-error").hidden = !text;
    this._input.setAttribute("aria-invalid", String(Boolean(text)));
  }
}
