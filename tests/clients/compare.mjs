// Prints the changes from one OpenAPI document to others that api-smart-diff calls breaking: a JSON list for each.
//   node compare.mjs BEFORE AFTER...
import { readFileSync } from "node:fs";
import { compareOpenApi } from "api-smart-diff";

const [old, ...others] = process.argv.slice(2);
const read = (file) => JSON.parse(readFileSync(file, "utf8"));
const breaking = (file) =>
  compareOpenApi(read(old), read(file))
    .diffs.filter(({ type }) => type === "breaking")
    .map(({ action, path, before, after }) => ({ action, path, before, after }));
console.log(JSON.stringify(others.map(breaking)));
