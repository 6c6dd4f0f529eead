"""The emulated company: its users, signees and log entries."""

from typing import Any

from sandbox.identifiers import Identifiers, mix, mix_text
from sandbox.people import DOCUMENT_KINDS, FIRST_NAMES, LAST_NAMES, USER_AGENTS

from .records import FLOW_TYPES, Entry, Process
from .ticks import to_text
from .workflows import Step, Workflow, make_workflows

USERS = 4
FLOWS = 6
_TOWNS = (("101", "Demo City"), ("600", "Sample Fjord"), ("800", "Test Village"), ("220", "Placeholder Bay"))
_SIGNATURE_TYPES = (
    "Qualified",
    "Qualified",
    "Qualified",
    "Simple",
    "ClickToSign",
    "AdvancedVeriff",
    "BankIdSe",
)
_WORDS = {
    "Created": "Signing process created. ProcessKey: {process}.",
    "SigneeAdded": "Signee added. Processkey: {process}. Signee key: {signee}.",
    "SignupSent": "Signup sent. Processkey: {process}. Signee: {signee}. Delivery method : {detail} ",
    "Started": "Signing process started. ProcessKey: {process}.",
    "Reminder": "Reminder sent. Processkey: {process}. Signee: {signee}. Delivery method : {detail} ",
    "Auth": "Signee authenticated. ProcessKey: {process}. Signee key: {signee}",
    "SigneeSigned": "Signee signed. ProcessKey: {process}. Signee key: {signee}",
    "AllSigned": "All signees have signed. ProcessKey: {process}.",
    "Completed": "Signing completed. ProcessKey: {process}.",
    "Declined": "Signing declined. ProcessKey: {process}. Signee key: {signee}",
    "Canceled": "Signing process canceled. ProcessKey: {process}.",
    "Expired": "Signing process expired. ProcessKey: {process}.",
    "SMS:DELIVERED": "SMS delivery status: DELIVERED.",
    "SMS:FAILED": "SMS delivery status: FAILED.",
}
_MAILGUN = (
    "Mailgun webhook. Event: {detail}. To:{email}. Sender:postmaster@mailgun.example.com. Id:{mail}. "
    "Severity: {severity}. Reason:{reason}"
)
_OF_THE_USER = ("Created", "Started", "Canceled")


class Account:
    """Processes by number, generated from the seed at each call."""

    def __init__(self, seed: int) -> None:
        self.workflows = make_workflows(seed)
        self._processes = Identifiers(seed, "process")
        self._signees = Identifiers(seed, "signee")
        self._flows = Identifiers(seed, "flow")
        self._links = Identifiers(seed, "link")
        self._salt = mix_text(seed, "company")
        self.users = [f"{FIRST_NAMES[4 * n + 1]}.demo@company.example.is".lower() for n in range(USERS)]

    def process_key(self, number: int) -> str:
        """Return `sp` and 32 digits, as in the vendor's examples."""
        return "sp" + self._processes.hexadecimal(number)

    def process(self, number: int, workflow: Workflow, created: int) -> Process:
        """Return a process without its log. `created`: the tick of its first entry."""
        drawn = mix(self._salt ^ number)
        flow = drawn % FLOWS
        title = f"{DOCUMENT_KINDS[(drawn >> 16) % len(DOCUMENT_KINDS)]} {number}.pdf"
        key = self.process_key(number)
        return Process(
            key=key,
            started_by=self.users[(drawn >> 8) % USERS],
            flow_key=self._flows.hexadecimal(flow)[:12],
            flow_type=FLOW_TYPES[flow % 4],
            file_name=title.lower().replace(" ", "-"),
            signees=tuple(self._signee(number, n, key, created) for n in range(workflow.signees)),
            sequence_signees=self._sequence(number, workflow, key) if workflow.sequential else (),
            attachments=(self._attachment(number, key),) if workflow.attachment else (),
        )

    def entry(self, number: int, workflow: Workflow, step: Step, process: Process, ticks: int) -> Entry:
        """Return the log entry of one step of a process's workflow."""
        signee: dict[str, Any] = dict(process.signees[step.signee]) if step.signee >= 0 else {}
        members: dict[str, Any] = {"flowKey": process.flow_key, "signeeKey": signee.get("signeeKey")}
        if step.status in ("Created", "Started"):
            members["fileName"] = process.file_name
        if step.status == "Created":
            members["signInOrder"] = workflow.sequential
        if workflow.sequential:
            members["sequenceKey"] = self._sequence_key(number)
        if step.status == "SigneeSigned":
            members["userAgent"] = USER_AGENTS[(number + step.signee) % len(USER_AGENTS)]
            members["requiresAuth"] = number % 5 == 0
            members["signatureLocation"] = "Page 1" if number % 4 == 0 else None
        mailed = step.status not in _WORDS
        failed = step.detail == "failed"
        template = _MAILGUN if mailed else _WORDS[step.status]
        description = template.format(
            process=process.key,
            signee=signee.get("signeeKey", ""),
            detail=step.detail,
            email=signee.get("email", process.started_by),
            mail=self._links.hexadecimal(number)[:22],
            severity="permanent" if failed else "",
            reason=" mailbox unavailable" if failed else "",
        )
        author = process.started_by if step.status in _OF_THE_USER else "Taktikal.Core"
        if mailed:
            author = "Mailgun"
        return Entry(process.key, step.status, ticks, description, author, None, members)

    def _signee(self, number: int, position: int, process_key: str, created: int) -> dict[str, Any]:
        drawn = mix(self._salt + 8 * number + position)
        first, last = FIRST_NAMES[drawn % 20], LAST_NAMES[(drawn >> 8) % 10]
        postal_code, city = _TOWNS[(drawn >> 16) % len(_TOWNS)]
        at = to_text(created + 200_000 * (position + 1))
        return {
            "processKey": process_key,
            "signeeKey": "si" + self._signees.hexadecimal(4 * number + position),
            "ssn": f"999999-{drawn % 10_000:04d}",  # no real person's: no month has 99 days
            "name": f"{first} {last}",
            "address": f"Sample Street {drawn % 90 + 1}",
            "postalCode": postal_code,
            "city": city,
            "phone": f"555{drawn % 10_000:04d}",
            "email": f"{first}.{last}{drawn % 100}@example.is".lower() if drawn & 15 else None,
            "signatureType": _SIGNATURE_TYPES[(drawn >> 24) % len(_SIGNATURE_TYPES)],
            "hasReminders": bool(drawn & 64),
            "createdAt": at,
            "createdBy": "Taktikal.Core",
            "updatedAt": at,
        }

    def _sequence_key(self, number: int) -> str:
        return "sq" + self._links.hexadecimal(number)

    def _sequence(self, number: int, workflow: Workflow, process_key: str) -> tuple[dict[str, Any], ...]:
        """Return sequence information with each signee's secret signing link."""
        keys = ["si" + self._signees.hexadecimal(4 * number + n) for n in range(workflow.signees)]
        return tuple(
            {
                "sequenceKey": self._sequence_key(number),
                "signeeKey": key,
                "url": f"https://sign.example.is/secret/{self._links.hexadecimal(4 * number + position + 1)}",
                "signingKeys": [{"signeeKey": key, "processKey": process_key}],
            }
            for position, key in enumerate(keys)
        )

    def _attachment(self, number: int, process_key: str) -> dict[str, Any]:
        return {
            "id": 1000 + number,
            "fileName": f"appendix-{number}.pdf",
            "contentLength": 20_000 + number % 5000,
            "contentType": "application/pdf",
            "url": f"https://files.example.is/secret/{self._links.hexadecimal(4 * number)}",
            "description": "Appendix" if number % 2 else None,
            "processKey": process_key,
            "attachmentType": "Appendix",
            "signeeKey": None,
        }
