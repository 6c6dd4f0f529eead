/** The events of a timeline, counted in equal spans of time. Only reckoning; timeline.js draws it. */

import { groupOf } from "./groups.js";

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;
const STEPS = [
  SECOND,
  5 * SECOND,
  15 * SECOND,
  60 * SECOND,
  300 * SECOND,
  900 * SECOND,
  1_800 * SECOND,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
  28 * DAY,
  91 * DAY,
  364 * DAY,
  3_640 * DAY,
];

/**
 * `events` in at most `most` bins: {from, step, shift, count, lanes: [{source, bins: Map(number -> bin)}]}, where a bin is
 * {number, from, to, events, byGroup: Map(group -> number)}. Times are milliseconds; `shift` leads from UTC to the
 * reader's clock. `span`: [from, to] to show at least.
 */
export function binned(events, span, most) {
  const times = events.map((event) => Date.parse(event.occurred_at));
  const first = times.reduce((least, time) => Math.min(least, time), span[0]);
  const last = times.reduce((greatest, time) => Math.max(greatest, time), span[1]);
  const step = STEPS.find((size) => (last - first) / size < most - 1) ?? STEPS.at(-1);
  // Bins begin at the reader's own midnight, noon, full hour.
  const shift = new Date(first).getTimezoneOffset() * 60 * SECOND;
  const from = Math.floor((first - shift) / step) * step + shift;
  const lanes = new Map();
  events.forEach((event, index) => {
    const number = Math.floor((times[index] - from) / step);
    const lane = lanes.get(event.source) ?? new Map();
    lanes.set(event.source, lane);
    const bin = lane.get(number) ?? {
      number,
      from: from + number * step,
      to: from + (number + 1) * step,
      events: [],
      byGroup: new Map(),
    };
    lane.set(number, bin);
    bin.events.push(event);
    const group = groupOf(event);
    bin.byGroup.set(group, (bin.byGroup.get(group) ?? 0) + 1);
  });
  const count = Math.floor((last - from) / step) + 1;
  const sorted = [...lanes].sort(([one], [other]) => (one < other ? -1 : 1));
  return { from, step, shift, count, lanes: sorted.map(([source, bins]) => ({ source, bins })) };
}

/** The numbers of the bins that get a mark on the axis, where a mark needs the room of `bins` bins. */
export function marked({ from, step, shift, count }, bins) {
  const every = STEPS.find((size) => size >= bins * step && size % step === 0) ?? Math.ceil(bins) * step;
  return Array.from({ length: count }, (_, number) => number).filter(
    (number) => (from - shift + number * step) % every === 0,
  );
}

/** The bin with most events over all lanes together, and the longest run of empty ones: {busiest, quiet}, each {from, to, …}. */
export function extremes({ from, step, count, lanes }) {
  const totals = Array.from({ length: count }, (_, number) =>
    lanes.reduce((sum, { bins }) => sum + (bins.get(number)?.events.length ?? 0), 0),
  );
  const span = (number, length) => ({ from: from + number * step, to: from + (number + length) * step });
  const top = totals.indexOf(Math.max(...totals));
  let run = 0;
  let quiet = null;
  totals.forEach((total, number) => {
    run = total ? 0 : run + 1;
    if (run > (quiet?.length ?? 0)) quiet = { length: run, ...span(number - run + 1, run) };
  });
  return { busiest: { count: totals[top], ...span(top, 1) }, quiet };
}
