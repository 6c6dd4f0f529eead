/** Shows an envelope's story: the short of it, how far each recipient came, and every step with the time it took. */

import { byId, el, theirs } from "./dom.js";
import { glyph } from "./groups.js";
import { STAGES } from "./story.js";
import { clockOf, dayOf, durationOf, isoDuration, momentOf, shortMomentOf, utcOf, zoneName } from "./times.js";
import { nameOf, reasonOf, sentenceOf } from "./wording.js";

const STATUS = {
  completed: ["signed", "Completed"],
  declined: ["problem", "Declined"],
  canceled: ["problem", "Canceled"],
  expired: ["problem", "Expired"],
  "in progress": ["prepared", "In progress"],
};
const PAUSE = 3_600_000_000; // µs after which a wait is worth a line of its own

/**
 * `missing`: the notice of what the story lacks, or null; `onOpen(event, opener)`: the reader wants all of a step's
 * event; `opener`: the step's button.
 */
export function showStory(story, missing, onOpen) {
  const { envelope } = story;
  const [group, status] = STATUS[story.status];
  byId("story-title").replaceChildren(theirs(envelope.name ?? envelope.id));
  byId("story-body").replaceChildren(
    missing ?? "",
    el("p", { class: `status group-${group}` }, status),
    el("p", { class: "lead" }, ...summary(story)),
    facts(story),
    el("p", { class: "small" }, `Times in ${zoneName()}`),
    story.recipients.length ? recipients(story.recipients) : "",
    el(
      "section",
      { class: "steps", "aria-labelledby": "steps-title" },
      el("h3", { id: "steps-title" }, "Step by step"),
      steps(story.steps, onOpen),
    ),
  );
}

/** The short of it, in two or three sentences. */
function summary({ envelope, steps, starter, recipients, status, end, took, reminders, failures }) {
  const first = steps[0].event;
  const begun = first.type === "envelope.created" ? "Created" : "First heard of";
  const by = nameOf(starter) ? [" by ", theirs(nameOf(starter))] : [];
  const whole = end ? [`, ${status} after `, time(took)] : ["; in progress, its latest step came after ", time(took)];
  const count = (number, one, many) => (number ? `${number} ${number === 1 ? one : many}` : null);
  const failed = count(failures, "message could not be delivered", "messages could not be delivered");
  const reminded = count(reminders, "reminder was sent", "reminders were sent");
  return [
    begun,
    envelope.owner || nameOf(starter) ? by : [],
    ` on ${momentOf(first.occurred_at)}`,
    whole,
    ". ",
    signatures(recipients),
    failed ? [el("strong", { class: "group-problem" }, `${failed}.`), " "] : "",
    reminded ? el("strong", { class: "group-delivery" }, `${reminded}.`) : "",
  ];
}

function signatures(people) {
  const signed = people.filter((person) => person.state === "signed").length;
  if (!people.length) return "";
  if (people.length === 1) return signed ? "The recipient signed. " : "The recipient has not signed. ";
  const all = people.length === 2 ? "Both" : `All ${people.length}`;
  return signed === people.length
    ? `${all} recipients signed. `
    : `${signed || "None"} of ${people.length} recipients signed. `;
}

function facts({ envelope, sources, steps }) {
  const pairs = [
    ["Envelope", envelope.id],
    ["Owner", envelope.owner],
    ["Source", sources.join(", ")],
    ["Status at the provider", envelope.status],
    ["Flow", envelope.flow_id],
    ["Workspace", envelope.workspace_id],
    ["Sequence", envelope.sequence_id],
    ["Events", String(steps.length)],
  ];
  return el(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value)
      .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, theirs(value)))),
  );
}

function recipients(people) {
  // Who is invited was added, which says nothing new.
  const hidden = people.every((person) => person.reached.invited) ? "added" : null;
  const stages = STAGES.filter((stage) => stage !== hidden && people.some((person) => person.reached[stage]));
  const head = ["Recipient", "Now", ...stages.map(title)].map((text) => el("th", { scope: "col" }, text));
  return el(
    "section",
    { class: "recipients", "aria-labelledby": "recipients-title" },
    el("h3", { id: "recipients-title" }, "Recipients"),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-labelledby": "recipients-title" },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, head)),
        el(
          "tbody",
          {},
          people.map((person) => recipient(person, stages)),
        ),
      ),
    ),
  );
}

function recipient(person, stages) {
  const reminders = person.reminders
    ? `${person.reminders} ${person.reminders === 1 ? "reminder" : "reminders"}`
    : null;
  const bad = ["declined", "not reached"].includes(person.state);
  const cells = stages.map((stage) => {
    const step = person.reached[stage];
    if (!step) return el("td", {}, el("span", { class: "none" }, "–"));
    const at = step.event.occurred_at;
    return el("td", {}, el("time", { datetime: at, title: utcOf(at) }, shortMomentOf(at)));
  });
  return el(
    "tr",
    {},
    el(
      "th",
      { scope: "row" },
      theirs(nameOf(person)),
      person.name && person.email ? el("span", { class: "mail" }, theirs(person.email)) : "",
    ),
    el(
      "td",
      {},
      el(
        "span",
        { class: `state group-${bad ? "problem" : person.state === "signed" ? "signed" : "prepared"}` },
        title(person.state),
      ),
      person.failed ? el("span", { class: "note group-problem" }, "a message failed") : "",
      reminders ? el("span", { class: "note group-delivery" }, reminders) : "",
    ),
    cells,
  );
}

function steps(all, onOpen) {
  let day = null;
  const items = [];
  for (const step of all) {
    if (step.sinceBefore >= PAUSE)
      items.push(el("li", { class: "pause", "aria-hidden": "true" }, durationOf(step.sinceBefore)));
    const today = dayOf(step.event.occurred_at);
    if (today !== day) items.push(el("li", { class: "day" }, (day = today)));
    items.push(stepItem(step, step === all[0], onOpen));
  }
  return el("ol", { role: "list" }, items);
}

function stepItem(step, isFirst, onOpen) {
  const { event, group } = step;
  const reason = group.id === "problem" ? reasonOf(event) : null;
  const trouble = group.id === "problem" || event.type === "recipient.reminded";
  return el(
    "li",
    { class: `step group-${group.id} ${trouble ? "trouble" : ""}`, "data-id": event.id },
    glyph(group),
    el(
      "time",
      { class: "at", datetime: event.occurred_at, title: utcOf(event.occurred_at) },
      clockOf(event.occurred_at),
    ),
    el(
      "div",
      { class: "said" },
      el("p", {}, ...sentenceOf(event)),
      reason ? el("p", { class: "note" }, "Reason: ", theirs(reason)) : "",
    ),
    el(
      "p",
      { class: "took" },
      isFirst
        ? ""
        : [
            el("span", { class: "since-before" }, "+ ", time(step.sinceBefore)),
            el("span", { class: "since-start" }, time(step.sinceStart), " in all"),
          ],
    ),
    el(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-haspopup": "dialog",
        "aria-label": `Details of the step at ${clockOf(event.occurred_at)}`,
        click: (click) => onOpen(event, click.currentTarget),
      },
      "Details",
    ),
  );
}

function time(micros) {
  return el("time", { datetime: isoDuration(micros) }, durationOf(micros));
}

function title(word) {
  return word[0].toUpperCase() + word.slice(1);
}
