/**
 * Elements, made without ever reading HTML: whatever a provider sent goes in as text. (The page's policy has the
 * browser refuse anything else.)
 */

const SVG = "http://www.w3.org/2000/svg";

/** An element. `attributes` that are functions become listeners; null, undefined and false are left out. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for a part of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** The element of index.html with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Text of other people: it keeps its own direction of writing, whatever stands around it. */
export function theirs(text) {
  return el("bdi", {}, text);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}
