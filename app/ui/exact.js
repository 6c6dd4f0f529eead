/**
 * JSON without loss. JavaScript's numbers are doubles: 9007199254740993 would become …992, and 1.0 would become 1. An
 * audit trail must not change on its way to the screen or into a file, so such a number keeps its own text.
 */

/** `JSON.parse`, keeping the text of numbers that a double would change (in browsers that tell it). */
export function parseExactly(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source && JSON.rawJSON
      ? JSON.rawJSON(context.source)
      : value,
  );
}
