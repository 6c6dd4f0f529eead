// Ask the gateway with fetch: all events that filters select, how many there are, or one event.
import { type Event, type Page, filters, get, usage } from "./gateway.js";

const how = `node built/events.js all since=2026-05-01 type=recipient.signed type=envelope.completed > events.ndjson
node built/events.js count type=notification.failed
node built/events.js one EVENT_ID`;

async function* events(selected: [string, string][]): AsyncGenerator<Event> {
  let page = await get<Page>("page", "/events", [...selected, ["limit", "200"]]);
  for (;;) {
    yield* page.data;
    if (page.page.next_cursor === null) return;
    page = await get<Page>("page", "/events", [["cursor", page.page.next_cursor]]); // which remembers the filters
  }
}

async function main(what?: string, ...given: string[]): Promise<void> {
  if (what === "one" && given.length === 1) {
    console.log(JSON.stringify(await get<Event>("id", `/events/${given[0]}`), null, 2));
  } else if (what === "count") {
    const total = await get<{ value: number | null }>("value", "/events/count", [
      ...filters(given),
      ["exact", "true"],
    ]);
    console.log(total.value);
  } else if (what === "all") {
    for await (const event of events(filters(given))) console.log(JSON.stringify(event));
  } else {
    usage(how, what);
  }
}

void main(...process.argv.slice(2));
