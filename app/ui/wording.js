/** Events in words. */

import { theirs } from "./dom.js";

const CHANNELS = { sms: "text message", email: "e-mail" };
const PURPOSES = { invitation: "invitation", confirmation: "confirmation", sender_notice: "notice to the sender" };
const STATES = { sent: "was sent", delivered: "was delivered", opened: "was opened", failed: "could not be delivered" };

/** "Recipient signed", or the provider's own word where the gateway has none. */
export function titleOf({ type, provider_type }) {
  if (type === "unknown") return `Unknown: ${provider_type}`;
  const words = type.replace(".", " ").replaceAll("_", " ").replace("api key", "API key");
  return words[0].toUpperCase() + words.slice(1);
}

/** What to call an actor or a recipient; null for nobody. */
export function nameOf(person) {
  return person && (person.name || person.email || person.id || null);
}

/** What to call who did it. */
export function actorOf({ actor }) {
  return nameOf(actor) ?? (actor.kind === "system" ? "The system" : `A ${actor.kind}`);
}

/** What to call whom it is about; who did it where there is nobody else. */
function personOf(event) {
  return nameOf(event.recipient) ?? actorOf(event);
}

/** The event as one sentence: an array of texts and elements. */
export function sentenceOf(event) {
  const actor = () => theirs(actorOf(event));
  const person = () => theirs(personOf(event));
  const how = event.delivery?.channel ? ` by ${channelOf(event.delivery.channel)}` : "";
  switch (event.type) {
    case "envelope.created":
      return [actor(), " created the envelope."];
    case "envelope.sent":
      return [actor(), " sent it out", toWhom(event), "."];
    case "envelope.started":
      return [actor(), " started the signing."];
    case "envelope.viewed":
      return [person(), " opened the document."];
    case "envelope.completed":
      return ["The envelope was completed."];
    case "envelope.declined":
      return [person(), " declined to sign."];
    case "envelope.canceled":
      return [actor(), " canceled the envelope."];
    case "envelope.expired":
      return ["The envelope expired."];
    case "envelope.approved":
      return [actor(), " approved it."];
    case "envelope.approval_phase_completed":
      return ["A phase of approval was completed."];
    case "recipient.added":
      return [person(), " was added as a recipient."];
    case "recipient.invited":
      return [person(), ` was invited${how}.`];
    case "recipient.reminded":
      return [person(), ` was reminded${how}.`];
    case "recipient.identity_verified":
      return ["The identity of ", person(), " was verified."];
    case "recipient.signed":
      return [person(), " signed."];
    case "unknown":
      return ["Something that the gateway has no name for yet: ", theirs(event.provider_type), about(event), "."];
  }
  if (event.type.startsWith("notification.")) return notification(event);
  return [`${titleOf(event)}: `, actor(), about(event), "."];
}

/** A reason that the provider gave for it, or null. */
export function reasonOf({ data, description }) {
  if (typeof data.reason === "string" && data.reason) return data.reason;
  return /\bReason: *(\S.*)$/su.exec(description ?? "")?.[1] ?? null;
}

function channelOf(channel) {
  return CHANNELS[channel] ?? `${channel} message`;
}

function toWhom({ data }) {
  const count = Array.isArray(data.recipients) ? data.recipients.length : 0;
  return count ? ` to ${count} ${count === 1 ? "recipient" : "recipients"}` : "";
}

function about(event) {
  const name = nameOf(event.recipient);
  return name ? [", about ", theirs(name)] : [];
}

function notification(event) {
  const { channel, purpose, status } = event.delivery ?? {};
  const participle = event.type.slice("notification.".length);
  const what = [PURPOSES[purpose] ?? purpose, channel && `(${channelOf(channel)})`].filter(Boolean);
  const said = what.length > 1 ? what.join(" ") : channel ? channelOf(channel) : (what[0] ?? "message");
  const name = nameOf(event.recipient);
  return [`The ${said}`, name ? [" to ", theirs(name)] : [], ` ${STATES[participle] ?? `is ${status ?? participle}`}.`];
}
