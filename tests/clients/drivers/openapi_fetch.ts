// What a user of openapi-fetch with the types of openapi-typescript would write. Prints what tests/clients/story.py asks
// for, as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated";
import { later, since, until, url, key } from "./settings";

type Event = components["schemas"]["Event"];
type Filters = NonNullable<paths["/events"]["get"]["parameters"]["query"]>;

const connect = (baseUrl: string, bearer: string) =>
  createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${bearer}` } });
type Client = ReturnType<typeof connect>;

async function page(client: Client, query: Filters) {
  const { data, error } = await client.GET("/events", { params: { query } });
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
  const { error, response } = await client.GET("/events", { params: { query } });
  if (error === undefined) throw new Error("no problem");
  return { status: response.status, code: error.code, errors: error.errors.map((one) => [one.parameter, one.message]) };
}

async function main() {
  const client = connect(url, key);
  const walked = (await walk(client, 25, { since, until })).map((event) => event.id);
  const some = { type: ["recipient.*", "envelope.created"], order: "asc", since, until };
  const params = { path: { event_id: walked[0]! }, query: { include: ["raw"] } };
  const one = await client.GET("/events/{event_id}", { params });
  const total = await client.GET("/events/count", { params: { query: { since, until, exact: true } } });
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
