/** The timeline: a lane of stacked bars for every source, which shows gaps and bursts at a glance. */

import { binned, extremes } from "./bins.js";
import { byId, el, svg } from "./dom.js";
import { GROUPS, glyph } from "./groups.js";
import { AXIS, HEAD, LANE, axis, lane, patterns } from "./timeline-ground.js";
import { durationOf, spanOf } from "./times.js";

const BIN = 14; // px a bin should have at least

export class Timeline {
  /** `onChoose(bin)`: the reader wants to see the events of this bin. */
  constructor(onChoose) {
    this._onChoose = onChoose;
    this._box = byId("drawing");
    this._tip = byId("tip");
    this._events = [];
    this._span = [0, 0];
    this._current = null; // "lane/number" of the bin that Tab goes to
    this._scheduled = false;
    new ResizeObserver(() => this._schedule()).observe(this._box);
    this._box.addEventListener("keydown", (event) => this._onKey(event));
    byId("legend").append(
      ...GROUPS.map((group) => el("li", { class: `group-${group.id}` }, glyph(group), group.title)),
    );
  }

  /** `span`: [from, to] in milliseconds, to be shown even where nothing happened; `whole`: whether these are all. */
  show(events, span, whole) {
    byId("timeline-title").textContent = whole
      ? "Timeline"
      : `Timeline of the ${events.length.toLocaleString("en")} loaded, not of all`;
    this._events = events;
    this._span = span;
    this._schedule();
  }

  /** Shows nothing. */
  clear() {
    this._events = [];
    this._current = null;
    this._hideTip();
    byId("timeline").hidden = true;
    byId("timeline-summary").textContent = "";
    for (const place of [this._box, this._tip, byId("timeline-rows")]) place.replaceChildren();
  }

  _schedule() {
    if (this._scheduled) return;
    this._scheduled = true;
    requestAnimationFrame(() => {
      this._scheduled = false;
      this._draw();
    });
  }

  _draw() {
    byId("timeline").hidden = this._events.length === 0;
    const width = Math.floor(this._box.clientWidth);
    if (!this._events.length || !width) return;
    const chart = (this._chart = binned(this._events, this._span, Math.max(8, Math.floor(width / BIN))));
    const keeping = this._box.contains(document.activeElement);
    const height = chart.lanes.length * LANE + AXIS;
    const scale = {
      x: width / chart.count,
      most: Math.max(...chart.lanes.flatMap(({ bins }) => [...bins.values()].map((bin) => bin.events.length))),
    };
    this._bins = chart.lanes
      .map((lane, place) => ({ ...lane, place }))
      .flatMap((lane) =>
        [...lane.bins.values()]
          .sort((one, other) => one.number - other.number)
          .map((bin) => this._bin(lane, bin, scale)),
      );
    if (!this._bins.some(({ key }) => key === this._current)) this._current = this._bins.at(-1).key;
    this._box.replaceChildren(
      svg(
        "svg",
        {
          width,
          height,
          viewBox: `0 0 ${width} ${height}`,
          role: "group",
          "aria-labelledby": "timeline-title",
          "aria-describedby": "timeline-summary timeline-keys",
        },
        patterns(),
        axis(chart, scale.x, width, height),
        chart.lanes.map(({ source }, place) => lane(source, place, width)),
        this._bins.map(({ element }) => element),
      ),
    );
    this._focusable();
    if (keeping) this._bins.find(({ key }) => key === this._current)?.element.focus();
    this._tell();
  }

  _bin(lane, bin, { x, most }) {
    const key = `${lane.source}/${bin.number}`;
    const base = (lane.place + 1) * LANE;
    const left = bin.number * x;
    const room = LANE - HEAD;
    const parts = [];
    let top = base;
    for (const group of GROUPS.filter((one) => bin.byGroup.has(one))) {
      const size = Math.max(2, (bin.byGroup.get(group) / most) * room);
      top -= size;
      const place = { x: left + 1, y: Math.max(top, base - room), width: Math.max(x - 2, 1), height: size };
      parts.push(svg("rect", { ...place, class: `segment group-${group.id}` }));
      if (group.pattern) parts.push(svg("rect", { ...place, fill: `url(#pattern-${group.id})` }));
    }
    const element = svg(
      "g",
      {
        class: "bin",
        role: "button",
        tabindex: "-1",
        "aria-label": `${lane.source}, ${told(bin)}`,
        "data-key": key,
        click: () => this._onChoose(bin),
        pointerenter: () => this._showTip(lane.source, bin, element),
        pointerleave: () => this._hideTip(),
        focus: () => this._onFocus(key, lane.source, bin, element),
        blur: () => this._hideTip(),
      },
      svg("rect", { class: "hit", x: left, y: base - LANE + 2, width: x, height: LANE - 2 }),
      parts,
    );
    return { key, place: lane.place, bin, element };
  }

  _onFocus(key, source, bin, element) {
    this._current = key;
    this._focusable();
    this._showTip(source, bin, element);
  }

  /** Tab comes to one bin; the arrow keys go on from there. */
  _focusable() {
    for (const { key, element } of this._bins) element.setAttribute("tabindex", key === this._current ? "0" : "-1");
  }

  _onKey(event) {
    const at = this._bins.findIndex(({ key }) => key === this._current);
    const { place, bin } = this._bins[at];
    const lane = this._bins.filter((other) => other.place === place);
    const index = lane.findIndex(({ key }) => key === this._current);
    const above = (step) =>
      this._bins
        .filter((other) => other.place === place + step)
        .sort((one, other) => Math.abs(one.bin.number - bin.number) - Math.abs(other.bin.number - bin.number))[0];
    const moves = {
      ArrowRight: () => lane[index + 1],
      ArrowLeft: () => lane[index - 1],
      Home: () => lane[0],
      End: () => lane.at(-1),
      ArrowUp: () => above(-1),
      ArrowDown: () => above(1),
    };
    if (event.key === "Enter" || event.key === " ") this._onChoose(bin);
    else if (moves[event.key]) moves[event.key]()?.element.focus();
    else if (event.key === "Escape") this._hideTip();
    else return;
    event.preventDefault();
  }

  _showTip(source, bin, element) {
    const rows = GROUPS.filter((group) => bin.byGroup.has(group)).map((group) =>
      el("li", { class: `group-${group.id}` }, glyph(group), `${bin.byGroup.get(group)} ${group.title.toLowerCase()}`),
    );
    this._tip.replaceChildren(
      el("strong", {}, spanOf(bin.from, bin.to)),
      el("p", {}, `${source}: ${bin.events.length}`),
      el("ul", {}, rows),
    );
    this._tip.hidden = false;
    const [box, place] = [this._box.getBoundingClientRect(), element.getBoundingClientRect()];
    const left = place.left + place.width / 2 - box.left - this._tip.offsetWidth / 2;
    this._tip.style.left = `${Math.max(0, Math.min(left, box.width - this._tip.offsetWidth))}px`;
    this._tip.style.top = `${place.bottom - box.top + 6}px`;
  }

  _hideTip() {
    this._tip.hidden = true;
  }

  /** The same in words and as a table. */
  _tell() {
    const { lanes } = this._chart;
    const { busiest, quiet } = extremes(this._chart);
    const of = lanes.map(
      ({ source, bins }) =>
        `${[...bins.values()].reduce((sum, bin) => sum + bin.events.length, 0).toLocaleString("en")} from ${source}`,
    );
    const calm = quiet
      ? ` Longest quiet: ${durationOf((quiet.to - quiet.from) * 1_000)}, ${spanOf(quiet.from, quiet.to)}.`
      : "";
    byId("timeline-summary").textContent =
      `${of.join(", ")}. Busiest: ${spanOf(busiest.from, busiest.to)} with ${busiest.count}.${calm}`;
    byId("timeline-rows").replaceChildren(
      ...this._bins.map(({ place, bin }) =>
        el(
          "tr",
          {},
          el("th", { scope: "row" }, spanOf(bin.from, bin.to)),
          el("td", {}, lanes[place].source),
          el("td", {}, String(bin.events.length)),
          el("td", {}, counts(bin)),
        ),
      ),
    );
  }
}

function told(bin) {
  return `${spanOf(bin.from, bin.to)}: ${bin.events.length} ${bin.events.length === 1 ? "event" : "events"} (${counts(bin)})`;
}

function counts(bin) {
  return GROUPS.filter((group) => bin.byGroup.has(group))
    .map((group) => `${bin.byGroup.get(group)} ${group.title.toLowerCase()}`)
    .join("; ");
}
