/** Puts the page together: which view an address's fragment means, and what they share. */

import { Problem, ask, askLines } from "./api.js";
import { Details } from "./details.js";
import { byId } from "./dom.js";
import { Key } from "./key.js";
import { Look } from "./look.js";
import { Tale } from "./tale.js";

const key = new Key(() => {
  forget(); // first of all: another key may see less
  start();
  route();
});
const details = new Details((id) => read(`events/${encodeURIComponent(id)}`, [["include", "raw"]]));
const readLines = (path, pairs, signal) => askLines(path, pairs, key.value, signal);
const look = new Look(read, readLines, refuse, (event, opener) => details.open(event, opener));
const tale = new Tale(read, readLines, refuse, (event, opener) => details.open(event, opener));
const back = { fragment: "", scroll: 0, focus: null }; // where the reader was in the look

/** Asks the gateway, with the key that there is. */
async function read(path, pairs, signal) {
  if (key.missing) throw new Problem(401, {});
  const used = key.value;
  const answer = await ask(path, pairs, used, signal);
  key.keep(used);
  return answer;
}

/** The key will not do, or there is none. */
function refuse(problem) {
  if (problem.status === 403) return key.demand(problem.message);
  return key.refused(key.missing ? "" : "The gateway does not take this key. Is it whole, and has it not expired?");
}

/** `#envelope=…` is that envelope's story; anything else are filters of the look. */
function route() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const envelope = wanted.get("envelope");
  if (envelope) return toStory(envelope, wanted.get("source"));
  const returning = !byId("story").hidden;
  byId("story").hidden = true;
  byId("look").hidden = false;
  document.title = "Audit trail";
  if (!look.shows(location.hash)) return look.show(location.hash);
  if (!returning) return undefined;
  scrollTo({ top: back.scroll, behavior: "instant" });
  back.focus?.focus({ preventScroll: true });
  back.focus?.scrollIntoView({ block: "nearest", behavior: "instant" });
  return undefined;
}

function toStory(envelope, source) {
  byId("look").hidden = true;
  byId("story").hidden = false;
  byId("story-back").setAttribute("href", back.fragment || "#");
  document.title = `Envelope ${envelope} – Audit trail`;
  scrollTo({ top: 0, behavior: "instant" });
  byId("story-title").focus({ preventScroll: true });
  return tale.show(envelope, source);
}

/** What the fields of the form may suggest. Without it they still work. */
async function start() {
  const asked = key.value;
  try {
    const types = await read("event-types", []);
    if (asked === key.value) look.suggestTypes(types);
  } catch {
    // The look, or the story, meets the same problem, and shows it.
  }
}

/** Takes everything off the page that the gateway answered so far. */
function forget() {
  details.forget();
  look.forget();
  tale.forget();
  back.scroll = 0;
  back.focus = null;
}

/** The browser restores the scroll only for pages that are there at once. */
function remember() {
  if (byId("look").hidden) return;
  back.fragment = location.hash;
  back.scroll = scrollY;
  if (byId("look").contains(document.activeElement)) back.focus = document.activeElement;
}

history.scrollRestoration = "manual";
document.addEventListener("click", remember, { capture: true });
window.addEventListener("hashchange", route);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // a fragment is a view here, not a place in the page
  const target = byId(byId("story").hidden ? "list-title" : "story-title");
  target.focus();
});
byId("tell").addEventListener("submit", (event) => {
  event.preventDefault();
  const envelope = byId("tell-id").value.trim();
  if (envelope) location.hash = new URLSearchParams({ envelope });
});
byId("command-close").addEventListener("click", () => byId("command").close());

start();
route();
