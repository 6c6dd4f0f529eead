/** The bar above the events: one box that adds any filter, a box for a person, the period, and a chip for each filter. */

import {
  FIELDS,
  PERIODS,
  added,
  envelopeAddress,
  fieldOf,
  has,
  periodOf,
  valueOf,
  withValue,
  without,
} from "./filters.js";
import { Text, html, useEffect, useMemo, useRef, useState, usePage } from "./lib.js";

const MOST = 40; // suggestions shown
const CLOSED = ["envelope_status", "category", "provider"]; // fields that take suggested values only

/** `pairs`, `onChange(pairs)`; `vocabulary`: [[field, value]] to suggest; `people`: names and addresses; `problem`. */
export function FilterBar({ pairs, onChange, vocabulary, people, problem, window: shown }) {
  const wrong = new Map(problem?.errors?.map(({ parameter, message }) => [parameter, message]) ?? []);
  const chips = pairs.filter(([name]) => fieldOf(name));
  const isFiltered = chips.length || has(pairs, "person");
  return html`
    <form class="filters" role="search" aria-label="Filters" onSubmit=${(event) => event.preventDefault()}>
      <${AddFilter} pairs=${pairs} onChange=${onChange} vocabulary=${vocabulary} />
      <${Person} pairs=${pairs} onChange=${onChange} people=${people} wrong=${wrong.get("person")} />
      <${Period} pairs=${pairs} onChange=${onChange} window=${shown} wrong=${wrong.get("since") ?? wrong.get("until")} />
      ${
        isFiltered
          ? html`<ul class="chips" aria-label="Active filters">
              ${chips.map((pair) => html`<${Chip} key=${pair.join()} pair=${pair} pairs=${pairs} onChange=${onChange} wrong=${wrong.get(pair[0])} />`)}
              <li><button type="button" class="quiet" onClick=${() => onChange(pairs.filter(([name]) => ["last", "since", "until", "order"].includes(name)))}>Clear filters</button></li>
            </ul>`
          : null
      }
    </form>
  `;
}

function Chip({ pair, pairs, onChange, wrong }) {
  const [name, value] = pair;
  const field = fieldOf(name);
  const rest = pairs.filter((other) => other !== pair);
  const verb = field.negative ? "is not" : name === "q" ? "contains" : "is";
  const turned = field.negative ? field.name : `${field.name}.not`;
  const turn = () => onChange(added(rest, turned, value));
  return html`
    <li class="chip ${wrong ? "wrong" : ""}" title=${wrong}>
      <span>${field.label}</span>
      ${
        field.not
          ? html`<button type="button" class="verb" onClick=${turn} aria-label="${field.label} ${verb} ${value}: change to ${field.negative ? "is" : "is not"}">${verb}</button>`
          : html`<span class="verb">${verb}</span>`
      }
      <strong><${Text} value=${value} /></strong>
      <button type="button" class="remove" aria-label="Remove filter ${field.label} ${verb} ${value}" onClick=${() => onChange(rest)}>×</button>
    </li>
  `;
}

/** A combobox (WAI-ARIA): "sig", "type: sig", "-source: north", an id, any text. */
function AddFilter({ pairs, onChange, vocabulary }) {
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [current, setCurrent] = useState(0);
  const input = useRef();
  const options = useMemo(() => suggestions(text, vocabulary), [text, vocabulary]);
  useEffect(() => {
    const focus = (event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      input.current.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  useEffect(() => document.getElementById(`suggestion-${current}`)?.scrollIntoView({ block: "nearest" }), [current]);

  const write = (value) => {
    setText(value);
    setCurrent(0);
    setOpen(true);
  };
  const choose = (option) => {
    if (!option) return;
    if (option.start) return write(option.start);
    write("");
    setOpen(false);
    if (option.address) location.hash = option.address;
    else onChange(added(pairs, option.name, option.value));
  };
  const onKey = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      setCurrent(open ? (current + step + options.length) % options.length : 0);
      setOpen(true);
    } else if (event.key === "Enter" && open) choose(options[current]);
    else if (event.key === "Escape" && open) setOpen(false);
    else if (event.key === "Backspace" && !text) {
      const last = pairs.findLastIndex(([name]) => fieldOf(name));
      return last >= 0 ? onChange(pairs.filter((_, place) => place !== last)) : undefined;
    } else return event.key === "Tab" && setOpen(false); // before the browser moves the focus into the list
    return event.preventDefault();
  };
  return html`
    <div class="add">
      <svg class="lens" viewBox="0 0 16 16" aria-hidden="true"><circle cx="6.8" cy="6.8" r="4.6" /><path d="M10.4 10.4L14 14" /></svg>
      <input ref=${input} type="text" role="combobox" aria-label="Add a filter" aria-expanded=${open} aria-controls="suggestions"
        aria-autocomplete="list" aria-activedescendant=${open && options.length ? `suggestion-${current}` : undefined}
        placeholder="Filter by type, source, id or text" autocomplete="off" spellcheck=${false} value=${text}
        onInput=${(event) => write(event.target.value)} onKeyDown=${onKey} onClick=${() => setOpen(true)} onFocus=${() => setOpen(true)}
        onBlur=${() => setOpen(false)} />
      <kbd aria-hidden="true">Ctrl K</kbd>
      <ul id="suggestions" role="listbox" aria-label="Filters" hidden=${!open}>
        ${options.map((option, place) => {
          // The mouse must not take the focus from the box, which would close the list before the click.
          const down = (event) => event.preventDefault();
          return html`<li key=${option.key} id="suggestion-${place}" role="option" aria-selected=${place === current}
            onMouseDown=${down} onClick=${() => choose(option)}>
            <span>${option.label}</span> <bdi>${option.text}</bdi>${option.hint && html` <small>${option.hint}</small>`}
          </li>`;
        })}
      </ul>
    </div>
  `;
}

function suggestions(text, vocabulary) {
  const negative = /^\s*(-|not )/i.exec(text)?.[0] ?? "";
  let term = text.slice(negative.length).trim();
  const [, named, rest] = /^([^:]+):\s*(.*)$/s.exec(term) ?? [];
  const asked = named && Object.keys(FIELDS).find((name) => same(named, name) || same(named, FIELDS[name].label));
  if (asked) term = rest;
  const name = (field) => (negative && FIELDS[field].not ? `${field}.not` : field);
  const option = (field, value) => {
    const verb = negative && FIELDS[field].not ? "is not" : field === "q" ? "contains" : "is";
    return { key: `${field}=${value}`, name: name(field), value, label: `${FIELDS[field].label} ${verb}`, text: value };
  };
  const plain = (value) => value.toLowerCase().replaceAll(/[._ ]/g, "");
  const needle = plain(term);
  const matching = vocabulary
    .filter(([field, value]) => (!asked || asked === field) && plain(value).includes(needle))
    .map(([field, value]) => option(field, value));
  if (asked) {
    const own = term && !CLOSED.includes(asked) ? [option(asked, term)] : [];
    return unique([...matching, ...own]).slice(0, MOST);
  }
  const starts = Object.entries(FIELDS)
    .filter(([field, { label, not }]) => plain(label + field).includes(needle) && (!negative || not))
    .map(([field, { label, hint }]) => ({ key: `${field}:`, start: `${negative}${label}: `, label, text: "…", hint }));
  if (!term) return [...starts, ...matching].slice(0, MOST);
  const fields = term.includes("@") ? ["recipient", "actor", "owner"] : ["q", "envelope_id"];
  const free = fields.map((field) => option(field, term));
  const page = /^[\w-]{6,}$/.test(term)
    ? [{ key: "page", address: envelopeAddress(term), label: "Open the page of envelope", text: term }]
    : [];
  return unique([...matching.slice(0, 12), ...starts, ...free, ...page]);
}

const same = (typed, name) => typed.trim().toLowerCase() === name.toLowerCase();
const unique = (options) => [...new Map(options.map((option) => [option.key, option])).values()];

function Person({ pairs, onChange, people, wrong }) {
  const value = valueOf(pairs, "person");
  const apply = (event) => {
    const typed = event.target.value.trim();
    if (typed !== value) onChange(withValue(pairs, "person", typed));
  };
  return html`
    <div class="person ${value ? "set" : ""}">
      <label for="person">Person</label>
      <input id="person" type="search" list="people" placeholder="Name or e-mail" autocomplete="off" spellcheck=${false}
        value=${value} onChange=${apply} onSearch=${apply} aria-invalid=${Boolean(wrong)} title=${wrong} />
      <datalist id="people">${people.map((one) => html`<option key=${one} value=${one} />`)}</datalist>
    </div>
  `;
}

function Period({ pairs, onChange, window: shown, wrong }) {
  const { times } = usePage();
  const [editing, setEditing] = useState(false);
  const period = periodOf(pairs);
  const isPinned = has(pairs, "since") || has(pairs, "until");
  const choose = (event) => {
    if (event.target.value === "custom") return setEditing(true);
    setEditing(false);
    return onChange(withValue(without(pairs, "since", "until"), "last", event.target.value));
  };
  const save = (event) => {
    event.preventDefault();
    const [since, until] = ["since", "until"].map((name) => times.fromInput(document.getElementById(name).value));
    setEditing(false);
    onChange([
      ...without(pairs, "last", "since", "until"),
      ...(since ? [["since", since]] : []),
      ...(until ? [["until", until]] : []),
    ]);
  };
  const ends = isPinned ? ["since", "until"].map((name) => valueOf(pairs, name)) : [shown?.since, shown?.until];
  const label = ends.map((end) => (end ? times.minute(end) : "now")).join(" – ");
  return html`
    <div class="period">
      <label for="period" class="unseen">Period</label>
      <select id="period" value=${editing ? "custom" : period} onChange=${choose} aria-invalid=${Boolean(wrong)} title=${wrong}>
        ${PERIODS.map(([id, title]) => html`<option key=${id} value=${id}>${title}</option>`)}
        <option value="custom">${period === "custom" && !editing ? label : "Custom …"}</option>
      </select>
      ${
        editing || (period === "custom" && wrong)
          ? html`<div class="range popover" role="group" aria-label="Custom period" onKeyDown=${(event) => event.key === "Escape" && setEditing(false)}>
              <label>From <input id="since" type="datetime-local" defaultValue=${times.toInput(ends[0])} ref=${focusOnce} /></label>
              <label>To <input id="until" type="datetime-local" defaultValue=${times.toInput(ends[1])} /></label>
              <p class="small">${times.label}. “To” is not included.</p>
              ${wrong && html`<p class="error">${wrong}</p>`}
              <p class="buttons">
                <button type="button" class="main" onClick=${save}>Apply</button>
                <button type="button" onClick=${() => setEditing(false)}>Cancel</button>
              </p>
            </div>`
          : null
      }
    </div>
  `;
}

function focusOnce(input) {
  if (input && !input.dataset.focused) {
    input.dataset.focused = "yes";
    input.focus();
  }
}
