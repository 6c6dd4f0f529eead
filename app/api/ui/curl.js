/** A look as a command for a POSIX shell. */

import { BASE } from "./api.js";

const MOST = 1_000; // events in one page

/**
 * `curl` for the first `count` events of `pairs`, in the window that the API itself named, so that it gives the same
 * events later, too. The key stays out of it: it is read from $GATEWAY_KEY.
 */
export function curlOf(pairs, window, count) {
  const filters = pairs.filter(([name]) => name !== "since" && name !== "until");
  const all = [
    ["since", window.since],
    ["until", window.until],
    ...filters,
    ["limit", Math.min(Math.max(count, 1), MOST)],
  ];
  const lines = [
    `curl -sS --get ${quoted(new URL("events", BASE).href)}`,
    `-H "Authorization: Bearer $GATEWAY_KEY"`,
    ...all.map(([name, value]) => `--data-urlencode ${quoted(`${name}=${value}`)}`),
  ];
  return lines.join(" \\\n  ");
}

/** Within single quotes a shell takes everything as it is, but for the single quote. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
