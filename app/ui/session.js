/**
 * The caller: the API key and its identity (`GET /me`).
 *
 * The key is in sessionStorage, which ends with the tab, and never in an address or a cookie. A new tab gets it from the
 * open tabs of the same origin, so that a person enters it once in a session. Behind a proxy that signs people in, `/me`
 * needs no key.
 */

import { BASE, read, send } from "./api.js";
import { setup } from "./setup.js";

const SLOT = "audit-gateway-key";
const ANSWER_WITHIN = 150; // ms that other tabs have to hand over the key

export class Session {
  /** `onChange()` runs whenever the identity or the reason to ask for a key changes. */
  constructor(onChange) {
    this.me = null; // body of /me
    this.key = "";
    this.started = false; // whether the gateway was asked who this is
    this.generation = 0; // grows with each identity; whatever belongs to an older one is dropped
    this.asking = null; // why a key is asked for, or null
    this.problem = null; // why the identity is unknown
    this._onChange = onChange;
    this._tabs = new BroadcastChannel(`audit-gateway:${BASE.pathname}`);
    this._tabs.onmessage = ({ data }) => this._hear(data);
  }

  async start() {
    const kept = sessionStorage.getItem(SLOT) || (await this._ofOtherTabs());
    await this.use(kept || setup.knownKey, true);
  }

  /** Sign in with `key` ("": none, as behind a proxy). A key that is refused replaces no good one. */
  async use(key, first = false) {
    this.problem = null;
    try {
      const me = await read("me", [], key);
      if (key) sessionStorage.setItem(SLOT, key);
      Object.assign(this, { me, key, asking: null, generation: this.generation + 1 });
    } catch (problem) {
      if (problem.status !== 401 || !problem.fromGateway) this.problem = problem;
      else if (!key || (first && key === setup.knownKey)) this.asking = "";
      else this.asking = "The gateway does not accept this key. Check that it is complete and has not expired.";
      if (first && problem.status === 401) sessionStorage.removeItem(SLOT);
    }
    this.started = true;
    this._onChange();
  }

  /** Show the key dialog. */
  ask(reason = "") {
    this.asking = reason;
    this._onChange();
  }

  /** Close the key dialog without a change. */
  cancel() {
    this.asking = null;
    this._onChange();
  }

  /** Forget the key here and in all tabs. */
  signOut() {
    this._tabs.postMessage({ forget: true });
    this._forget("");
  }

  /** The current key stopped being accepted. */
  refused(problem) {
    this.problem = problem.fromGateway ? null : problem;
    this._forget(this.problem ? null : this.key ? "The gateway no longer accepts this key." : "");
  }

  /** Whether the caller has `scope`; true where the caller is unknown. */
  may(scope) {
    return this.me?.scopes.includes(scope) ?? true;
  }

  read(path, pairs = [], signal = undefined) {
    return this._watched(read(path, pairs, this.key, signal));
  }

  send(path, pairs = [], signal = undefined) {
    return this._watched(send(path, pairs, this.key, signal));
  }

  async _watched(answer) {
    const { generation } = this;
    const [result, problem] = await answer.then(
      (value) => [value],
      (error) => [null, error],
    );
    if (generation !== this.generation) throw new DOMException("late answer to another identity", "AbortError");
    if (!problem) return result;
    if (problem.status === 401) this.refused(problem);
    throw problem;
  }

  _forget(reason) {
    sessionStorage.removeItem(SLOT);
    Object.assign(this, { me: null, key: "", asking: reason, generation: this.generation + 1 });
    this._onChange();
  }

  _hear(message) {
    if (message.wanted && this.key && this.key !== setup.knownKey) this._tabs.postMessage({ key: this.key });
    else if (message.key) this._given?.(message.key);
    else if (message.forget && this.key) this._forget("");
  }

  _ofOtherTabs() {
    this._tabs.postMessage({ wanted: true });
    return new Promise((resolve) => {
      this._given = resolve;
      setTimeout(resolve, ANSWER_WITHIN, "");
    });
  }
}
