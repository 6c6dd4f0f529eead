/**
 * One envelope's life, from its events: what happened when, how long each step took, and how far each recipient came.
 * Only reckoning; story-view.js shows it.
 */

import { groupOf } from "./groups.js";
import { microsOf } from "./times.js";

/** How far a recipient can come, in order. */
export const STAGES = ["added", "invited", "delivered", "opened", "verified", "signed"];

const ENDS = {
  "envelope.completed": "completed",
  "envelope.declined": "declined",
  "envelope.canceled": "canceled",
  "envelope.expired": "expired",
};

/**
 * The story of `events` (oldest first, at least one): `steps`, `recipients`, `status` (how it ended, or "in progress"),
 * `took` (µs from the first step to the end, or to the last step so far), `reminders`, `failures`, and who began it.
 */
export function tell(events) {
  const steps = stepsOf(events);
  const end = steps.findLast((step) => ENDS[step.event.type]) ?? null;
  const created = events.find((event) => event.type === "envelope.created");
  return {
    envelope: envelopeOf(events),
    sources: [...new Set(events.map((event) => event.source))],
    steps,
    recipients: recipientsOf(steps),
    status: end ? ENDS[end.event.type] : "in progress",
    end,
    took: (end ?? steps.at(-1)).sinceStart,
    starter: created?.actor ?? null,
    reminders: events.filter((event) => event.type === "recipient.reminded").length,
    failures: events.filter((event) => event.type === "notification.failed").length,
  };
}

function stepsOf(events) {
  const start = microsOf(events[0].occurred_at);
  let before = start;
  return events.map((event) => {
    const at = microsOf(event.occurred_at);
    const step = { event, group: groupOf(event), sinceBefore: at - before, sinceStart: at - start };
    before = at;
    return step;
  });
}

/** Any event may carry what another lacks, the later one the newer name. */
function envelopeOf(events) {
  const found = {};
  for (const { envelope } of events) {
    for (const [name, value] of Object.entries(envelope ?? {})) if (value !== null) found[name] = value;
  }
  return found;
}

/** Everybody who is to sign, in the order in which they were first named. */
function recipientsOf(steps) {
  const people = [];
  const find = (person) => {
    const mail = person.email?.toLowerCase();
    let known = people.find(
      (one) =>
        (person.id && one.id === person.id) ||
        (mail && one.email?.toLowerCase() === mail) ||
        (!person.id && !mail && person.name && one.name === person.name),
    );
    if (!known)
      people.push(
        (known = { id: null, name: null, email: null, reached: {}, declined: null, failed: null, reminders: 0 }),
      );
    for (const part of ["id", "name", "email"]) known[part] ||= person[part] ?? null;
    return known;
  };
  for (const step of steps) {
    const { event } = step;
    // Where nobody is named one by one, the sending may name all of them at once.
    if (event.type === "envelope.sent") for (const person of listed(event)) reach(find(person), "invited", step);
    // The end of an envelope is not one recipient's, although a provider may name the last one who signed.
    const person = event.recipient ?? (event.actor.kind === "recipient" ? event.actor : null);
    if (person && (person.id || person.email || person.name) && event.type !== "envelope.completed")
      note(find(person), step);
  }
  return people.map((person) => ({ ...person, state: stateOf(person) }));
}

function listed({ data }) {
  const people = Array.isArray(data.recipients) ? data.recipients : [];
  return people.filter((person) => typeof person?.email === "string" || typeof person?.name === "string");
}

function note(person, step) {
  const { event } = step;
  const toSign = !["confirmation", "sender_notice"].includes(event.delivery?.purpose) && !person.reached.signed;
  switch (event.type) {
    case "recipient.added":
      reach(person, "added", step);
      break;
    case "recipient.invited":
      reach(person, "invited", step);
      break;
    case "recipient.reminded":
      person.reminders += 1;
      break;
    case "envelope.viewed":
      reach(person, "opened", step);
      break;
    case "recipient.identity_verified":
      reach(person, "verified", step);
      break;
    case "recipient.signed":
      reach(person, "signed", step);
      break;
    case "envelope.declined":
      person.declined ??= step;
      break;
    case "notification.delivered":
      if (toSign) reach(person, "delivered", step);
      break;
    case "notification.opened":
      if (toSign) reach(person, "opened", step);
      break;
    case "notification.failed":
      person.failed = step;
      break;
  }
}

/** The first time counts. */
function reach(person, stage, step) {
  person.reached[stage] ??= step;
}

function stateOf(person) {
  if (person.declined) return "declined";
  const furthest = STAGES.findLast((stage) => person.reached[stage]) ?? "added";
  const stuck = person.failed && ["added", "invited"].includes(furthest);
  return stuck ? "not reached" : furthest;
}
