/** The form of the filters: built from their table, filled from an address, read when it is applied. */

import { byId, el } from "./dom.js";
import { FIELDS, PERIODS, periodOf } from "./filters.js";
import { ValuesInput } from "./values-input.js";

export class FilterForm {
  /** `onApply(pairs)`: the reader wants to see this. */
  constructor(onApply) {
    this._form = byId("filters");
    this._period = byId("period");
    this._controls = new Map(); // name -> {input, read, write}
    this._period.append(
      ...PERIODS.map(([id, title]) => el("option", { value: id }, title)),
      el("option", { value: "custom" }, "From … to …"),
    );
    for (const name of ["since", "until"]) this._addTime(name);
    for (const field of FIELDS) this._add(field);
    this._period.addEventListener("change", () => this._showTimes());
    this._form.addEventListener("submit", (event) => {
      event.preventDefault();
      onApply(this.read());
    });
    byId("clear").addEventListener("click", () => onApply([]));
  }

  read() {
    const period = this._period.value;
    const pairs = period === "custom" ? [] : [["last", period]];
    for (const [name, control] of this._controls) {
      if (period !== "custom" && (name === "since" || name === "until")) continue;
      for (const value of control.read()) if (value) pairs.push([name, value]);
    }
    return pairs;
  }

  write(pairs) {
    this._period.value = periodOf(pairs);
    for (const [name, control] of this._controls) {
      control.write(pairs.filter(([other]) => other === name).map(([, value]) => value));
    }
    this._showTimes();
    this.clearErrors();
    const inMore = FIELDS.filter((field) => !field.main && pairs.some(([name]) => name === field.name)).length;
    if (inMore) byId("more").open = true;
    byId("more-count").textContent = inMore ? ` (${inMore})` : "";
  }

  /** Words to choose from in the field `name`. */
  suggest(name, words) {
    byId(`${name}-suggestions`).replaceChildren(...words.map((word) => el("option", { value: word })));
  }

  /** Shows the API's remedies at the fields they are about, goes to the first, and returns those that have no field. */
  showErrors(errors) {
    this.clearErrors();
    const placed = errors.filter(({ parameter }) => this._controls.has(parameter));
    if (placed.some(({ parameter }) => parameter === "since" || parameter === "until")) {
      this._period.value = "custom";
      this._showTimes();
    }
    for (const { parameter, message } of placed) {
      const place = byId(`${parameter}-error`);
      place.textContent = `${message[0].toUpperCase()}${message.slice(1)}.`;
      place.hidden = false;
      this._controls.get(parameter).input.setAttribute("aria-invalid", "true");
      if (byId("more").contains(place)) byId("more").open = true;
    }
    if (placed.length) this._controls.get(placed[0].parameter).input.focus();
    return errors.filter((error) => !placed.includes(error));
  }

  /** Drops what the gateway said: suggestions and remedies. What the reader chose stays. */
  forget() {
    this._form.querySelectorAll("datalist").forEach((list) => list.replaceChildren());
    this.clearErrors();
  }

  clearErrors() {
    for (const [name, { input }] of this._controls) {
      byId(`${name}-error`).replaceChildren();
      byId(`${name}-error`).hidden = true;
      input.removeAttribute("aria-invalid");
    }
  }

  _showTimes() {
    byId("times").hidden = this._period.value !== "custom";
  }

  _addTime(name) {
    const input = el("input", {
      type: "datetime-local",
      step: "1",
      id: `f-${name}`,
      "aria-describedby": `${name}-error`,
    });
    this._place(byId("times"), { name, label: name === "since" ? "From" : "To (not included)" }, input);
    this._controls.set(name, {
      input,
      read: () => (input.value ? [new Date(input.value).toISOString()] : []),
      write: ([value]) => (input.value = value ? localTime(value) : ""),
    });
  }

  _add(field) {
    const common = { id: `f-${field.name}`, "aria-describedby": `${field.name}-error`, autocomplete: "off" };
    const place = byId(field.main ? "main-fields" : "more-fields");
    if (field.kind === "choice") {
      const choices = field.choices.map((choice) => [choice].flat());
      const input = el(
        "select",
        common,
        choices.map(([value, title = value]) => el("option", { value }, title)),
      );
      this._place(place, field, input);
      this._controls.set(field.name, {
        input,
        read: () => [input.value],
        write: ([value = ""]) => (input.value = value),
      });
    } else if (field.kind === "flag") {
      const input = el("input", { ...common, type: "checkbox" });
      this._place(place, field, input);
      this._controls.set(field.name, {
        input,
        read: () => (input.checked ? ["true"] : []),
        write: ([value]) => (input.checked = value === "true"),
      });
    } else {
      const values = field.kind === "values";
      const list = values && `${field.name}-suggestions`;
      const input = el("input", { ...common, type: "text", placeholder: field.hint, list, spellcheck: "false" });
      const several = values && new ValuesInput(input, field.label);
      this._place(place, field, input, several ? [several.element, el("datalist", { id: list })] : [input]);
      this._controls.set(
        field.name,
        several
          ? { input, read: () => several.values, write: (given) => (several.values = given) }
          : { input, read: () => [input.value.trim()], write: ([value = ""]) => (input.value = value) },
      );
    }
  }

  _place(place, { name, label, kind }, input, parts = [input]) {
    place.append(
      el(
        "div",
        { class: `field kind-${kind ?? "time"}` },
        el("label", { for: input.id }, label),
        parts,
        el("p", { class: "error", id: `${name}-error`, hidden: true }),
      ),
    );
  }
}

/** An RFC 3339 time as `datetime-local` has it, in the reader's zone. */
function localTime(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
