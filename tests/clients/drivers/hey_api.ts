// What a user of the client that @hey-api/openapi-ts generates would write. Prints what tests/clients/story.py asks for,
// as JSON.
import { countEvents, getEvent, listEvents, type Event, type ListEventsData } from "./generated";
import { createClient, createConfig } from "./generated/client";
import { later, since, until, url, key } from "./settings";

type Filters = NonNullable<ListEventsData["query"]>;

const connect = (baseUrl: string, auth: string) => createClient(createConfig({ baseUrl, auth }));
type Client = ReturnType<typeof connect>;

async function page(client: Client, query: Filters) {
  const { data, error } = await listEvents({ client, query });
  if (error !== undefined) throw new Error(`${error.code}: ${error.detail}`);
  return data;
}

async function walk(client: Client, limit: number, filters: Filters): Promise<Event[]> {
  let found = await page(client, { ...filters, limit });
  const events = [...found.data];
  while (found.page.next_cursor !== null) {
    found = await page(client, { limit, cursor: found.page.next_cursor });
    events.push(...found.data);
  }
  return events;
}

async function problem(client: Client, query: Filters) {
  const { error, response } = await listEvents({ client, query });
  if (error === undefined) throw new Error("no problem");
  return { status: response?.status, code: error.code, errors: error.errors.map((one) => [one.parameter, one.message]) };
}

async function main() {
  const client = connect(url, key);
  const walked = (await walk(client, 25, { since, until })).map((event) => event.id);
  const some = { type: ["recipient.*", "envelope.created"], order: "asc", since, until };
  const one = await getEvent({ client, path: { event_id: walked[0]! }, query: { include: ["raw"] } });
  const total = await countEvents({ client, query: { since, until, exact: true } });
  console.log(JSON.stringify({
    walked,
    filtered: (await walk(client, 100, some)).map((event) => event.id),
    count: total.data?.value,
    one: one.data?.id,
    raw: typeof one.data?.raw === "object" && one.data.raw !== null,
    unauthenticated: await problem(connect(url, "nobody"), {}),
    refused: await problem(client, { since: until, until: since }),
    later: (await walk(connect(later, ""), 50, { since: "2026-05-01" })).map((event) => [
      event.type, event.provider_type, event.category, event.outcome, event.actor.kind, event.envelope?.status,
      event.delivery?.channel,
    ]),
  }));
}

main().catch((error: unknown) => { console.error(error); process.exitCode = 1; });
