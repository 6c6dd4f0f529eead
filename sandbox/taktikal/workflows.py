"""Workflows of the emulated company's signing processes, derived from the seed."""

from dataclasses import dataclass
from functools import cache
from random import Random

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Step:
    """One log entry of a workflow: its offset in milliseconds, its status, its signee (-1: the process itself).

    `detail` varies the description: a delivery method or Mailgun's event.
    """

    offset: int
    status: str
    signee: int = -1
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Workflow:
    """The plan of one signing process."""

    signees: int
    sequential: bool
    attachment: bool
    steps: tuple[Step, ...]


@cache
def make_workflows(seed: int) -> tuple[Workflow, ...]:
    """Return 256 plans: most complete; others are declined, cancelled, expire, or stay open."""
    random = Random(f"taktikal lives {seed}")
    return tuple(_workflow(random) for _ in range(256))


def _workflow(random: Random) -> Workflow:
    signees = random.choice((1, 1, 1, 2, 2, 3))
    sequential = signees > 1 and random.random() < 0.4
    steps = [Step(0, "Created")]
    at = _invite_all(random, signees, steps)
    fate = random.random()
    signing = signees if fate < 0.8 else random.randrange(signees)
    at = _deliver_all(random, at, signees, steps)
    for signee in range(signing):
        at = _sign(random, at, signee, steps)
    if fate < 0.8:
        _complete(random, at, signees, steps)
    else:
        _end_otherwise(random, at, signing, steps)
    return Workflow(signees, sequential, random.random() < 0.15, tuple(steps))


def _invite_all(random: Random, signees: int, steps: list[Step]) -> int:
    """Add the steps of the vendor's example: added, invited and started within half a second of the creation."""
    at = 0
    for signee in range(signees):
        at += random.randrange(20, 80)
        steps.append(Step(at, "SigneeAdded", signee))
    for signee in range(signees):
        at += random.choice((0, 120, 290))
        steps.append(Step(at, "SignupSent", signee, random.choice(("Sms", "Sms", "Email"))))
    at += random.choice((0, 16))
    steps.append(Step(at, "Started"))
    return at


def _deliver_all(random: Random, at: int, signees: int, steps: list[Step]) -> int:
    for signee in range(signees):
        at += random.randrange(2 * SECOND, 25 * SECOND)
        fate = random.random()
        if fate < 0.72:
            steps.append(Step(at, "SMS:DELIVERED", signee))
        elif fate < 0.8:
            steps.append(Step(at, "SMS:FAILED", signee))
        elif fate < 0.95:
            steps.append(Step(at, "Signup:delivered", signee, "delivered"))
        else:
            steps.append(Step(at, "Signup:failed", signee, "failed"))
    return at


def _sign(random: Random, at: int, signee: int, steps: list[Step]) -> int:
    wait = random.choice((MINUTE, 10 * MINUTE, 2 * HOUR, 5 * HOUR, DAY, 2 * DAY))
    if wait >= DAY:
        at += wait // 2
        steps.append(Step(at, "Reminder", signee, "Sms"))
        wait -= wait // 2
    at += wait * random.randrange(60, 120) // 100
    if random.random() < 0.15:
        steps.append(Step(at, "Auth", signee))
        at += random.randrange(10 * SECOND, 3 * MINUTE)
    steps.append(Step(at, "SigneeSigned", signee))
    return at


def _complete(random: Random, at: int, signees: int, steps: list[Step]) -> None:
    if random.random() < 0.1:
        steps.append(Step(at, "AllSigned"))
    at += random.choice((0, 47, 150))
    steps.append(Step(at, "Completed", signees - 1))
    for signee in range(signees):
        at += random.randrange(SECOND, 9 * SECOND)
        word = random.choice(("delivered",) * 8 + ("failed", "opened"))
        steps.append(Step(at, f"Confirmation:{word}", signee, word))
    if random.random() < 0.5:
        steps.append(Step(at + random.choice((0, 900)), "SalesPerson:delivered", detail="delivered"))


def _end_otherwise(random: Random, at: int, signee: int, steps: list[Step]) -> None:
    ending = random.choice(("Declined", "Canceled", "Expired", "", ""))
    if ending == "Declined":
        steps.append(Step(at + random.randrange(5 * MINUTE, DAY), "Declined", signee))
    elif ending == "Canceled":
        steps.append(Step(at + random.randrange(HOUR, 2 * DAY), "Canceled"))
    elif ending == "Expired":
        steps.append(Step(at + 2 * DAY, "Reminder", signee, "Email"))
        steps.append(Step(at + 5 * DAY, "Expired"))
