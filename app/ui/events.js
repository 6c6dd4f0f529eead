/** The events view: filters, timeline, table and details. */

import { BASE } from "./api.js";
import { ExportMenu } from "./exportmenu.js";
import { Feed } from "./feed.js";
import { FilterBar } from "./filterbar.js";
import { PERIODS, added, fragmentOf, has, inWords, periodOf, pinned, valueOf, withValue, without } from "./filters.js";
import { Text, copy, html, useEffect, useMemo, useRef, useState, usePage } from "./lib.js";
import { ProblemNotice, SourceNotices, UnknownNames, Warnings } from "./notices.js";
import { Panel } from "./panel.js";
import { EventTable } from "./table.js";
import { Timeline, barsOf } from "./timeline.js";
import { count } from "./words.js";

const NEAR = "800px"; // of the end of the list, where the next page is read

/**
 * `route`: {pairs, event, unknown, live, turn}; `live`: the period ends now, not where an address pinned it; `turn` grows
 * with each new query. `go(pairs)`: show other filters; `pin(pairs, turn)`: put those of a query into the address; `openEvent(id)`.
 */
export function EventsView({ route, go, pin, openEvent, say, hidden }) {
  const { session, times } = usePage();
  const [, draw] = useState(0);
  const feed = useMemo(() => new Feed(session, () => draw((number) => number + 1)), []);
  const vocabulary = useVocabulary(session, feed.sources);
  const [job, setJob] = useState(null);
  const [focused, setFocused] = useState(false);
  const end = useRef();
  const list = useRef();
  useEffect(() => () => feed.stop(), []);
  useEffect(() => {
    feed.load(route.pairs, route.reload && feed.events.length > 0).then(() => {
      if (feed.pairs === route.pairs && feed.window && !feed.problem) pin(pinned(route.pairs, feed.window), route.turn);
    });
  }, [route.turn]);
  useEffect(() => {
    // The last of several changes since the last frame: the end may have come into view after the first of them.
    const onward = (changes) => changes.at(-1).isIntersecting && !feed.problem && feed.more();
    const seen = new IntersectionObserver(onward, { rootMargin: NEAR });
    seen.observe(end.current);
    return () => seen.disconnect();
  }, [feed.events.length, feed.busy]);

  const { pairs } = route;
  const { events, problem } = feed;
  const order = valueOf(pairs, "order");
  const at = events.findIndex(({ id }) => id === route.event);
  const open = (event, byKeyboard) => {
    setFocused(byKeyboard);
    openEvent(event.id);
  };
  const close = () => {
    openEvent(null);
    list.current.querySelector("tr[aria-selected=true]")?.focus();
  };
  const step = (distance) => {
    const next = events[Math.max(0, Math.min(events.length - 1, at + distance))];
    openEvent(next.id);
    list.current.querySelector(`[data-id="${CSS.escape(next.id)}"]`)?.scrollIntoView({ block: "nearest" });
  };
  const people = useMemo(() => peopleIn(events), [events]);
  const stopped = stoppedAt(feed);
  const bars = useMemo(() => barsOf(feed), [feed.window, feed.total, feed.ended, events.length]);
  const filter = (name, value) => go(name === "person" ? withValue(pairs, name, value) : added(pairs, name, value));
  const link = () => new URL(`ui${fragmentOf(pinned(pairs, feed.window))}`, BASE).href;
  const share = () => copy(link(), say, "The link is copied. It shows the same period to everybody.");
  const again = () => go(pairs, true);
  const actions = problem && remedies(feed, again, session, () => pin(pinned(pairs, feed.window), route.turn));
  return html`
    <div class="view events-view ${route.event ? "with-panel" : ""}" hidden=${hidden}>
      <div class="main" ref=${list}>
        <${FilterBar} pairs=${pairs} onChange=${go} vocabulary=${vocabulary} people=${people} problem=${problem} window=${feed.window} />
        <${UnknownNames} names=${route.unknown} />
        <${Warnings} warnings=${unique([...feed.warnings, ...(feed.total?.warnings ?? [])])} />
        <${SourceNotices} sources=${feed.sources} retry=${again} />
        ${job}
        ${problem && html`<${ProblemNotice} problem=${problem} actions=${actions} note=${events.length > 0 && !problem.pending && "The list stays as it was."} />`}
        ${bars?.values.some(Boolean) && html`<${Timeline} bars=${bars} note=${stopped && `Counted back to ${times.moment(stopped)}; earlier days may have more`} onSelect=${(from, to) => go(rangeOf(pairs, feed.window, from, to))} />`}
        <div class="bar list-bar" hidden=${problem && !events.length}>
          <h1 class="unseen">Events</h1>
          <p class="count" role="status">${titleOf(feed)}</p>
          <p class="small">
            ${feed.at && `As of ${times.clock(feed.at)}`}
            ${stopped && html` <button type="button" class="quiet" disabled=${feed.counting} onClick=${() => feed.count(true)}>Count all</button>`}
          </p>
          ${!route.live && has(pairs, "last") && feed.window && html`<p class="small">This link is pinned to ${times.moment(feed.window.until)}.</p>`}
          <span class="buttons">
            <button type="button" disabled=${feed.busy} onClick=${() => go(route.live || !has(pairs, "last") ? pairs : without(pairs, "since", "until"), true)}>Refresh</button>
            ${feed.window && html`<button type="button" onClick=${share}>Copy link</button>`}
            ${feed.window && html`<${ExportMenu} feed=${feed} say=${say} onJob=${setJob} />`}
          </span>
        </div>
        <${PrintHead} pairs=${pairs} feed=${feed} />
        <${EventTable} hidden=${problem && !events.length} events=${events} label="Events" order=${order} open=${route.event} onOpen=${open}
          onOrder=${() => go(withValue(pairs, "order", order === "asc" ? "" : "asc"))} />
        ${feed.window && feed.ended && !events.length && html`<${NoEvents} pairs=${pairs} feed=${feed} go=${go} />`}
        <p class="after" role="status">
          ${feed.busy && "Loading …"}
          ${!feed.busy && feed.scannedTo && !feed.ended && `Searched back to ${times.moment(feed.scannedTo)} so far. `}
          ${!feed.busy && feed.cursor && html`<button type="button" onClick=${() => feed.more()}>Load more</button>`}
        </p>
        <div ref=${end}></div>
      </div>
      ${
        route.event &&
        html`<${Panel} id=${route.event} event=${events[at]} focused=${focused} onClose=${close} onStep=${at >= 0 ? step : undefined} onFilter=${filter} say=${say} />`
      }
    </div>
  `;
}

/** "200 of 4,012 events". */
function titleOf({ events, total, ended, window: shown, counting, busy }) {
  const loaded = events.length;
  if (!shown) return busy ? "Loading …" : "";
  if (ended) return loaded ? count(loaded, "event", "events") : "No events";
  const value = Math.max(total?.value ?? 0, loaded);
  const how = { eq: "", gte: "at least ", estimate: "about " }[total?.relation];
  if (how !== undefined) return `${loaded.toLocaleString("en")} of ${how}${value.toLocaleString("en")} events`;
  return `${count(loaded, "event", "events")} loaded${counting ? ", counting …" : ", more follow"}`;
}

/** The time at which counting stopped; undefined where it did not, as where a source hides events. */
function stoppedAt({ total, ended }) {
  if (ended || total?.relation !== "gte") return undefined;
  const ends = total.sources.map((source) => source.scanned_to).filter(Boolean);
  return ends.sort().at(-1);
}

function remedies(feed, again, session, accepted) {
  const { problem } = feed;
  const retry = ["Try again", again];
  if (problem.pending) return [retry, ["Show the others", () => (feed.accept(), accepted())]];
  if (problem.status === 422) return [];
  if (problem.status === 403) return [["Use another key", () => session.ask("")]];
  return feed.failed === "more" && problem.status !== 400 ? [["Try again", () => feed.more()]] : [retry];
}

function rangeOf(pairs, { since, until }, from, to) {
  const rest = without(pairs, "last", "since", "until");
  // The ends of the window have microseconds, which a Date would lose.
  const low = from <= Date.parse(since) ? since : new Date(from).toISOString();
  const high = to >= Date.parse(until) ? until : new Date(to).toISOString();
  return [["since", low], ["until", high], ...rest];
}

function NoEvents({ pairs, feed, go }) {
  const { times } = usePage();
  const isFiltered = inWords(pairs).length > 0;
  const at = PERIODS.findIndex(([id]) => id === periodOf(pairs));
  const wider = at < 0 ? PERIODS.find(([id]) => id === "90d") : PERIODS[at + 1];
  const widen = () => go([["last", wider[0]], ...without(pairs, "last", "since", "until")]);
  return html`
    <div class="empty">
      <h2>No events match</h2>
      <p>Nothing ${isFiltered ? "matches these filters" : "happened"} from ${times.moment(feed.window.since)} to ${times.moment(feed.window.until ?? new Date())}.</p>
      <p class="buttons">
        ${wider && html`<button type="button" class="main" onClick=${widen}>Widen the period: ${wider[1].toLowerCase()}</button>`}
        ${isFiltered && html`<button type="button" onClick=${() => go(pairs.filter(([name]) => ["last", "since", "until", "order"].includes(name)))}>Clear filters</button>`}
      </p>
    </div>
  `;
}

/** The heading of a printed list. */
function PrintHead({ pairs, feed }) {
  const { session, times } = usePage();
  if (!feed.window) return null;
  const { since, until } = feed.window;
  return html`
    <div class="printed">
      <h2>Audit trail: ${titleOf(feed)}</h2>
      <p>Period: ${times.full(since)} – ${until ? times.full(until) : "now"} (${times.label})</p>
      ${inWords(pairs).map(([label, text]) => html`<p key=${label}>${label}: <${Text} value=${text} /></p>`)}
      <p>Sources: ${feed.sources.map(({ name, status }) => (status === "ok" ? name : `${name} (${status})`)).join(", ")}. Printed ${times.full(new Date())}${session.me?.name ? ` by ${session.me.name}` : ""}.</p>
    </div>
  `;
}

/** What the filter box suggests, as [field, value]. Without it the box still works. */
function useVocabulary(session, sources) {
  const [types, setTypes] = useState(null);
  const [accounts, setAccounts] = useState([]);
  useEffect(() => {
    const ignore = () => {};
    session.read("event-types").then(setTypes, ignore);
    if (session.may("sources:read")) session.read("sources").then(({ data }) => setAccounts(data), ignore);
  }, []);
  return useMemo(() => {
    const names = unique([...accounts, ...sources].map(({ name }) => name)).sort();
    const mappings = types?.data.flatMap(({ mappings: all }) => all) ?? [];
    const values = (field, all) => unique(all).map((value) => [field, value]);
    const mapped = (name) => mappings.map((one) => one[name]);
    return [
      ...values("type", types?.data.map(({ type }) => type) ?? []),
      ...values("type", types?.data.map(({ type }) => `${type.split(".")[0]}.*`) ?? []),
      ...values("source", names),
      ...["completed", "active", "inactive"].map((value) => ["envelope_status", value]),
      ...values("category", mapped("category")),
      ...values("provider", types?.providers.map(({ name }) => name) ?? []),
      ...values("provider_type", mapped("provider_type")),
    ];
  }, [types, accounts, sources.length]);
}

function peopleIn(events) {
  const found = events.flatMap(({ actor, recipient, target, envelope }) => [
    actor?.email,
    recipient?.email,
    recipient?.name,
    target?.email,
    envelope?.owner,
  ]);
  return unique(found.filter((text) => text && !text.includes("***"))).slice(0, 200);
}

function unique(values) {
  return [
    ...new Map(values.map((value) => [typeof value === "string" ? value : JSON.stringify(value), value])).values(),
  ];
}
