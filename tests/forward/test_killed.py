"""Forwarders that are killed at random while the histories grow and the receivers fail: every event arrives, in order,
and repeated events have the same id. `FORWARD_KILLS` (200 in `make soak`) sets the number of kills."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.forward.receivers import (
    SECRET,
    TOKEN,
    Accepted,
    Rsyslog,
    SplunkHandler,
    WebhookHandler,
    lacks_rsyslog,
    receiving,
)
from tests.process import read_all_events, serving, start
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world

KILLS = int(os.environ.get("FORWARD_KILLS", "12"))
SINCE = "2020-01-01"


class Killed(threading.Thread):
    """One forwarder that is killed `kills` times, each time after `trouble`, and then runs until `stop`."""

    process: subprocess.Popen[bytes]

    def __init__(
        self, name: str, url: str, kills: int, add_faults: Callable[[], None], env: dict[str, str], cwd: Path
    ) -> None:
        super().__init__(name=name)
        self.command = ["forward", "--to", url, "--cursor-file", str(cwd / f"{name}.json")]
        self.command += ["--since", SINCE, "--batch", "40", "--ca", str(cwd / "receiver.pem")]
        self.kills, self.add_faults, self.env, self.cwd, self.log = kills, add_faults, env, cwd, cwd / f"{name}.log"
        self.begun = 0

    def begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = start(*self.command, env=self.env, cwd=self.cwd, stdout=subprocess.DEVNULL, stderr=log)
        self.begun += 1
        while self.log.read_text().count('"event":"forwarding"') < self.begun:
            time.sleep(0.02)

    def run(self) -> None:
        rng = random.Random(self.name)
        for _ in range(self.kills):
            self.begin()
            self.add_faults()
            time.sleep(rng.uniform(0, 0.8))
            assert self.stop(signal.SIGKILL) == -signal.SIGKILL
        self.begin()

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait()


def append_events(one: World, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 3))):
        one.subnoto.history.append("ENVELOPE_OPENED")
        one.taktikal.history.append(f"spgrow{rng.randrange(3)}", "Reminder")


def unique(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(ids))


@pytest.mark.timeout(0 if KILLS > 12 else 300)
def test_no_event_is_missing_after_many_kills(tmp_path: Path) -> None:
    rng = random.Random(17)
    if package := lacks_rsyslog("gtls"):
        pytest.skip(f"not installed: apt-get install {package}")
    with ExitStack() as stack:
        one = stack.enter_context(
            served_world(
                TaktikalOptions(events=300, days=20),
                SubnotoOptions(events=300, days=20),
                lambda: datetime.now(UTC),  # type: ignore[arg-type]
            )
        )
        gateway = stack.enter_context(
            serving(cwd=tmp_path, env=one.env | {"GATEWAY_SETTLE": "1", "GATEWAY_AUTH": "off"})
        )
        webhook, of_webhook = stack.enter_context(receiving(WebhookHandler))
        splunk, of_splunk = stack.enter_context(receiving(SplunkHandler, acknowledges=1))
        # rsyslog 8.2302 with its ossl driver closes a file twice when a client dies in its handshake, and then writes
        # lines of its log into the socket of the next client: of 500 kills three put events out of order.
        rsyslog = Rsyslog(tmp_path, "gtls")
        rsyslog.start()
        stack.callback(rsyslog.stop)

        def add_faults(accepted: Accepted) -> None:
            accepted.faults.extend(rng.choices((500, 413, 429, "cut", "lost"), k=rng.randrange(3)))

        def restart() -> None:
            if rng.random() < 0.3:
                rsyslog.stop()
                rsyslog.start()

        env = {"GATEWAY_URL": gateway.url, "FORWARD_SECRET": SECRET, "FORWARD_TOKEN": TOKEN}
        each = max(1, KILLS // 3)
        forwarders = [
            Killed("webhook", f"http://{webhook}/in", KILLS - 2 * each, lambda: add_faults(of_webhook), env, tmp_path),
            Killed("splunk", f"splunk-hec+http://{splunk}", each, lambda: add_faults(of_splunk), env, tmp_path),
            Killed("rsyslog", f"syslog+tls://127.0.0.1:{rsyslog.port}", each, restart, env, tmp_path),
        ]
        of_webhook.faults.append("lost")
        for forwarder in forwarders:
            forwarder.start()
            stack.callback(lambda killed=forwarder: killed.process.kill())
        while any(forwarder.is_alive() for forwarder in forwarders):
            append_events(one, rng)
            time.sleep(0.25)
        expected = [event["id"] for event in read_all_events(gateway.url, {"since": SINCE, "order": "asc"})]
        received = {
            "webhook": lambda: of_webhook.ids,
            "splunk": lambda: of_splunk.ids,
            "rsyslog": lambda: [event["id"] for event in rsyslog.events],
        }
        for name, ids in received.items():
            deadline = time.monotonic() + 60
            while missing := set(expected) - set(ids()):
                assert time.monotonic() < deadline, f"{name}: {len(missing)} events are missing"
                time.sleep(0.1)
            assert unique(ids()) == expected, name
        for forwarder in forwarders:
            assert forwarder.stop(signal.SIGTERM) == 0
            log = forwarder.log.read_text()
            assert SECRET not in log
            assert TOKEN not in log
        repeated = {name: len(ids()) - len(expected) for name, ids in received.items()}
        print(f"{len(expected)} events, repeated: {repeated}")
        assert sum(repeated.values()) > 0, "no kill between an acceptance and its cursor"
