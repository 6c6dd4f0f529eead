// Append what is new to a file; a cron job, say. The cursor is kept beside it.
import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { type Page, filters, get, usage } from "./gateway.js";

const how = `node built/follow.js trail.ndjson since=2026-05-01
The first time: from there on; later it goes on by itself.`;

async function main(trail?: string, ...given: string[]): Promise<void> {
  if (!trail || trail === "--help") usage(how, trail);
  const kept = `${trail}.cursor`;
  let params: [string, string][] = existsSync(kept)
    ? [["cursor", readFileSync(kept, "utf8")]]
    : [["follow", "true"], ["order", "asc"], ["limit", "200"], ...filters(given)];
  for (;;) {
    const { data, page } = await get<Page>("page", "/events", params);
    appendFileSync(trail, data.map((event) => `${JSON.stringify(event)}\n`).join(""));
    // Replaced in one step: whoever is stopped in between has this page twice, and never misses one.
    const cursor = page.next_cursor ?? ""; // which a follower always gets
    writeFileSync(`${kept}.new`, cursor);
    renameSync(`${kept}.new`, kept);
    if (!page.has_more) return;
    params = [["cursor", cursor]];
  }
}

void main(...process.argv.slice(2));
