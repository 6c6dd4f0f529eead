/** A look as a command for a POSIX shell. */

import { BASE } from "./api.js";
import { pinned } from "./filters.js";

/** Events that one command can give: those of one page. */
export const MOST = 1_000;

/** `curl` for the first `count` events of `pairs`. The key stays out of it: it is read from $GATEWAY_KEY. */
export function curlOf(pairs, window, count) {
  const all = [...pinned(pairs, window), ["limit", Math.min(Math.max(count, 1), MOST)]];
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
