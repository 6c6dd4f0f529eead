// A program on clients/typescript. Prints what tests/clients/test_typescript_client.py compares, as JSON.
import { AuditGateway, type Event, GatewayError } from "./index.js";

type Variable = "PROXY_URL" | "GATEWAY_URL" | "LATER_URL" | "GATEWAY_KEY" | "SINCE" | "UNTIL";
declare const process: { env: unknown; exitCode: number };
const { PROXY_URL, GATEWAY_URL, LATER_URL, GATEWAY_KEY, SINCE, UNTIL } = process.env as Record<Variable, string>;

const gateway = new AuditGateway({ url: PROXY_URL, key: GATEWAY_KEY });
const window = { since: SINCE, until: new Date(UNTIL) };

async function take(events: AsyncIterable<Event>, count = Infinity): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of events) {
    ids.push(id);
    if (ids.length === count) break;
  }
  return ids;
}

async function refused(call: Promise<unknown>) {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return [error.status ?? null, error.code ?? null, error.problem?.errors[0]?.parameter ?? null];
  }
  throw new Error("not refused");
}

async function followed() {
  const stop = new AbortController();
  const seen = new Set<string>();
  let empty = 0;
  try {
    const options = { follow: true, pollSeconds: 0.01, signal: stop.signal };
    for await (const page of gateway.pages({ since: SINCE, limit: 1000 }, options)) {
      page.data.forEach((event) => seen.add(event.id));
      if (!page.page.has_more && ++empty === 3) stop.abort("enough");
    }
  } catch (reason) {
    if (reason !== "enough") throw reason;
  }
  return [...seen];
}

async function main() {
  const walked = await take(gateway.events({ ...window, limit: 90 }));
  const half = gateway.events({ ...window, limit: 50 });
  const begun = await take(half, 120);
  const one = await gateway.event(walked[7]!, { raw: true });
  const refuser = new AuditGateway({ url: GATEWAY_URL, key: "nobody", attempts: 1 });
  const absent = new AuditGateway({ url: "http://127.0.0.1:9", attempts: 1 });
  const later: Event[] = [];
  for await (const event of new AuditGateway({ url: LATER_URL }).events()) later.push(event);
  console.log(
    JSON.stringify({
      walked,
      begun,
      resumed: await take(gateway.events({}, { cursor: half.cursor })),
      filtered: await take(gateway.events({ ...window, type: ["recipient.*", "envelope.created"], order: "asc" })),
      count: (await gateway.count(window, { exact: true })).value,
      one: [one.id, typeof one.raw],
      followed: await followed(),
      refused: [
        await refused(refuser.count()),
        await refused(gateway.count({ since: UNTIL, until: SINCE })),
        await refused(absent.count()),
      ],
      later: later.map((event) => [event.type, event.actor.kind, event.outcome]),
    }),
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
