/** The page: which view the address means, who looks at it, and in which time zone. */

import { EnvelopeView } from "./envelope.js";
import { EventsView } from "./events.js";
import { fragmentOf, has, parse, without } from "./filters.js";
import { Menu, Modal, Page, Text, html, render, useEffect, useMemo, useState, usePage } from "./lib.js";
import { ProblemNotice } from "./notices.js";
import { Session } from "./session.js";
import { LOCAL, timesIn } from "./times.js";

const ZONE_SLOT = "audit-gateway-zone";
let redraw = () => {};
const session = new Session(() => redraw());

function App() {
  const [, draw] = useState(0);
  const [zone, setZone] = useState(localStorage.getItem(ZONE_SLOT) ?? "local");
  const [said, say] = useState(null);
  redraw = () => draw((number) => number + 1);
  const times = useMemo(() => timesIn(zone), [zone]);
  const page = useMemo(() => ({ session, times }), [times, session.generation]);
  const chooseZone = (chosen) => {
    localStorage.setItem(ZONE_SLOT, chosen);
    setZone(chosen);
  };
  useEffect(() => {
    session.start();
  }, []);
  return html`
    <${Page.Provider} value=${page}>
      <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
      <header class="top">
        <a class="brand" href="#">Audit trail</a>
        <nav aria-label="Page">
          ${zone === "local" && html`<small class="zone">${LOCAL}</small>`}
          <label><span class="unseen">Time zone</span>
            <select value=${zone} onChange=${(event) => chooseZone(event.target.value)}>
              <option value="local">Local time</option>
              <option value="utc">UTC</option>
            </select>
          </label>
          <a href="docs">API</a>
          <${Identity} />
        </nav>
      </header>
      <main id="main" tabindex="-1">
        ${session.problem && html`<${ProblemNotice} problem=${session.problem} actions=${[session.problem.status === 401 ? ["Reload", () => location.reload()] : ["Try again", () => session.start()]]} />`}
        ${session.me && html`<${Views} key=${session.generation} say=${(text, copyable) => say({ text, copyable })} />`}
        ${
          !session.me && !session.problem && session.started && session.asking === null
            ? html`<div class="empty"><h1>Signed out</h1><p>An API key is needed to show events.</p>
                <p class="buttons"><button type="button" class="main" onClick=${() => session.ask("")}>Enter an API key</button></p></div>`
            : null
        }
      </main>
      ${session.asking !== null && html`<${KeyDialog} reason=${session.asking} />`}
      ${said && html`<${Said} ...${said} close=${() => say(null)} />`}
    <//>
  `;
}

/** The view of the address. The events stay as they are while an envelope's page is shown. */
function Views({ say }) {
  const [route, setRoute] = useState(firstRoute);
  const [events, setEvents] = useState(() => (route.envelope ? null : route));
  useEffect(() => {
    const read = () => {
      const next = readAddress();
      setRoute(next);
      if (next.envelope) return scrollTo(0, 0);
      return setEvents((before) => {
        if (before && fragmentOf(before.pairs) === fragmentOf(next.pairs))
          return { ...before, ...next, live: before.live };
        return { ...next, live: isLive(), turn: (before?.turn ?? 0) + 1 };
      });
    };
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  useEffect(() => {
    document.title = route.envelope ? `Envelope ${route.envelope} – Audit trail` : "Audit trail";
  }, [route.envelope]);

  const go = (pairs, reload = false) => {
    // Where the period ends now, other filters look up to now again.
    const isMoving = !has(pairs, "since") || (events.live && has(pairs, "last"));
    const wanted = isMoving ? without(pairs, "since", "until") : pairs;
    const turn = events.turn + 1;
    const next = { pairs: wanted, event: reload ? events.event : null, unknown: [], live: isMoving, turn, reload };
    if (reload) history.replaceState({ live: isMoving }, "", fragmentOf(wanted, next.event) || "#");
    else history.pushState({ live: isMoving }, "", fragmentOf(wanted) || "#");
    setRoute(next);
    setEvents(next);
  };
  const pin = (pairs, turn) => {
    if (readAddress().envelope) return;
    setEvents((now) => {
      if (now.turn !== turn) return now; // other filters were chosen before this answer came
      const kept = has(now.pairs, "last") || has(now.pairs, "since") ? pairs : [["last", "30d"], ...pairs];
      history.replaceState({ live: now.live }, "", fragmentOf(kept, now.event));
      return { ...now, pairs: kept };
    });
  };
  const openEvent = (id) => {
    history.replaceState(history.state, "", fragmentOf(events.pairs, id) || "#");
    setEvents({ ...events, event: id });
  };
  return html`
    ${events && html`<${EventsView} route=${events} go=${go} pin=${pin} openEvent=${openEvent} say=${say} hidden=${Boolean(route.envelope)} />`}
    ${route.envelope && html`<${EnvelopeView} key=${location.hash} id=${route.envelope} source=${route.source} say=${say} back=${events ? fragmentOf(events.pairs, events.event) : "#"} />`}
  `;
}

const readAddress = () => parse(location.hash);

/** A reload of one's own view looks up to now again. */
function firstRoute() {
  const route = { ...readAddress(), live: isLive(), turn: 0 };
  return route.live && has(route.pairs ?? [], "last")
    ? { ...route, pairs: without(route.pairs, "since", "until") }
    : route;
}

/** Whether this history entry is of this tab and ends now; a link that was shared has no state and stays pinned. */
function isLive() {
  return history.state?.live ?? !has(readAddress().pairs ?? [], "until");
}

function Identity() {
  const { session: shown } = usePage();
  const { me, key } = shown;
  if (!me) return html`<button type="button" onClick=${() => shown.ask("")}>Sign in</button>`;
  const kind = { key: "API key", token: "Token", none: "No authentication" }[me.kind] ?? me.kind;
  const rows = [
    ["Name", me.name],
    ["Signed in with", kind],
    ["Scopes", me.scopes.join(", ")],
    ["Sources", me.sources.join(", ")],
    ["Rate", me.rate],
    ["Expires", me.expires],
  ].filter(([, value]) => value);
  return html`
    <${Menu} id="identity" label=${html`<bdi>${me.name}</bdi>`} title="Who am I">
      <dl>${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><bdi>${value}</bdi></dd></div>`)}</dl>
      ${!me.scopes.includes("pii:read") && html`<p class="small">Private values are masked: the scope pii:read is missing.</p>`}
      <button type="button" onClick=${() => (document.getElementById("identity").hidePopover(), shown.ask(""))}>Use ${key ? "another" : "an"} API key</button>
      ${key && html`<button type="button" onClick=${() => shown.signOut()}>Forget the key</button>`}
    <//>
  `;
}

function KeyDialog({ reason }) {
  const { session: shown } = usePage();
  const [error, setError] = useState("");
  const submit = (event) => {
    event.preventDefault();
    const key = event.target.elements.key.value.trim();
    // Anything else cannot stand in a header.
    if (!/^[\x21-\x7e]+$/.test(key))
      return setError("Enter the key as it was given to you: letters, digits and signs, without blanks.");
    setError("");
    return shown.use(key);
  };
  const text = error || reason;
  return html`
    <${Modal} label="API key" onClose=${() => shown.cancel()}>
      <form onSubmit=${submit} novalidate>
        <h2>API key</h2>
        <p><label>Key <input name="key" type="password" autocomplete="off" spellcheck=${false} aria-invalid=${Boolean(text)} aria-describedby="key-error key-kept" /></label></p>
        <p id="key-error" class="error" role="alert">${text}</p>
        <p id="key-kept" class="small">
          The key is kept in the session storage of this browser’s open tabs of this page. It is sent to this gateway only, in a
          header, and is forgotten when the last of these tabs is closed.
        </p>
        <p class="buttons">
          <button type="submit" class="main">Use this key</button>
          <button type="button" onClick=${(event) => event.target.closest("dialog").close()}>Cancel</button>
        </p>
      </form>
    <//>
  `;
}

/** A short message; with `copyable`, a text to copy by hand. */
function Said({ text, copyable, close }) {
  useEffect(() => {
    if (copyable) return undefined;
    const timer = setTimeout(close, 5_000);
    return () => clearTimeout(timer);
  }, [text, copyable]);
  if (!copyable) return html`<p class="toast" role="status">${text}</p>`;
  return html`<${Modal} label="Copy" onClose=${close}><p>${text}</p><pre tabindex="0">${copyable}</pre>
    <form method="dialog"><button class="main">Close</button></form><//>`;
}

function skip(event) {
  event.preventDefault(); // a fragment is a view here, not a place in the page
  document.getElementById("main").focus();
}

render(html`<${App} />`, document.getElementById("app"));
