// What a user of the client that openapi-generator generates for TypeScript would write. Prints what
// tests/clients/story.py asks for, as JSON.
import { Configuration, Event, EventPage, EventsApi, ListEventsRequest, ProblemFromJSON, ResponseError } from "./generated";
import { later, since, until, url, key } from "./settings";

const client = (basePath: string, accessToken?: string) => new EventsApi(new Configuration({ basePath, accessToken }));

async function walk(api: EventsApi, limit: number, filters: ListEventsRequest): Promise<Event[]> {
  let found = await api.listEvents({ ...filters, limit });
  const events = [...found.data];
  while (found.page.nextCursor !== null) {
    found = await api.listEvents({ limit, cursor: found.page.nextCursor });
    events.push(...found.data);
  }
  return events;
}

async function problem(call: Promise<EventPage>) {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    const { code, errors } = ProblemFromJSON(await error.response.json());
    return { status: error.response.status, code, errors: errors.map((one) => [one.parameter, one.message]) };
  }
  throw new Error("no problem");
}

async function main() {
  const api = client(url, key);
  const walked = (await walk(api, 25, { since, until })).map((event) => event.id);
  const some = { type: ["recipient.*", "envelope.created"], order: "asc", since, until };
  const one = await api.getEvent({ eventId: walked[0]!, include: ["raw"] });
  console.log(JSON.stringify({
    walked,
    filtered: (await walk(api, 100, some)).map((event) => event.id),
    count: (await api.countEvents({ since, until, exact: true })).value,
    one: one.id,
    raw: typeof one.raw === "object" && one.raw !== null,
    unauthenticated: await problem(client(url, "nobody").listEvents()),
    refused: await problem(api.listEvents({ since: until, until: since })),
    later: (await walk(client(later), 50, { since: "2026-05-01" })).map((event) => [
      event.type, event.providerType, event.category, event.outcome, event.actor.kind, event.envelope?.status,
      event.delivery?.channel,
    ]),
  }));
}

main().catch((error: unknown) => { console.error(error); process.exitCode = 1; });
