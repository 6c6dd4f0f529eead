"""The steps of the Dockerfile install all that the gateway needs, and it writes no file."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sandbox.serving import serve
from sandbox.subnoto import Emulator, EmulatorOptions
from tests.process import environment

COMPILING = {"PYTHONDONTWRITEBYTECODE": ""}  #: pip compiles packages at installation, uv at the first start


def install(prefix: Path, *extras: str) -> None:
    command = ["deploy/install-runtime", str(prefix), sys.executable, *extras]
    env = {**os.environ, "UV": str(Path(sys.executable).with_name("uv"))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode and re.search(r"No matching distribution|connection|resolve", done.stderr, re.IGNORECASE):
        pytest.skip(f"the package index cannot be reached: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def prefix() -> Iterator[Path]:
    # Not under /tmp, which the confined process sees empty.
    with tempfile.TemporaryDirectory(prefix="audit-gateway-", dir="/var/tmp") as directory:
        found = Path(directory) / "gateway"
        install(found)
        yield found


def serve_and_stop(command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> list[int]:
    """Serve, read both health endpoints, stop with SIGTERM, and return the statuses."""
    serving = subprocess.Popen(
        command, cwd=cwd, env=environment({**COMPILING, **(env or {})}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    greeting = ""
    try:
        greeting = serving.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", greeting)
        assert found is not None, (greeting, serving.stderr and serving.stderr.read())
        statuses = [httpx.get(f"{found[0]}/health/{path}", timeout=30).status_code for path in ("live", "ready")]
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=30)
    assert serving.returncode == 0
    return statuses


def test_the_image_contains_every_dependency(prefix: Path, tmp_path: Path) -> None:
    command = str(prefix / "bin" / "audit-gateway")
    document = subprocess.run(
        [command, "openapi"], env=environment(COMPILING), capture_output=True, text=True, timeout=60, check=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert document.stdout == Path("openapi/openapi.json").read_text(encoding="utf-8")
    assert serve_and_stop([command, "serve", "--sandbox", "--port", "0"], tmp_path) == [200, 200]


@pytest.fixture
def confined(tmp_path: Path) -> str:
    """The beginning of a shell command that confines its program like the container of `deploy/`: a read-only root, an
    empty /tmp, no capability."""
    command = (
        f"mount --rbind / {tmp_path} && mount -o remount,ro,bind {tmp_path} && mount -t tmpfs tmpfs {tmp_path}/tmp"
        f" && exec chroot {tmp_path} setpriv --bounding-set=-all --inh-caps=-all --no-new-privs"
    )
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("a read-only root needs root, unshare and setpriv")
    tried = "touch /tmp/here && ! touch /var/tmp/there && grep -q 'CapEff:.*0000000000000000' /proc/self/status"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{command} sh -c {shlex.quote(tried)}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no read-only root can be made here: {done.stderr[-200:]}")
    return command


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_read_only_root_and_no_capabilities_are_enough(prefix: Path, confined: str, workers: str) -> None:
    command = [str(prefix / "bin" / "audit-gateway"), "serve", "--workers", workers, "--port", "0"]
    with serve(Emulator(EmulatorOptions(events=50)).app) as base_url:
        env = {**Emulator(EmulatorOptions(events=0)).env(base_url), "GATEWAY_AUTH": "off"}
        script = f"{confined} {shlex.join(command)}"
        assert serve_and_stop(["unshare", "--mount", "sh", "-c", script], Path("/"), env) == [200, 200]


def test_a_missing_extra_is_named_and_can_be_added(prefix: Path, tmp_path: Path) -> None:
    command = [str(prefix / "bin" / "audit-gateway"), "serve", "--port", "0"]
    with serve(Emulator(EmulatorOptions(events=10)).app) as base_url:
        env = {**Emulator(EmulatorOptions(events=0)).env(base_url), "SUBNOTO_TRANSPORT": "tunnel"}
        refused = subprocess.run(
            command, cwd=tmp_path, env=environment(env), capture_output=True, text=True, timeout=60, check=False
        )
        assert refused.returncode != 0
        assert 'pip install ".[subnoto-tunnel]"' in " ".join(refused.stderr.split())
        assert EmulatorOptions().secret_key not in refused.stderr
        install(prefix, "subnoto-tunnel")
        assert serve_and_stop(command, tmp_path, env) == [200, 200]


@pytest.mark.parametrize("extra", ["otle", "build"])
def test_an_unknown_extra_is_refused(extra: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["deploy/install-runtime", str(tmp_path / "x"), sys.executable, extra],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, f"no extra {extra}" in done.stderr) == (2, True)
    assert not (tmp_path / "x").exists()


def pins(path: str) -> set[str]:
    return set(re.findall(r"^[a-z0-9][\w.-]*==[^\s;]+", Path(path).read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_only_locked_packages_are_installed(prefix: Path) -> None:
    (packages,) = (prefix / "lib").glob("python3*/site-packages")
    found = {f"{canonicalize_name(one.name)}=={one.version}" for one in metadata.distributions(path=[str(packages)])}
    # A test before this one may have added the extra.
    locked = pins("requirements.lock") | pins("deploy/requirements-subnoto-tunnel.lock")
    assert len(found) > 20
    assert {one for one in found if not one.startswith("audit-gateway==")} <= locked
    assert not {one for one in found if one.startswith("hatchling")}


@pytest.mark.parametrize("extra", ["otel", "subnoto-tunnel"])
def test_the_lock_of_an_extra_contains_the_core_lock(extra: str) -> None:
    core, more = pins("requirements.lock"), pins(f"deploy/requirements-{extra}.lock")
    assert core < more <= pins("requirements-dev.lock")


LOCKS = [Path("requirements.lock"), Path("requirements-dev.lock"), *sorted(Path("deploy").glob("*.lock"))]


def locked(path: Path) -> list[Requirement]:
    lines = re.findall(r"^([a-z0-9][^\\\n]*?) *\\?$", path.read_text(), flags=re.MULTILINE)
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("version", ["3.11.0", "3.11.2", "3.12.3", "3.13.1"])
@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_is_complete_for_every_python(path: Path, version: str) -> None:
    python = {**default_environment(), "python_full_version": version, "python_version": version.rpartition(".")[0]}
    held = [each for each in locked(path) if each.marker is None or each.marker.evaluate(python)]
    names = {canonicalize_name(each.name) for each in held}
    missing = set()
    for each in held:
        for text in _requires(each.name):
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({**python, "extra": ""}):
                missing |= {canonicalize_name(needed.name)} - names
    assert not missing
    assert len(names) >= 2


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []  # of another version of Python
