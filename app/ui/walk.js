/** The pages of one query, one after the other. */

export class Walk {
  /** `read(pairs, signal)` gives a page. `pairs`: the filters; `limit`: events a page. */
  constructor(read, pairs, limit) {
    this.pairs = pairs;
    this.limit = limit;
    this.window = null; // of the first page, which every further page keeps
    this.events = [];
    this.sources = [];
    this.scannedTo = null;
    this.ended = false;
    this.underWay = false;
    this._read = read;
    this._cursor = null;
    this._seen = new Set();
    this._abort = new AbortController();
  }

  /** The events of the next page; one at a time. After a Problem, asking again goes on from the same cursor. */
  async next() {
    this.underWay = true;
    try {
      return await this._next();
    } finally {
      this.underWay = false;
    }
  }

  /** No page will come any more. */
  stop() {
    this.ended = true;
    this._abort.abort();
  }

  async _next() {
    const place = this._cursor === null ? this.pairs : [["cursor", this._cursor]];
    const page = await this._read([...place, ["limit", this.limit]], this._abort.signal);
    // The API delivers every event once; the set only guards the list against a page taken twice.
    const fresh = page.data.filter((event) => !this._seen.has(event.id));
    for (const event of fresh) this._seen.add(event.id);
    this.events.push(...fresh);
    this.window ??= page.window;
    this.sources = page.sources;
    this.scannedTo = page.page.scanned_to;
    this._cursor = page.page.next_cursor;
    this.ended = this._cursor === null;
    return fresh;
  }
}
