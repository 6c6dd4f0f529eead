/** Typed client of the unified audit gateway. Runs wherever `fetch` does: Node.js 20, Deno, Bun, browsers. */
import type { components, paths } from "./schema.js";

export type Event = components["schemas"]["Event"];
export type EventPage = components["schemas"]["EventPage"];
export type Problem = components["schemas"]["Problem"];
export type Totals = components["schemas"]["Totals"];

type Query = NonNullable<paths["/events"]["get"]["parameters"]["query"]>;
type Widened<T> = T extends readonly string[] ? string | readonly string[] : T;

/** The parameters of `GET /events`. All combine with AND; several values of one are OR. */
export type Filters = {
  [Name in Exclude<keyof Query, "cursor" | "follow" | "since" | "until">]?: Widened<NonNullable<Query[Name]>> | undefined;
} & { since?: string | Date | undefined; until?: string | Date | undefined };

export interface WalkOptions {
  /** Where to resume: `walk.cursor` or `page.page.next_cursor` of an earlier walk. */
  cursor?: string | null | undefined;
  /** Oldest first and without an end: asks for new events every `pollSeconds`. */
  follow?: boolean;
  /** 10 by default. */
  pollSeconds?: number;
  /** Ends the walk: the pending call or wait rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export interface Settings {
  url: string;
  key?: string | undefined;
  /** Calls in all, 6 by default: 429, 502, 503, 504 and lost connections are retried. */
  attempts?: number;
  /** The most seconds between two attempts, 60 by default. A longer `Retry-After` ends the retries. */
  longestWait?: number;
  /** Seconds for one call, 60 by default; more than the gateway's own deadline. */
  timeout?: number;
  fetch?: typeof fetch;
}

/** A call failed for good. `status` and `problem` are undefined if the gateway sent no problem. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  constructor(
    message: string,
    readonly status?: number,
    readonly problem?: Problem,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
  get code(): string | undefined {
    return this.problem?.code;
  }
}

/**
 * Events one by one. `cursor` is the position behind the last page that was consumed whole: pass it to `events` to
 * resume. Events of a page that was left half-way come again, with the same ids.
 */
export class EventWalk implements AsyncIterable<Event> {
  readonly #pages: AsyncIterable<EventPage>;
  /** Null before the first page and after the last. */
  cursor: string | null;

  constructor(pages: AsyncIterable<EventPage>, cursor: string | null) {
    this.#pages = pages;
    this.cursor = cursor;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
    for await (const page of this.#pages) {
      yield* page.data;
      this.cursor = page.page.next_cursor;
    }
  }
}

type Parameters = readonly (readonly [string, string])[];

export class AuditGateway {
  readonly #settings: Required<Omit<Settings, "key">>;
  readonly #headers: Record<string, string>;

  constructor({ url, key, attempts = 6, longestWait = 60, timeout = 60, fetch: fetcher }: Settings) {
    const call = fetcher ?? ((...given: globalThis.Parameters<typeof fetch>) => fetch(...given));
    this.#settings = { url: url.replace(/\/+$/, ""), attempts, longestWait, timeout, fetch: call };
    this.#headers = key === undefined ? {} : { Authorization: `Bearer ${key}` };
  }

  /** All matching events, newest first (with `follow`, oldest first), each exactly once. */
  events(filters: Filters = {}, options: WalkOptions = {}): EventWalk {
    return new EventWalk(this.pages(filters, options), options.cursor ?? null);
  }

  /** The same, page by page: store `page.data` and `page.page.next_cursor` in one transaction. */
  async *pages(filters: Filters = {}, options: WalkOptions = {}): AsyncGenerator<EventPage, void, undefined> {
    const { cursor, follow = false, pollSeconds = 10, signal } = options;
    let parameters = firstParameters(filters, cursor, follow);
    for (;;) {
      const page = await this.#get<EventPage>("/events", parameters, "page", signal);
      yield page;
      const { next_cursor: next, has_more: more } = page.page;
      if (next === null) return;
      parameters = [["cursor", next]];
      if (follow && !more) await sleep(pollSeconds, signal);
    }
  }

  /** One event, by its id. */
  event(id: string, options: { raw?: boolean; signal?: AbortSignal | undefined } = {}): Promise<Event> {
    const parameters: Parameters = options.raw ? [["include", "raw"]] : [];
    return this.#get<Event>(`/events/${encodeURIComponent(id)}`, parameters, "id", options.signal);
  }

  /** How many events match; `relation` is `eq` for an exact value. */
  count(filters: Filters = {}, options: { exact?: boolean; signal?: AbortSignal | undefined } = {}): Promise<Totals> {
    const exact: Parameters = options.exact ? [["exact", "true"]] : [];
    return this.#get<Totals>("/events/count", [...parametersOf(filters), ...exact], "value", options.signal);
  }

  /** The body, which has this member if it is the gateway's. */
  async #get<Body>(path: string, parameters: Parameters, member: string, signal?: AbortSignal): Promise<Body> {
    const { url, attempts, longestWait } = this.#settings;
    const query = new URLSearchParams(parameters.map(([name, value]) => [name, value]));
    for (let attempt = 1; ; attempt++) {
      let wait = Math.min(0.25 * 2 ** attempt, longestWait) * (0.5 + Math.random() / 2);
      let failure: GatewayError;
      try {
        const response = await this.#call(`${url}${path}?${query}`, signal);
        const text = await response.text();
        if (response.ok) return parsed<Body>(text, member);
        failure = errorOf(response.status, text);
        const asked = response.headers.get("Retry-After") ?? "";
        if (/^\d+$/.test(asked)) wait = Number(asked);
        if (![429, 502, 503, 504].includes(response.status) || wait > longestWait) throw failure;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof GatewayError) throw error;
        failure = new GatewayError("no response from the gateway", undefined, undefined, { cause: error });
      }
      if (attempt >= attempts) throw failure;
      await sleep(wait, signal);
    }
  }

  #call(url: string, signal?: AbortSignal): Promise<Response> {
    const timeout = AbortSignal.timeout(this.#settings.timeout * 1000);
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
    return this.#settings.fetch(url, { headers: this.#headers, signal: either });
  }
}

function firstParameters(filters: Filters, cursor: string | null | undefined, follow: boolean): Parameters {
  if (cursor != null) return [["cursor", cursor], ...parametersOf(filters)]; // which contains order and follow
  return follow ? [["follow", "true"], ...parametersOf({ order: "asc", ...filters })] : parametersOf(filters);
}

/** A list becomes a repeated parameter; a Date an RFC 3339 time. */
function parametersOf(filters: Filters): Parameters {
  return Object.entries(filters).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((one) => one !== undefined)
      .map((one): [string, string] => [name, one instanceof Date ? one.toISOString() : String(one)]),
  );
}

function parsed<Body>(text: string, member: string): Body {
  const body: unknown = safely(text);
  if (typeof body === "object" && body !== null && member in body) return body as Body;
  throw new GatewayError(`the response is not the gateway's: it has no member ${member}`);
}

function errorOf(status: number, text: string): GatewayError {
  const problem = safely(text) as Problem | undefined;
  if (!problem?.code) return new GatewayError(`the gateway's address answered ${status}`, status);
  return new GatewayError(`${status} ${problem.code}: ${problem.detail}`, status, problem);
}

function safely(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, seconds * 1000);
    const abort = () => (clearTimeout(timer), reject(signal?.reason));
    function done() {
      signal?.removeEventListener("abort", abort);
      resolve();
    }
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
