/** What the timeline's bars stand on: lanes with their names, the axis of time, and the patterns of the bars. */

import { marked } from "./bins.js";
import { svg } from "./dom.js";
import { GROUPS } from "./groups.js";
import { markOf } from "./times.js";

/** px of a lane, of the room at its top that only its name stands in, and of the axis below all lanes. */
export const LANE = 72;
export const HEAD = 26;
export const AXIS = 22;
const NAME = 15; // px from a lane's top to the line that its name is written on
const MARK = 76; // px a mark on the axis needs

/** The groups' patterns, which bars are filled with. */
export function patterns() {
  return svg(
    "defs",
    {},
    GROUPS.filter((group) => group.pattern).map((group) =>
      svg(
        "pattern",
        { id: `pattern-${group.id}`, width: 6, height: 6, patternUnits: "userSpaceOnUse" },
        svg("path", { d: group.pattern, class: "pattern" }),
      ),
    ),
  );
}

/** The name and the ground line of the lane at `place`, counted from the top. */
export function lane(source, place, width) {
  const base = (place + 1) * LANE + 0.5;
  const short = source.length > 40 ? `${source.slice(0, 39)}…` : source;
  return [
    svg("line", { class: "ground", x1: 0, x2: width, y1: base, y2: base }),
    svg("text", { class: "lane", x: 0, y: base - LANE + NAME, "aria-hidden": "true" }, short),
  ];
}

/** Marks of time; `x`: px a bin has. */
export function axis(chart, x, width, height) {
  const marks = marked(chart, MARK / x).filter((number) => number * x < width - 40);
  return svg(
    "g",
    { "aria-hidden": "true" },
    marks.map((number) => {
      const at = number * x + 0.5;
      return [
        svg("line", { class: "mark", x1: at, x2: at, y1: 0, y2: height - AXIS + 5 }),
        svg("text", { class: "mark", x: at + 3, y: height - 6 }, markOf(chart.from + number * chart.step, chart.step)),
      ];
    }),
  );
}
