/** The events as a table: a grid of rows in which the arrow keys move and Enter opens the details. */

import { envelopeAddress } from "./filters.js";
import { Component, Empty, Text, Time, html, usePage, useState } from "./lib.js";
import { Glyph, actorOf, groupOf, nameOf, objectOf, titleOf } from "./words.js";

const PAGE = 15; // rows that Page Down moves

/** `order`; `onOrder()` turns it; `open`: id of the event whose details are shown; `onOpen(event, byKeyboard)`. */
export function EventTable({ events, order, onOrder, open, onOpen, label, hidden }) {
  const { times } = usePage();
  const [focused, setFocused] = useState(null);
  const names = new Map();
  for (const { envelope } of events) if (envelope?.name) names.set(envelope.id, envelope.name);
  const onKey = (event) => {
    const row = event.target.closest("tr[data-id]");
    if (!row) return;
    const rows = [...row.parentElement.children];
    const at = rows.indexOf(row);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + PAGE,
      PageUp: at - PAGE,
      Home: 0,
      End: rows.length - 1,
    };
    if (event.key in to) {
      const next = rows[Math.max(0, Math.min(rows.length - 1, to[event.key]))];
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
      if (open) onOpen(events[rows.indexOf(next)], false);
    } else if (event.key === "Enter" && event.target === row) onOpen(events[at], true);
    else return;
    event.preventDefault();
  };
  const isOld = [events[0], events.at(-1)].some((one) => one?.occurred_at < `${new Date().getFullYear()}`);
  // Tab leaves and enters the grid at the row that had the focus last.
  const stop = [focused, open].find((one) => events.some(({ id }) => id === one)) ?? events[0]?.id;
  return html`
    <table hidden=${hidden} class="events ${isOld ? "years" : ""}" role="grid" aria-label=${label} onKeyDown=${onKey}
      onFocusin=${({ target }) => setFocused(target.closest("tr").dataset.id)} aria-describedby="table-keys">
      <thead>
        <tr>
          <th scope="col" class="when" aria-sort=${order === "asc" ? "ascending" : "descending"}>
            <button type="button" onClick=${onOrder} title="${order === "asc" ? "Oldest" : "Newest"} first. Click to reverse.">
              Time <small>${times.zone === "utc" ? "UTC" : "local"}</small> <span aria-hidden="true">${order === "asc" ? "↑" : "↓"}</span>
            </button>
          </th>
          <th scope="col" class="what">Event</th>
          <th scope="col" class="envelope">Envelope</th>
          <th scope="col" class="actor">Done by</th>
          <th scope="col" class="object">Concerns</th>
          <th scope="col" class="source">Source</th>
        </tr>
      </thead>
      <tbody>
        ${events.map(
          (event) => html`<${Row} key=${event.id} event=${event} times=${times} name=${names.get(event.envelope?.id)}
            isOpen=${event.id === open} isTabStop=${event.id === stop} onOpen=${onOpen} />`,
        )}
      </tbody>
    </table>
    <p id="table-keys" class="unseen">Arrow keys move from row to row. Enter opens the details of an event, Escape closes them.</p>
  `;
}

/** Thousands of rows stay cheap: one renders again only when something of its own changes. */
class Row extends Component {
  shouldComponentUpdate(next) {
    return ["event", "times", "name", "isOpen", "isTabStop"].some((prop) => next[prop] !== this.props[prop]);
  }

  render({ event, name, isOpen, isTabStop, onOpen }) {
    const { envelope } = event;
    const object = objectOf(event);
    const open = (click) => {
      // A link keeps its own meaning, and so does selecting text with the mouse.
      if (!click.target.closest("a") && !getSelection().toString()) onOpen(event, false);
    };
    return html`
      <tr data-id=${event.id} tabindex=${isTabStop ? 0 : -1} aria-selected=${isOpen} onClick=${open}>
        <td role="gridcell" class="when"><${Time} at=${event.occurred_at} /></td>
        <td role="gridcell" class="what">
          <${Glyph} group=${groupOf(event)} /><${Text} value=${titleOf(event)} />
          ${event.outcome === "failure" && !event.type.endsWith("failed") && html` <span class="tag is-problem">Failed</span>`}
        </td>
        <td role="gridcell" class="envelope">
          ${
            envelope
              ? html`<a tabindex=${isTabStop ? 0 : -1} href=${envelopeAddress(envelope.id, event.source)} title="Envelope ${envelope.id}">
                  <${Text} value=${name ?? envelope.id} />
                </a>`
              : html`<${Empty} />`
          }
        </td>
        <td role="gridcell" class="actor ${event.actor.kind === "system" ? "system" : ""}"><${Text} value=${actorOf(event)} /></td>
        <td role="gridcell" class="object">
          ${object ? html`<${Text} value=${object[0]} />${event.target && !nameOf(event.recipient) && html` <small>${object[1]}</small>`}` : html`<${Empty} />`}
        </td>
        <td role="gridcell" class="source"><${Text} value=${event.source} /></td>
      </tr>
    `;
  }
}
