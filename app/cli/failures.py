"""Errors as one sentence with the remedy on standard error, and as an exit code.

`docs/reference/cli.md` lists the exit codes.
"""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import typer

from app.domain.errors import ConfigurationError
from app.forward import UNREADABLE_RECORDS, Json, Page
from app.logs import describe_exception

FAILED, USAGE, INCOMPLETE, INTERRUPTED = 1, 2, 3, 130

_REMEDIES = {
    "unauthenticated": "make a key where it runs: audit-gateway keys new --name me --scopes events:read --file F",
    "forbidden": "set GATEWAY_KEY to a key that grants it",
    "source_unauthorized": "set the source's keys anew; audit-gateway probe names them",
    "source_failed": "try again; audit-gateway probe examines the source",
    "source_timeout": "try again, or ask for a shorter time with --since and --until",
    "internal_error": "see the gateway's log",
    **dict.fromkeys(("source_unavailable", "rate_limited", "overloaded", "not_ready"), "try again later"),
}

#: Codes for which a retry may help.
TRANSIENT = frozenset(
    ("rate_limited", "overloaded", "not_ready", "source_unavailable", "source_timeout", "source_failed",
     "unreachable", "no_answer", "internal_error")
)  # fmt: skip


@dataclass(eq=False)
class Problem(Exception):
    """A call that failed. `code` is of contract section 7, or `unreachable`, `no_answer` or `not_a_gateway`.

    `errors` are (parameter, message) pairs; `sources` are the problem's `sources[]`; `retry_after` is in seconds."""

    code: str
    detail: str
    errors: Sequence[tuple[str, str]] = ()
    sources: Sequence[Json] = ()
    retry_after: float | None = None


class Failure(Exception):
    """An error found by a command. `code` is the exit code."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.sentence, self.code = sentence, code


def flag(parameter: str) -> str:
    """Return the command-line flag of an API parameter."""
    return f"--{parameter.replace('_', '-')}"


def printable(text: str) -> str:
    """Return `text` on one line, without control and bidirectional characters."""
    return "".join(character if character.isprintable() else "\N{MIDDLE DOT}" for character in text)


def sentence(problem: Problem, *, partial_helps: bool = False) -> str:
    """Return the problem and its remedy. `partial_helps`: the command has an unused flag `--partial`."""
    if problem.errors:
        return "; ".join(f"{flag(name)} {message}" for name, message in problem.errors)
    sources = []
    for source in problem.sources:
        request = source.get("provider_request_id")
        suffix = f" (provider's request id {request})" if request else ""
        detail = str(source.get("detail") or source.get("code")).rstrip(".")
        sources.append(f"source {source.get('name')}: {detail}{suffix}")
    what = "; ".join(sources) or problem.detail
    remedy = _REMEDIES.get(problem.code, "")
    if problem.retry_after is not None and "later" in remedy:
        remedy = remedy.replace("later", f"in {math.ceil(problem.retry_after)} s")
    if problem.sources and partial_helps:
        remedy += ", or read the other sources with --partial"
    return f"{what.rstrip('.')}; {remedy}" if remedy else what


def without_failed(problem: Problem, how: str = "or export to a file, which can be resumed") -> Failure:
    """Return the failure of a `partial` walk in which only failing sources have more events. `how`: the remedy."""
    return Failure(f"no other source has more: {sentence(problem)}, {how}")


def print_error(text: str) -> None:
    """Print one line on standard error."""
    end = "" if text.endswith("?") else "."
    print(f"audit-gateway: {printable(text).removesuffix('.')}{end}", file=sys.stderr, flush=True)


def discard_output() -> None:
    """Discard unwritten standard output, which the interpreter would flush at exit, with a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Notices:
    """Print a walk's gaps, each once: values that match nothing, missing sources, unreadable records.

    `unreadable`: records by source, from before this walk; None for a walk without end, which prints each number.
    `unproven`: whether a page so far is, also before this walk."""

    def __init__(self, unreadable: Mapping[str, int] | None = MappingProxyType({}), *, unproven: bool = False) -> None:
        self._printed: set[str] = set()
        self.unproven = unproven
        self._failed, self._is_endless = False, unreadable is None
        self.unreadable = Counter(unreadable or {})

    def add(self, text: str) -> None:
        if text not in self._printed:
            self._printed.add(text)
            print_error(text)

    def warnings(self, warnings: Sequence[Json]) -> None:
        """Print the API's `warnings[]`."""
        for warning in warnings:
            self.add(f"{flag(str(warning.get('parameter')))} {warning.get('message')}")

    def page(self, page: Page) -> None:
        """Print the page's warnings and the state of its sources."""
        self.warnings(page.warnings)
        self.unproven = self.unproven or page.unproven
        for source in page.sources:
            name, status, reasons = source["name"], source["status"], list[str]()
            for part in (source.get("reason") or "").split("; "):
                found = None if self._is_endless else UNREADABLE_RECORDS.match(part)
                if found is not None:
                    self.unreadable[name] += int(found[1])
                elif part:
                    reasons.append(part)
            self._failed = self._failed or status == "failed"
            if status in ("failed", "forbidden"):
                self.add(f"source {name} {status}: {'; '.join(reasons)}; its events are missing here")
            elif status == "ok":
                for reason in reasons:
                    self.add(f"source {name}: {reason}")

    def end(self) -> int:
        """Print the counts of unreadable records, and doubts; returns the exit code of a finished command."""
        for name, number in sorted(self.unreadable.items()):
            self.add(f"source {name}: {number:,} records that cannot be read are left out; the gateway's log has more")
        if self.unproven:
            self.add("events may be missing, because a provider contradicts itself")
        return FAILED if self._failed else INCOMPLETE if self.unreadable or self.unproven else 0


@contextmanager
def reported(*, broken_pipe: int = 0, partial_helps: bool = False) -> Iterator[None]:
    """Turn a command's exceptions into a line on standard error and typer.Exit.

    `broken_pipe` is the exit code if the reader of standard output has closed it; `partial_helps`: see `sentence`."""
    try:
        if sys.stdout is None:
            raise Failure("standard output is closed; send it to a file or a pipe")
        yield
    except typer.Exit:
        raise
    except Problem as problem:
        print_error(sentence(problem, partial_helps=partial_helps))
        is_failure = problem.code in TRANSIENT or problem.code == "source_unauthorized"
        raise typer.Exit(FAILED if is_failure else USAGE) from None
    except Failure as failure:
        print_error(failure.sentence)
        raise typer.Exit(failure.code) from None
    except ConfigurationError as error:
        print(f"audit-gateway: {error.detail}", file=sys.stderr)  # unchanged: it may end with a command to copy
        raise typer.Exit(USAGE) from None
    except BrokenPipeError:
        discard_output()
        raise typer.Exit(broken_pipe) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        if error.filename is None:
            discard_output()  # which may be what failed
        what = "the system refuses" if error.filename is None else f"{error.filename} cannot be read or written"
        print_error(f"{what} ({error.strerror or type(error).__name__})")
        raise typer.Exit(FAILED) from None
    except Exception as error:
        found = describe_exception(error)
        place = found["frames"][-1] if found["frames"] else "?"
        print_error(f"this is a bug in audit-gateway: {found['exception']} at {place}; please report it")
        raise typer.Exit(FAILED) from None
