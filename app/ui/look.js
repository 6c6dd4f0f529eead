/** The look at the trail: filters, timeline, and the list that goes on by cursor. */

import { byId } from "./dom.js";
import { Exports } from "./exports.js";
import { FilterForm } from "./filter-form.js";
import { fromFragment, notUnderstood, toFragment, toQuery } from "./filters.js";
import { EventList } from "./list.js";
import { addressNotice, missingNotice, othersAreLeft, problemNotice, scannedText } from "./notices.js";
import { zoneName } from "./times.js";
import { Timeline } from "./timeline.js";
import { toolsFor } from "./tools.js";
import { Walk } from "./walk.js";

const PAGE = 200;
const EMPTY = 5; // empty pages in a row that are gone through unasked
const NEAR = 600; // px from the end of the list, where the next page is asked for

export class Look {
  /**
   * `read(path, pairs, signal)` asks the API, and `readLines` alike, line by line; `onKeyProblem(problem)`: the key is no
   * good; `onOpen(event, opener)`.
   */
  constructor(read, readLines, onKeyProblem, onOpen) {
    this._read = read;
    this._onKeyProblem = onKeyProblem;
    this._walk = null;
    this._known = new Set();
    this._form = new FilterForm((pairs) => this._apply(pairs));
    this._list = new EventList(onOpen);
    this._timeline = new Timeline((bin) => this._list.goTo(bin.events));
    this._exports = new Exports(byId("exports"), (pairs, signal) => readLines("events/export", pairs, signal));
    byId("zone").textContent = `Times in ${zoneName()}`;
    byId("load-more").addEventListener("click", () => this._more());
    const onward = () => this._walk && !this._failed && isNearEnd() && this._more();
    new IntersectionObserver(onward, { rootMargin: `${NEAR}px` }).observe(byId("end"));
  }

  /** Shows what the address's `fragment` asks for, anew. */
  async show(fragment) {
    const pairs = fromFragment(fragment);
    this._clear();
    this._form.write(pairs);
    const strange = notUnderstood(fragment);
    if (strange.length) byId("address-notice").replaceChildren(addressNotice(strange));
    this._walk = new Walk((query, signal) => this._read("events", query, signal), toQuery(pairs, new Date()), PAGE);
    this._fragment = fragment;
    this._empty = 0;
    await this._more();
  }

  /** Takes everything off the page that the gateway answered, and shows nothing until `show`. */
  forget() {
    this._clear();
    this._exports.forget();
    this._walk = null;
    this._known.clear();
    this._form.forget();
    this._busy(false);
  }

  /** Whether `fragment` is what is shown, and worked. */
  shows(fragment) {
    return this._fragment === fragment && this._walk !== null && !this._failed;
  }

  suggestTypes({ data, providers }) {
    const stems = new Set(data.map(({ type }) => `${type.split(".")[0]}.*`));
    const mappings = data.flatMap(({ mappings }) => mappings);
    this._form.suggest("type", [...stems, ...data.map(({ type }) => type), "unknown"]);
    this._form.suggest(
      "provider",
      providers.map(({ name }) => name),
    );
    this._form.suggest("category", [...new Set(mappings.map(({ category }) => category))]);
    this._form.suggest("provider_type", [...new Set(mappings.map(({ provider_type }) => provider_type))]);
  }

  _apply(pairs) {
    const fragment = toFragment(pairs);
    // The same filters again mean: look anew, up to now.
    if (fragment === location.hash) return this.show(fragment);
    location.hash = fragment;
  }

  _clear() {
    this._walk?.stop();
    this._list.clear();
    this._timeline.clear();
    byId("load-more").hidden = true;
    byId("look-tools").hidden = true;
    for (const place of ["address-notice", "count", "scanned", "look-notices", "list-notices"])
      byId(place).replaceChildren();
  }

  async _more() {
    const walk = this._walk;
    if (walk.ended || walk.underWay) return;
    this._failed = false;
    this._busy(true);
    try {
      const fresh = await walk.next();
      if (walk !== this._walk) return;
      this._empty = fresh.length ? 0 : this._empty + 1;
      this._list.append(fresh);
      this._shown(walk);
    } catch (problem) {
      if (walk === this._walk && problem.name !== "AbortError") this._fail(problem);
      return;
    } finally {
      if (walk === this._walk) this._busy(false);
    }
    // Still near the end: a short page, or one that the gateway's filters left empty.
    requestAnimationFrame(() => {
      if (isNearEnd() && walk === this._walk && this._empty < EMPTY) this._more();
    });
  }

  _shown(walk) {
    const count = walk.events.length;
    for (const { name } of walk.sources) this._known.add(name);
    this._form.suggest("source", [...this._known].sort());
    this._timeline.show(walk.events, spanOf(walk), walk.ended);
    const events = `${count.toLocaleString("en")} ${count === 1 ? "event" : "events"}`;
    byId("count").textContent = walk.ended
      ? count
        ? `${events}, all there are`
        : "No event matches these filters"
      : `${events} loaded, more to come`;
    byId("scanned").textContent = walk.scannedTo && !walk.ended ? scannedText(walk.scannedTo) : "";
    byId("load-more").hidden = walk.ended;
    const exportAll = (walk, format) => this._exports.start(walk, "audit-trail", format);
    byId("look-tools").replaceChildren(...toolsFor(walk, "audit-trail", exportAll));
    byId("look-tools").hidden = false;
    byId("look-notices").replaceChildren(...[missingNotice(walk.sources)].filter(Boolean));
  }

  _fail(problem) {
    this._failed = true;
    byId("count").textContent = this._walk.events.length
      ? `${this._walk.events.length.toLocaleString("en")} events loaded`
      : "";
    byId("load-more").hidden = true;
    if (problem.status === 401) return this._onKeyProblem(problem);
    const rest = this._form.showErrors(problem.errors);
    const place = this._walk.events.length ? "list-notices" : "look-notices";
    const again =
      problem.status === 400 ? ["Start over", () => this.show(this._fragment)] : ["Try again", () => this._more()];
    const key = problem.status === 403 ? [["Use another key", () => this._onKeyProblem(problem)]] : [];
    const others = othersAreLeft(problem, this._walk.pairs)
      ? [["Show the others", () => this._apply([...fromFragment(this._fragment), ["partial", "true"]])]]
      : [];
    byId(place).replaceChildren(problemNotice(problem, problem.status === 422 ? [] : [again, ...others, ...key], rest));
  }

  _busy(busy) {
    byId("list").setAttribute("aria-busy", String(busy));
    byId("loading").hidden = !busy;
    if (!busy) return;
    for (const place of ["look-notices", "list-notices"]) byId(place).replaceChildren();
  }
}

function isNearEnd() {
  const { top } = byId("end").getBoundingClientRect();
  return !byId("look").hidden && top < innerHeight + NEAR;
}

/** The time that the timeline should cover: all that was asked for once all of it is there, unless that is mostly void. */
function spanOf(walk) {
  const times = walk.events.map((event) => Date.parse(event.occurred_at));
  if (!times.length) return [0, 0];
  const [first, last] = [
    times.reduce((one, other) => Math.min(one, other)),
    times.reduce((one, other) => Math.max(one, other)),
  ];
  const [since, until] = [Date.parse(walk.window.since), Date.parse(walk.window.until)];
  const roomy = until - since > 4 * (last - first) + 1_000;
  return walk.ended && !roomy ? [since, until - 1] : [first, last];
}
