/** The gateway's API: one way to call it, and one kind of error. */

/** Where the API is: beside this page, under whatever path a proxy puts both. */
export const BASE = new URL(".", document.baseURI);

/** The sign-in of a proxy in front of the gateway has expired. */
const SIGNED_OUT = { title: "Your session has ended", detail: "Reload the page to sign in again." };

/** An error as the API's problem details (RFC 9457) describe it. `retryAfter`: seconds, or null. */
export class Problem extends Error {
  constructor(status, body, retryAfter = null) {
    super(body.detail ?? body.title ?? `The gateway answered ${status}.`);
    this.status = status;
    this.title = body.title ?? "The gateway sent no usable response";
    this.errors = body.errors ?? [];
    this.sources = body.sources ?? [];
    this.requestId = body.request_id ?? null;
    this.retryAfter = retryAfter;
    this.fromGateway = Boolean(body.code); // a proxy in between may answer with a page of its own
  }
}

/**
 * Send GET `path` with `pairs` ([name, value]) and return the response, whose body is still to come.
 * Raises Problem, or AbortError after `signal`.
 */
export async function send(path, pairs, key, signal) {
  const url = new URL(path, BASE);
  url.search = new URLSearchParams(pairs);
  let answer;
  try {
    answer = await fetch(url, {
      headers: { Accept: "application/json, */*;q=0.5", ...(key ? { Authorization: `Bearer ${key}` } : {}) },
      credentials: "same-origin", // the session of a proxy that signs people in
      redirect: "manual", // where such a session has ended, the proxy redirects to its own page
      cache: "no-store",
      signal,
    });
  } catch (error) {
    throw unreachable(error);
  }
  if (answer.ok) return answer;
  const body = (await answer.json().catch(() => null)) ?? {};
  if (answer.type === "opaqueredirect" || (answer.status === 401 && !body.code)) throw new Problem(401, SIGNED_OUT);
  throw new Problem(answer.status, body, Number(answer.headers.get("Retry-After")) || null);
}

/** The JSON body of GET `path`. Raises as `send`. */
export async function read(path, pairs, key, signal) {
  const answer = await send(path, pairs, key, signal);
  try {
    return parseExactly(await answer.text());
  } catch (error) {
    throw unreachable(error, answer.status);
  }
}

/** A connection that failed or was cut. */
export function unreachable(error, status = 0) {
  if (error.name === "AbortError") return error;
  const detail = status ? "The answer was cut off or is not JSON." : "Check that it runs and that the network is up.";
  return new Problem(status, { title: "The gateway cannot be reached", detail });
}

/**
 * Parse JSON and keep the text of numbers that a double would change: 9007199254740993 would become …992. An audit trail
 * must not change on its way to the screen. (Older browsers lack `context.source` and round.)
 */
export function parseExactly(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source && JSON.rawJSON
      ? JSON.rawJSON(context.source)
      : value,
  );
}
