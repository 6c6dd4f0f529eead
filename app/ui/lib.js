/** The vendored libraries, and the small parts that every view uses. */

import { createContext, h } from "./vendor/preact.js";
import { useContext, useEffect, useRef } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export { Component, render } from "./vendor/preact.js";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
export const html = htm.bind(h);

/** {session, times}: who looks, and the formatters of the chosen zone. */
export const Page = createContext(null);
export const usePage = () => useContext(Page);

/**
 * Text that a provider sent. It keeps its own direction of writing, and what the gateway masked is marked as masked. Views
 * render text nodes only; the page's policy makes the browser refuse HTML made from text.
 */
export function Text({ value }) {
  const { session } = usePage();
  // Signs of direction would show the letters in another order.
  const spelled = (sign) => `[U+${sign.charCodeAt().toString(16).toUpperCase()}]`;
  const text = String(value).replace(/[\u202a-\u202e\u2066-\u2069]/g, spelled);
  if (!text.includes("***") || session.may("pii:read")) return html`<bdi>${text}</bdi>`;
  const mark = html`<span class="masked" title="Masked: showing it needs the scope pii:read">masked</span>`;
  return html`<bdi>${text.split("***").map((part, place) => (place ? [mark, part] : part))}</bdi>`;
}

/** A time in the chosen zone; UTC to the microsecond on hover. */
export function Time({ at, form = "stamp" }) {
  const { times } = usePage();
  return html`<time datetime=${at} title="${at.replace("T", " ").replace("Z", "")} UTC">${times[form](at)}</time>`;
}

export function Empty() {
  return html`<span class="none">–</span>`;
}

/** A modal dialog that is open while it is rendered. */
export function Modal({ label, onClose, children }) {
  const box = useRef();
  useEffect(() => box.current.showModal(), []);
  return html`<dialog ref=${box} aria-label=${label} onClose=${onClose}>${children}</dialog>`;
}

/** A button with a popover below it. `id` names the popover; `children`: its content. */
export function Menu({ id, label, title, children }) {
  const button = useRef();
  const place = ({ newState, target }) => {
    if (newState !== "open") return;
    const { bottom, right } = button.current.getBoundingClientRect();
    target.style.top = `${bottom + 4}px`;
    target.style.right = `${Math.max(8, document.documentElement.clientWidth - right)}px`;
  };
  return html`
    <button ref=${button} type="button" class="menu" popovertarget=${id} aria-haspopup="true" title=${title}>${label}</button>
    <div id=${id} popover class="popover" onBeforetoggle=${place}>${children}</div>
  `;
}

/** Copy `text`, and report through `say`. Browsers offer the clipboard over HTTPS and on this machine only. */
export async function copy(text, say, done) {
  try {
    await navigator.clipboard.writeText(text);
    say(done);
  } catch {
    say("The browser does not allow copying here. Select the text and copy it:", text);
  }
}
