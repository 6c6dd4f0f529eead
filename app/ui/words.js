/** Events in words, and the groups that give them a colour and a sign. */

import { Text, html } from "./lib.js";

const CHANNELS = { sms: "text message", email: "e-mail" };
const STATES = { sent: "was sent", delivered: "was delivered", opened: "was opened", failed: "could not be delivered" };

/** Shapes of the groups, 12 by 12, because some readers cannot distinguish the colours. */
const SHAPES = {
  prepared: "M6 1.2a4.8 4.8 0 1 1 0 9.6a4.8 4.8 0 1 1 0-9.6z",
  delivery: "M1.5 1.5L11 6L1.5 10.5z",
  opened: "M6 .6L11.4 6L6 11.4L.6 6z",
  signed: "M1.2 6.6L3 4.8L5 6.8L9.4 2.2L11.2 4L5 10.4z",
  problem: "M2.8 1L6 4.2L9.2 1L11 2.8L7.8 6L11 9.2L9.2 11L6 7.8L2.8 11L1 9.2L4.2 6L1 2.8z",
  team: "M3.3 1.2h5.4L11.4 6L8.7 10.8H3.3L.6 6z",
  other: "M4.4 1h3.2v3.4H11v3.2H7.6V11H4.4V7.6H1V4.4h3.4z",
};
const ENDED_BADLY = ["envelope.declined", "envelope.canceled", "envelope.expired"];
const SIGNED = /^(recipient\.signed|envelope\.(completed|all_signed|approved|approval_phase_completed))$/;
const OPENED = ["envelope.viewed", "recipient.identity_verified"];

/** The group of an event. New types of known objects find a place; anything else is "other". */
export function groupOf({ type, category, outcome }) {
  if (outcome === "failure" || ENDED_BADLY.includes(type)) return "problem";
  if (type === "unknown") return "other";
  if (category !== "envelope") return "team";
  if (SIGNED.test(type)) return "signed";
  if (OPENED.includes(type)) return "opened";
  if (type.startsWith("notification.") || type === "recipient.reminded") return "delivery";
  return /^(envelope|recipient)\./.test(type) ? "prepared" : "other";
}

export function Glyph({ group }) {
  return html`<svg class="glyph is-${group}" viewBox="0 0 12 12" aria-hidden="true"><path d=${SHAPES[group]} /></svg>`;
}

/** "Recipient signed"; for an unknown type the provider's own word. */
export function titleOf({ type, provider_type }) {
  if (type === "unknown") return `Unknown: ${provider_type}`;
  const words = type.replace(".", " ").replaceAll("_", " ").replace("api key", "API key").replace("sso", "SSO");
  return capital(words.replace("oauth", "OAuth"));
}

export const capital = (text) => text[0].toUpperCase() + text.slice(1);
export const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** The name to show for a person or a target; null without one. */
export const nameOf = (person) => (person && (person.name || person.email || person.id || person.phone)) || null;

export function actorOf({ actor }) {
  return nameOf(actor) ?? (actor.kind === "system" ? "System" : capital(actor.kind));
}

/** Whom or what the event concerns: [text, kind] or null. */
export function objectOf({ recipient, target }) {
  if (nameOf(recipient)) return [nameOf(recipient), "recipient"];
  if (target) return [nameOf(target) ?? "–", target.kind?.replaceAll("_", " ").replace("api", "API") ?? "target"];
  return null;
}

/** The event as one sentence: texts and elements. */
export function sentenceOf(event) {
  const actor = untrustedText(actorOf(event));
  const person = untrustedText(nameOf(event.recipient) ?? actorOf(event));
  const how = event.delivery?.channel ? ` by ${channelOf(event.delivery.channel)}` : "";
  const known = {
    "envelope.created": [actor, " created the envelope."],
    "envelope.sent": [actor, " sent the envelope."],
    "envelope.started": [actor, " started the signing."],
    "envelope.viewed": [person, " opened the document."],
    "envelope.all_signed": "All recipients signed.",
    "envelope.completed": "The envelope was completed.",
    "envelope.declined": [person, " declined to sign."],
    "envelope.canceled": [actor, " canceled the envelope."],
    "envelope.expired": "The envelope expired.",
    "envelope.approved": [actor, " approved the envelope."],
    "envelope.approval_phase_completed": "An approval phase was completed.",
    "recipient.added": [person, " was added as a recipient."],
    "recipient.invited": [person, ` was invited${how}.`],
    "recipient.reminded": [person, ` was reminded${how}.`],
    "recipient.identity_verified": ["The identity of ", person, " was verified."],
    "recipient.signed": [person, " signed."],
  }[event.type];
  if (known) return known;
  if (event.type.startsWith("notification.")) return notification(event);
  const object = objectOf(event);
  return [untrustedText(titleOf(event)), " by ", actor, object && [": ", untrustedText(object[0])], "."];
}

/** The reason that the provider gave, or null. */
export function reasonOf({ data, description }) {
  if (typeof data?.reason === "string" && data.reason) return data.reason;
  return /\bReason: *(\S.*)$/su.exec(description ?? "")?.[1] ?? null;
}

function channelOf(channel) {
  return CHANNELS[channel] ?? `${channel} message`;
}

function notification(event) {
  const { channel, purpose, status } = event.delivery ?? {};
  const participle = event.type.slice("notification.".length);
  const what = purpose === "sender_notice" ? "notice to the sender" : (purpose ?? "message");
  const name = nameOf(event.recipient);
  const state = STATES[participle] ?? `is ${status ?? participle}`;
  const how = channel ? ` (${channelOf(channel)})` : "";
  return [`The ${what}${how}`, name && [" to ", untrustedText(name)], ` ${state}.`];
}

function untrustedText(text) {
  return html`<${Text} value=${text} />`;
}
