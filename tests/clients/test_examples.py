"""The programs of `examples/`, as a user would run them, against a running gateway."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.story import KEY, SOME, Stage
from tests.clients.tools import NODE_MODULES, ROOT, call, environment, node, npm_tool
from tests.e2e.process import Running, serving

EXAMPLES = ROOT / "examples"
IN_FLIGHT = 3
README = EXAMPLES / "README.md"


@dataclass(frozen=True)
class Program:
    """`events` and `follow` of one language: the words to start each with."""

    events: list[str]
    follow: list[str]

    def run(
        self, command: list[str], *arguments: str, url: str, cwd: Path, key: str = KEY
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            env=environment({"GATEWAY_URL": url, "GATEWAY_KEY": key}),
            cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


def python(_: Path) -> Program:
    folder = EXAMPLES / "python"
    return Program(*([sys.executable, "-W", "error", str(folder / f"{name}.py")] for name in ("events", "follow")))


def typescript(folder: Path) -> Program:
    sources = folder / "typescript"
    shutil.copytree(EXAMPLES / "typescript", sources, ignore=shutil.ignore_patterns("node_modules", "built"))
    compiler = npm_tool("tsc")
    (sources / "node_modules").symlink_to(NODE_MODULES)
    call(compiler, "--project", "tsconfig.json", cwd=sources)
    return Program(*([node(), str(sources / "built" / f"{name}.js")] for name in ("events", "follow")))


def shell(_: Path) -> Program:
    for tool in ("curl", "jq"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here, which the shell scripts need")
    return Program(*([str(EXAMPLES / "shell" / f"{name}.sh")] for name in ("events", "follow")))


@pytest.fixture(scope="module", params=[python, typescript, shell], ids=lambda make: make.__name__)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    make: Callable[[Path], Program] = request.param
    return make(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with little patience: two calls a second, and few at a time."""
    env = {"GATEWAY_RATE": "2/second", "GATEWAY_MAX_IN_FLIGHT": str(IN_FLIGHT)}
    with serving("--sandbox", cwd=tmp_path_factory.mktemp("strict"), env=env) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as a user has it, with the TypeScript compiled."""
    folder = tmp_path_factory.mktemp("copied") / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("spark", "node_modules", "built"))
    typescript(folder.parent)
    shutil.copytree(folder.parent / "typescript" / "built", folder / "typescript" / "built")
    return folder


def commands() -> list[tuple[str, str]]:
    """(command, output) pairs of the console blocks of the README."""
    blocks = re.findall(r"^```console\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    pairs = [one.partition("\n") for block in blocks for one in block.split("$ ")[1:]]
    return [(command, output) for command, _, output in pairs]


@pytest.mark.parametrize(("command", "output"), commands(), ids=[command[:50] for command, _ in commands()])
def test_a_command_of_the_readme(command: str, output: str, copied: Path, stage: Stage) -> None:
    shell(copied)  # which skips where jq is missing
    python_first = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    env = environment({"GATEWAY_URL": stage.url, "GATEWAY_KEY": KEY}) | python_first
    done = subprocess.run(
        ["bash", "-c", command],
        env=env, cwd=copied, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert words(done.stdout) == words(output)


def words(output: str) -> list[str]:
    """What of an output is the same each time: not the counts, nor an order that goes by them."""
    return sorted(re.sub(r"^ *\d+", "a number", line) for line in output.splitlines())


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def window(stage: Stage) -> list[str]:
    return [f"since={stage.since}", f"until={stage.until}"]


def test_all_events_of_a_window(program: Program, stage: Stage, tmp_path: Path) -> None:
    done = program.run(program.events, "all", *window(stage), url=stage.url, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == stage.events
    assert len(stage.events) > 400, "three pages or more"


def test_filters_and_a_count(program: Program, stage: Stage, tmp_path: Path) -> None:
    given = [*window(stage), "type=recipient.*", "type=envelope.created"]
    done = program.run(program.events, "all", *given, url=stage.url, cwd=tmp_path)
    wanted = [event for event in stage.events if event["type"].startswith(SOME)]
    assert lines(done.stdout) == wanted
    counted = program.run(program.events, "count", *given, url=stage.url, cwd=tmp_path)
    assert counted.stdout == f"{len(wanted)}\n"


def test_one_event(program: Program, stage: Stage, tmp_path: Path) -> None:
    done = program.run(program.events, "one", stage.events[7]["id"], url=stage.url, cwd=tmp_path)
    assert json.loads(done.stdout) == stage.events[7]


def test_what_is_wrong_is_said(program: Program, stage: Stage, tmp_path: Path) -> None:
    for command, arguments in ((program.events, ["all"]), (program.follow, ["trail.ndjson"])):
        nobody = program.run(command, *arguments, url=stage.url, cwd=tmp_path, key="nobody")
        assert nobody.returncode == 1
        assert nobody.stderr.startswith("401 unauthenticated: ")
        wrong = program.run(command, *arguments, "since=yesterday", url=stage.url, cwd=tmp_path)
        assert wrong.returncode == 1
        assert wrong.stderr.startswith("422 invalid_parameter: since: must be")
        assert nobody.stdout + wrong.stdout == ""


def test_a_gateway_that_does_not_answer_is_named(program: Program, tmp_path: Path) -> None:
    with socket.socket() as bound:  # and not listening: nobody else gets its port meanwhile
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        for command, arguments in (
            (program.events, ["all"]),
            (program.events, ["count"]),
            (program.events, ["one", "an-id"]),
            (program.follow, ["trail.ndjson"]),
        ):
            done = program.run(command, *arguments, url=url, cwd=tmp_path)
            assert (done.returncode, done.stdout) == (1, ""), done.stderr
            (sentence,) = done.stderr.splitlines()
            assert sentence.startswith(f"no answer from {url}")
    assert not list(tmp_path.iterdir())


BROKEN_OFF = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"data": ['
PAGE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'
LIST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
OF_ANOTHER = b'HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n{"detail":"Not Found"}'
# Not a 502, which curl would try again for 15 s.
OF_A_PROXY = b"HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\n\r\n<h1>Not Found</h1>"


@pytest.mark.parametrize(
    "answer",
    [BROKEN_OFF, OF_A_PROXY, PAGE, LIST, OF_ANOTHER],
    ids=["broken off", "a proxy's", "another's", "a list", "another's error"],
)
def test_an_answer_that_is_no_page_is_named(program: Program, answer: bytes, tmp_path: Path) -> None:
    """Nothing of it is printed or kept."""
    with always_answering(answer) as url:
        for command, arguments in (
            (program.events, ["all"]),
            (program.events, ["count"]),
            (program.events, ["one", "an-id"]),
            (program.follow, ["trail.ndjson"]),
        ):
            done = program.run(command, *arguments, url=url, cwd=tmp_path)
            assert (done.returncode, done.stdout) == (1, ""), done.stderr
            (sentence,) = done.stderr.splitlines()
            assert sentence.startswith(f"no answer from {url}")
    assert not list(tmp_path.iterdir())


def test_how_to_call_it_is_said(program: Program, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9"  # where nobody is asked
    for command, example in ((program.events, "type=notification.failed"), (program.follow, "trail.ndjson since=")):
        helped = program.run(command, "--help", url=url, cwd=tmp_path)
        assert (helped.returncode, helped.stderr) == (0, "")
        assert example in helped.stdout
        nothing = program.run(command, url=url, cwd=tmp_path)
        assert (nothing.returncode, nothing.stdout, nothing.stderr) == (2, "", helped.stdout)
    for arguments in (["al"], ["one"], ["one", "an-id", "another"]):
        done = program.run(program.events, *arguments, url=url, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "notification.failed" in done.stderr


def test_a_missing_setting_is_named(program: Program, tmp_path: Path) -> None:
    for settings in ({"url": ""}, {"url": "http://127.0.0.1:9", "key": ""}):
        for command, arguments in ((program.events, ["all"]), (program.follow, ["trail.ndjson"])):
            done = program.run(command, *arguments, cwd=tmp_path, **settings)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == "set GATEWAY_URL (http://127.0.0.1:8000, say) and GATEWAY_KEY\n"
    assert not list(tmp_path.iterdir())


def test_a_reader_who_has_enough_ends_it_quietly(program: Program, stage: Stage) -> None:
    with subprocess.Popen(
        [*program.events, "all", *window(stage)],
        env=environment({"GATEWAY_URL": stage.url, "GATEWAY_KEY": KEY}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 141)


@contextmanager
def always_answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that answers these bytes, whatever it is asked."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_following_appends_what_is_new(program: Program, stage: Stage, tmp_path: Path) -> None:
    trail = tmp_path / "trail.ndjson"
    first = program.run(program.follow, str(trail), f"since={stage.since}", url=stage.url, cwd=tmp_path)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    # As if it had been stopped long ago: cut back to the first page, with the cursor that was kept then.
    some = lines(trail.read_text())[:200]
    answer = httpx.get(
        f"{stage.url}/events",
        params={"follow": "true", "order": "asc", "limit": 200, "since": stage.since},
        headers={"Authorization": f"Bearer {KEY}"},
    ).json()
    assert answer["data"] == some
    trail.write_text("".join(f"{json.dumps(event)}\n" for event in some))
    (tmp_path / "trail.ndjson.cursor").write_text(answer["page"]["next_cursor"])
    for _ in range(2):
        again = program.run(program.follow, str(trail), url=stage.url, cwd=tmp_path)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    found = [event["id"] for event in lines(trail.read_text())]
    assert len(found) == len(set(found))
    truth = [event["id"] for event in reversed(stage.events)]
    assert found[: len(truth)] == truth


@contextmanager
def following(program: Program, strict: Running, stage: Stage, folder: Path) -> Iterator[Callable[[str], bool]]:
    """Runs `follow` meanwhile, which must succeed in the end. Yields what tells whether it has met a problem."""
    met_before = problems(strict)
    ended: list[subprocess.CompletedProcess[str]] = []

    def follow() -> None:
        ended.append(program.run(program.follow, "trail.ndjson", f"since={stage.until}", url=strict.url, cwd=folder))

    def has_met(code: str) -> bool:
        assert thread.is_alive()
        return problems(strict)[code] > met_before[code]

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield has_met
    finally:
        thread.join(120)
    assert (ended[0].returncode, ended[0].stderr) == (0, "")
    assert lines((folder / "trail.ndjson").read_text())


def test_too_many_calls_are_waited_out(program: Program, strict: Running, stage: Stage, tmp_path: Path) -> None:
    with ExitStack() as stack:
        # Somebody else with the same key leaves nothing of its rate, from before the program begins until it met that.
        stop, used_up = threading.Event(), threading.Event()

        def use_up() -> None:
            with httpx.Client(headers={"Authorization": f"Bearer {KEY}"}) as other:
                while not stop.is_set():
                    if other.get(f"{strict.url}/event-types").status_code == 429:
                        used_up.set()

        thread = threading.Thread(target=use_up)
        thread.start()
        stack.callback(thread.join, 120)
        stack.callback(stop.set)
        assert used_up.wait(60)
        with following(program, strict, stage, tmp_path) as has_met:
            while not has_met("rate_limited"):
                time.sleep(0.05)
            stop.set()


def test_a_gateway_that_cannot_answer_is_waited_for(
    program: Program, strict: Running, stage: Stage, tmp_path: Path
) -> None:
    with ExitStack() as streams:
        for _ in range(IN_FLIGHT):
            while True:
                stream = httpx.stream("GET", f"{strict.url}/events/stream", headers={"Authorization": f"Bearer {KEY}"})
                if streams.enter_context(stream).status_code == 200:
                    break
                time.sleep(1)
        with following(program, strict, stage, tmp_path) as has_met:
            while not has_met("overloaded"):
                time.sleep(0.05)
            streams.close()


def problems(gateway: Running) -> Counter[str]:
    """The problems that others have met than the one who uses up the rate, from the log; who is turned away for lack of
    room has no route yet. The log's last line may be half written.
    """
    text = gateway.errors.read_text()
    entries = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
    return Counter(entry["code"] for entry in entries if entry.get("code") and entry["route"] != "/event-types")


def test_a_trail_that_cannot_be_written_is_one_sentence(stage: Stage, tmp_path: Path) -> None:
    here = python(tmp_path)
    done = here.run(here.follow, "absent/trail.ndjson", "since=2026-05-01", url=stage.url, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "[Errno 2] No such file or directory: 'absent/trail.ndjson'\n"


def test_each_is_short() -> None:
    for folder in ("python", "typescript", "shell"):
        for file in (EXAMPLES / folder).iterdir():
            if file.suffix in (".py", ".ts", ".sh"):
                assert len(file.read_text().splitlines()) <= 80, file
