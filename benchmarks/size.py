"""Measure the size of the code: `make size`. Lines include blank lines and comments.

A warm page is a repeated `GET /events?limit=5` over two sources. Counted are the functions (without lambdas and
comprehensions) and files of `app/` that it enters, in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import tomllib
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import structlog

from app.config import load_configuration
from app.main import assemble
from sandbox.launcher import start_sandbox

ROOT = Path(__file__).parents[1]
APP = f"{ROOT}/app/"


def main() -> None:
    print("| measure | value |\n| --- | ---: |")
    for folder in ("app", "sandbox", "tests"):
        sizes = [len(file.read_text(encoding="utf-8").splitlines()) for file in (ROOT / folder).rglob("*.py")]
        sizes = [size for size in sizes if size]
        median = statistics.median(sizes)
        print(f"| Python in `{folder}/`: lines, files, median file | {sum(sizes):,}, {len(sizes)}, {median:.0f} |")
    functions, files = asyncio.run(warm_page())
    print(f"| functions, files of `app/` entered by a warm page of two sources | {functions}, {files} |")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(f"| runtime dependencies | {len(project['dependencies'])} |")


async def warm_page() -> tuple[int, int]:
    """Return how many functions, and files, one warm page enters."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    entered: set[Any] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(APP) and not code.co_name.startswith("<"):
            entered.add(code)

    with start_sandbox() as sandbox:
        app = assemble(load_configuration(None, env_file=None, sandbox_environment=sandbox.env))
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": "Bearer sandbox"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client,
        ):
            for _ in range(3):
                (await client.get("/events?limit=5")).raise_for_status()
            sys.setprofile(profile)
            try:
                (await client.get("/events?limit=5")).raise_for_status()
            finally:
                sys.setprofile(None)
    return len(entered), len({code.co_filename for code in entered})


if __name__ == "__main__":
    main()
