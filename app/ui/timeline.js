/** Events by day over the whole period, drawn by uPlot. Dragging, or the arrow keys with Shift, selects a range. */

import { html, useEffect, useLayoutEffect, useRef, useState, usePage } from "./lib.js";
import { tickOf } from "./times.js";
import { count } from "./words.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MOST_BARS = 200;
const HEIGHT = 84; // px

/**
 * Bars for the window of a feed: {from, to, step, values} in ms, or null. Days are UTC days, as the API counts them; a
 * window of up to two days of which all events are loaded has a bar an hour.
 */
export function barsOf({ window: shown, total, events, ended }) {
  if (!shown) return null;
  const until = Date.parse(shown.until ?? new Date().toISOString());
  const since = Date.parse(shown.since);
  const each = () => events.map((event) => [Date.parse(event.occurred_at), 1]);
  if (ended && until - since <= 2 * DAY) return filled(since, until, HOUR, each());
  if (!total?.groups && !ended) return null;
  const counted = total?.groups?.map(({ key, value }) => [Date.parse(key.slice(0, 10)), value]);
  const days = counted?.filter(([day]) => !Number.isNaN(day)) ?? each();
  // "All time" begins with the first event, not in 1970.
  const first = days.reduce((least, [day]) => Math.min(least, day), until);
  const from = until - since > 3_700 * DAY ? first : since;
  return filled(from, until, DAY * Math.max(1, Math.ceil((until - from) / DAY / MOST_BARS)), days);
}

function filled(since, until, step, counts) {
  const from = Math.floor(since / Math.min(step, DAY)) * Math.min(step, DAY);
  const length = Math.max(1, Math.ceil((until - from) / step));
  const values = new Array(length).fill(0);
  const place = (time) => Math.max(0, Math.min(length - 1, Math.floor((time - from) / step)));
  for (const [time, value] of counts) values[place(time)] += value;
  return { from, to: from + length * step, step, values };
}

/** `bars` as `barsOf` makes them; `onSelect(from, to)` in ms. */
export function Timeline({ bars, onSelect, note }) {
  const { times } = usePage();
  const box = useRef();
  const plot = useRef();
  const select = useRef(); // the newest handler, for the plot's own events
  const [chosen, setChosen] = useState(null); // [anchor, end]: numbers of bars
  const [hovered, setHovered] = useState(null);
  const [look, setLook] = useState(0);
  const key = JSON.stringify([bars.from, bars.to, bars.values]);
  const last = bars.values.length - 1;
  select.current = (one, other) => {
    const [low, high] = [Math.max(0, Math.min(one, other)), Math.min(last, Math.max(one, other))];
    onSelect(bars.from + low * bars.step, bars.from + (high + 1) * bars.step);
  };
  useLayoutEffect(() => {
    const drawn = (plot.current = draw(box.current, bars, times, (...ends) => select.current(...ends), setHovered));
    const resize = new ResizeObserver(([{ contentRect }]) =>
      drawn.setSize({ width: contentRect.width, height: HEIGHT }),
    );
    resize.observe(box.current);
    return () => {
      resize.disconnect();
      drawn.destroy();
    };
  }, [key, times, look]);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => setLook((number) => number + 1);
    dark.addEventListener("change", redraw);
    return () => dark.removeEventListener("change", redraw);
  }, []);

  const mark = (anchor, end) => {
    setChosen([anchor, end]);
    const [low, high] = [Math.min(anchor, end), Math.max(anchor, end)];
    const left = plot.current.valToPos((bars.from + low * bars.step) / 1_000, "x");
    const width = plot.current.valToPos((bars.from + (high + 1) * bars.step) / 1_000, "x") - left;
    plot.current.setSelect({ left, width, top: 0, height: plot.current.over.clientHeight }, false);
  };
  const clear = () => {
    setChosen(null);
    plot.current?.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  };
  const onKey = (event) => {
    const [anchor, end] = chosen ?? [last, last];
    const moves = { ArrowLeft: end - 1, ArrowRight: end + 1, Home: 0, End: last };
    if (event.key in moves) {
      const to = chosen ? Math.max(0, Math.min(last, moves[event.key])) : last;
      mark(event.shiftKey ? anchor : to, to);
    } else if (event.key === "Enter" && chosen) select.current(...chosen);
    else if (event.key === "Escape" && chosen) clear();
    else return;
    event.preventDefault();
  };
  const [low, high] = (chosen ?? [hovered ?? last, hovered ?? last]).toSorted((one, other) => one - other);
  const readout = `${spanOf(times, bars, low, high)}: ${count(
    bars.values.slice(low, high + 1).reduce((sum, one) => sum + one, 0),
    "event",
    "events",
  )}`;
  return html`
    <section class="timeline" aria-label="Timeline">
      <div ref=${box} class="plot" tabindex="0" role="slider" aria-label="Events by ${bars.step < DAY ? "hour" : "day"}"
        aria-valuemin="0" aria-valuemax=${last} aria-valuenow=${chosen?.[1] ?? last} aria-valuetext=${readout}
        aria-describedby="timeline-keys" onKeyDown=${onKey} onBlur=${clear}></div>
      <p class="readout small" aria-hidden="true">${chosen || hovered !== null ? readout : (note ?? "Drag to select a range")}</p>
      <p id="timeline-keys" class="unseen">Arrow keys move, with Shift they select a range, Enter shows its events.</p>
    </section>
  `;
}

function spanOf(times, { from, step }, low, high) {
  const [start, end] = [from + low * step, from + (high + 1) * step];
  if (step < DAY) return `${times.minute(start)} – ${times.clock(end)}`;
  // Bars are UTC days: in another zone a day's name alone would be wrong.
  if (!times.isUtc) return `${times.minute(start)} – ${times.minute(end)}`;
  return high > low || step > DAY ? `${times.day(start)} – ${times.day(end - 1)}` : times.day(start);
}

function draw(box, bars, times, onSelect, onHover) {
  const colour = (name) => {
    box.style.color = `var(${name})`; // resolves light-dark(), which a canvas does not read
    return getComputedStyle(box).color;
  };
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  let dragged = false;
  const numberAt = (seconds) => Math.floor((seconds * 1_000 - bars.from) / bars.step);
  const axis = { stroke: colour("--muted"), font, ticks: { show: false }, gap: 4 };
  const xs = bars.values.map((_, number) => (bars.from + number * bars.step) / 1_000);
  const chart = new window.uPlot(
    {
      width: box.clientWidth,
      height: HEIGHT,
      padding: [2, 24, 0, 0],
      legend: { show: false },
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1_000), times.timeZone),
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: 4 } },
      scales: {
        x: { range: [bars.from / 1_000, bars.to / 1_000] },
        y: { range: (_, __, most) => [0, Math.max(1, most) * 1.25] }, // leaves room for the text above the bars
      },
      axes: [
        {
          ...axis,
          size: 20,
          space: 80,
          ...(bars.step < DAY ? {} : { incrs: [1, 2, 3, 7, 14, 30, 90, 180, 365, 730].map((days) => days * 86_400) }),
          grid: { show: false },
          values: (_, splits, __, ___, step) => splits.map((at) => tickOf(times, at * 1_000, step * 1_000)),
        },
        {
          ...axis,
          size: 44,
          space: 24,
          grid: { stroke: colour("--line"), width: 1 },
          values: (_, splits) => splits.map((value) => (Number.isInteger(value) ? value.toLocaleString("en") : "")),
        },
      ],
      series: [
        {},
        {
          fill: colour("--bar"),
          width: 0,
          points: { show: false },
          paths: window.uPlot.paths.bars({ size: [0.86, 400], align: 1 }),
        },
      ],
      hooks: {
        setCursor: [
          ({ cursor, posToVal }) => onHover(cursor.left >= 0 ? clamp(numberAt(posToVal(cursor.left, "x"))) : null),
        ],
        setSelect: [
          (drawn) => {
            const { left, width } = drawn.select;
            if (width < 4) return;
            dragged = true; // the click that ends the drag is none
            onSelect(numberAt(drawn.posToVal(left, "x")), numberAt(drawn.posToVal(left + width - 1, "x")));
            drawn.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          },
        ],
      },
    },
    [xs, bars.values],
    box,
  );
  chart.over.addEventListener("click", () => {
    const number = numberAt(chart.posToVal(chart.cursor.left, "x"));
    if (bars.values[number] && !dragged) onSelect(number, number);
    dragged = false;
  });
  return chart;

  function clamp(number) {
    return Math.max(0, Math.min(bars.values.length - 1, number));
  }
}
