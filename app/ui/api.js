/** The gateway's API: one way to ask, and one kind of error. */

import { parseExactly } from "./exact.js";

/** Where the API is: beside this page, under whatever path a proxy puts both. */
export const BASE = new URL(".", document.baseURI);

/** What went wrong, as the API's problem details (RFC 9457) tell it. `retryAfter`: seconds, or null. */
export class Problem extends Error {
  constructor(status, body, retryAfter = null) {
    super(forReaders(body.detail ?? body.title ?? `The gateway answered ${status}.`));
    this.status = status;
    this.code = body.code ?? "unreadable";
    this.title = body.title ?? "The gateway gave no usable answer";
    this.errors = (body.errors ?? []).map((error) => ({ ...error, message: forReaders(error.message) }));
    this.sources = body.sources ?? [];
    this.requestId = body.request_id ?? null;
    this.retryAfter = retryAfter;
  }
}

/** The body of an answer. `pairs` are [name, value]. Raises Problem; AbortError when `signal` said so. */
export async function ask(path, pairs, key, signal) {
  const answer = await begun(path, pairs, key, signal);
  try {
    return parseExactly(await answer.text());
  } catch (error) {
    throw unreachable(error, answer);
  }
}

/**
 * What is in the lines of an answer that is made while it is read, some at a time; half a line at its end is dropped.
 * Raises as `ask`.
 */
export async function* askLines(path, pairs, key, signal) {
  const answer = await begun(path, pairs, key, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      yield lines.map(parseExactly);
    }
  } catch (error) {
    throw unreachable(error, answer);
  }
}

/** An answer of 200, of which the body is still to come. */
async function begun(path, pairs, key, signal) {
  const url = new URL(path, BASE);
  url.search = new URLSearchParams(pairs);
  let answer;
  try {
    answer = await fetch(url, {
      headers: key ? { Authorization: `Bearer ${key}` } : {},
      credentials: "omit",
      cache: "no-store",
      signal,
    });
    if (answer.ok) return answer;
    throw new Problem(answer.status, bodyOf(await answer.text()), Number(answer.headers.get("Retry-After")) || null);
  } catch (error) {
    throw unreachable(error, answer);
  }
}

/** Without what the API tells those who write its addresses: whoever reads it here has a field to pick a time in. */
function forReaders(text) {
  return text.replaceAll(" (in a URL write + as %2B)", "");
}

/** What to raise for `error`: a connection that never was, or was cut. */
function unreachable(error, answer) {
  if (error instanceof Problem || error.name === "AbortError") return error;
  const detail = answer ? "Its answer was cut off or is no JSON." : "Is it running, and is the network up?";
  return new Problem(answer?.status ?? 0, { code: "unreachable", title: "The gateway cannot be reached", detail });
}

/** A proxy in between may answer with a page of its own. */
function bodyOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
