/** The pages of one query, its total, and what went wrong. Views read the fields; `onChange` runs whenever they change. */

import { exportQuery } from "./downloads.js";
import { queryOf, without } from "./filters.js";

const PAGE = 200;
const EMPTY_PAGES = 5; // in a row that are passed without asking, where the gateway filters

export class Feed {
  constructor(session, onChange) {
    this._session = session;
    this._onChange = onChange;
    this._reset();
  }

  /**
   * Read the first page of `pairs`. With `keep`, a reload: rows stay until the new page is here, and if it fails or lacks a
   * source that answered before, they stay with the problem beside them.
   */
  async load(pairs, keep = false) {
    const known = keep ? this.sources.filter(({ status }) => status !== "failed").map(({ name }) => name) : [];
    this.stop();
    if (keep) this.problem = null;
    else this._reset();
    this.pairs = pairs;
    const query = queryOf(pairs, Date.now());
    this.failed = "load";
    await this._during(async (signal) => {
      const page = await this._session.read("events", [...query, ["limit", PAGE], ["partial", "true"]], signal);
      const lost = page.sources.filter(({ name, status }) => status === "failed" && known.includes(name));
      if (lost.length) this._refuse(page, lost, signal);
      else this._begin(page, signal);
    });
  }

  /** Show a reload that lacks a source after all. */
  accept() {
    const { page, signal } = this.problem.pending;
    this._begin(page, signal);
    this._onChange();
  }

  /** Read the next page. */
  async more() {
    if (this.busy || this.ended || !this.cursor) return;
    this.failed = "more"; // should it
    await this._during(async (signal) => this._append(await this._next(signal)));
  }

  /** Count the events of the window, by day. Without a count the page still works. */
  async count(exact = false) {
    const { signal } = this._abort;
    const filters = without(exportQuery(this), "order");
    const pairs = [...filters, ["by", "day"], ...(exact ? [["exact", "true"]] : [])];
    this.counting = true;
    try {
      this.total = await this._session.read("events/count", pairs, signal);
    } catch {
      // The list stands without its total.
    }
    if (signal.aborted) return;
    this.counting = false;
    this._onChange();
  }

  stop() {
    this._abort?.abort();
    this._abort = new AbortController();
  }

  _reset() {
    this.stop();
    Object.assign(this, { events: [], ids: new Set(), sources: [], warnings: [], pairs: [] });
    Object.assign(this, { window: null, cursor: null, at: null, _empty: 0 });
    Object.assign(this, { ended: false, busy: false, problem: null, scannedTo: null, total: null, counting: false });
  }

  async _during(work) {
    const { signal } = this._abort;
    this.busy = true;
    this.problem = null;
    this._onChange();
    try {
      await work(signal);
    } catch (problem) {
      if (!signal.aborted && problem.name !== "AbortError") this.problem = problem;
    }
    if (signal.aborted) return;
    this.busy = false;
    this._onChange();
    if (!this.problem && this._empty && this._empty < EMPTY_PAGES) await this.more();
  }

  _begin(page, signal) {
    const { pairs } = this;
    const abort = this._abort;
    if (signal.aborted) return;
    this._abort = null;
    this._reset();
    Object.assign(this, { pairs, _abort: abort, window: page.window, warnings: page.warnings ?? [], at: new Date() });
    this._append(page);
    this.count();
  }

  _refuse(page, lost, signal) {
    const names = lost.map(({ name, reason }) => (reason ? `${name} (${reason})` : name)).join(", ");
    const message = `No answer from ${names}. The list still shows the events of the last successful load.`;
    const title = "The list could not be refreshed";
    this.problem = { title, message, errors: [], sources: [], pending: { page, signal } };
  }

  _append(page) {
    // The API delivers every event once; the set guards the list against a page that is read twice.
    const fresh = page.data.filter(({ id }) => !this.ids.has(id));
    for (const { id } of fresh) this.ids.add(id);
    this.events = [...this.events, ...fresh];
    this.sources = page.sources;
    this.scannedTo = page.page.scanned_to;
    this.cursor = page.page.next_cursor;
    this.ended = this.cursor === null;
    this._empty = fresh.length || this.ended ? 0 : this._empty + 1;
  }

  _next(signal) {
    const query = Object.entries({ cursor: this.cursor, limit: PAGE });
    return this._session.read("events", query, signal);
  }
}
