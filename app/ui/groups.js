/** Seven groups of event types. Each has a colour (colours.css), and a shape and a pattern for whoever sees none. */

import { svg } from "./dom.js";

export const GROUPS = [
  {
    id: "prepared",
    title: "Prepared and sent",
    shape: "M6 1.2a4.8 4.8 0 1 1 0 9.6a4.8 4.8 0 1 1 0-9.6z",
    pattern: "M0 3h6",
  },
  {
    id: "delivery",
    title: "Messages and reminders",
    shape: "M1.5 1.5L11 6L1.5 10.5z",
    pattern: "M-1 1l2-2M0 6l6-6M5 7l2-2",
  },
  {
    id: "opened",
    title: "Opened and verified",
    shape: "M6 .6L11.4 6L6 11.4L.6 6z",
    pattern: "M1.2 1.2h1.6v1.6h-1.6zM4.2 4.2h1.6v1.6h-1.6z",
  },
  { id: "signed", title: "Signed and completed", shape: "M1.5 1.5h9v9h-9z", pattern: "" },
  {
    id: "problem",
    title: "Failed, declined, ended",
    shape: "M2.8 1L6 4.2L9.2 1L11 2.8L7.8 6L11 9.2L9.2 11L6 7.8L2.8 11L1 9.2L4.2 6L1 2.8z",
    pattern: "M0 0l6 6M6 0l-6 6",
  },
  { id: "team", title: "Team and access", shape: "M3.3 1.2h5.4L11.4 6L8.7 10.8H3.3L.6 6z", pattern: "M3 0v6" },
  {
    id: "other",
    title: "Other",
    shape: "M4.4 1h3.2v3.4H11v3.2H7.6V11H4.4V7.6H1V4.4h3.4z",
    pattern: "M0 1.5h6M0 4.5h6M1.5 0v6M4.5 0v6",
  },
];

const BY_ID = new Map(GROUPS.map((group) => [group.id, group]));
const ENDED_BADLY = ["envelope.declined", "envelope.canceled", "envelope.expired"];
const SIGNED = ["recipient.signed", "envelope.completed", "envelope.approved", "envelope.approval_phase_completed"];
const OPENED = ["envelope.viewed", "recipient.identity_verified"];

/** The group of an event. New types of known objects find a place; anything else is "other". */
export function groupOf(event) {
  return BY_ID.get(groupId(event));
}

function groupId({ type, category, outcome }) {
  if (outcome === "failure" || ENDED_BADLY.includes(type)) return "problem";
  if (type === "unknown") return "other";
  if (category !== "envelope") return "team";
  if (SIGNED.includes(type)) return "signed";
  if (OPENED.includes(type)) return "opened";
  if (type.startsWith("notification.") || type === "recipient.reminded") return "delivery";
  return type.startsWith("envelope.") || type.startsWith("recipient.") ? "prepared" : "other";
}

/** The group's sign, twelve pixels wide. It says nothing to a screen reader: words stand beside it. */
export function glyph(group) {
  return svg(
    "svg",
    { class: `glyph group-${group.id}`, viewBox: "0 0 12 12", "aria-hidden": "true" },
    svg("path", { d: group.shape }),
  );
}
