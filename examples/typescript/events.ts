// Page through events with openapi-fetch over the types that openapi-typescript generates; prints one JSON object a line.
//
//   npm install && npm run build
//   node built/events.js --since 2026-05-01 --type "recipient.*" --type envelope.completed
import { parseArgs } from "node:util";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Event = components["schemas"]["Event"];
type Filters = NonNullable<paths["/events"]["get"]["parameters"]["query"]>;

const { GATEWAY_URL = "", GATEWAY_KEY } = process.env;
const client = createClient<paths>({ baseUrl: GATEWAY_URL, headers: { Authorization: `Bearer ${GATEWAY_KEY}` } });

async function* events(filters: Filters): AsyncGenerator<Event> {
  let query: Filters = { limit: 200, ...filters };
  for (;;) {
    const { data, error } = await client.GET("/events", { params: { query } });
    if (error !== undefined) throw new Error(`${error.status} ${error.code}: ${error.detail}`);
    yield* data.data;
    if (data.page.next_cursor === null) return;
    query = { cursor: data.page.next_cursor }; // which contains the filters
  }
}

async function main(): Promise<void> {
  const option = { type: "string" } as const;
  const { values } = parseArgs({ options: { since: option, until: option, type: { ...option, multiple: true } } });
  for await (const event of events(values)) console.log(JSON.stringify(event));
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
