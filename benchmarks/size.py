"""Measure the size of the code beside its targets: `make size`. Lines include blank lines and comments.

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


#: Most lines of Python, by folder.
LINES = {"app": 13_000, "sandbox": 2_600, "tests": 18_000}
GUIDE = ROOT / "docs/guides/adding-a-provider.md"


def main() -> None:
    print("| measure | value | target | |\n| --- | ---: | ---: | --- |")
    for folder, most in LINES.items():
        sizes = [len(file.read_text(encoding="utf-8").splitlines()) for file in (ROOT / folder).rglob("*.py")]
        sizes = [size for size in sizes if size]
        show(f"lines of Python in `{folder}/`", sum(sizes), most)
        if folder == "app":
            show("files in `app/`", len(sizes), 110)
            show("lines of the median file in `app/`", int(statistics.median(sizes)), 200)
            show("files in `app/` of more than 300 lines", len([size for size in sizes if size > 300]), 0)
    functions, files = asyncio.run(warm_page())
    show("functions of `app/` that a warm page of two sources enters", functions, 150)
    show("files of `app/` that it enters", files, 30)
    blocks = GUIDE.read_text(encoding="utf-8").split("```python\n")[1:]
    show("lines of a plain provider (the guide's)", max(map(count_lines, blocks)), 100)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(f"| runtime dependencies | {len(project['dependencies'])} | | |")


def show(measure: str, value: int, most: int) -> None:
    print(f"| {measure} | {value:,} | ≤ {most:,} | {'met' if value <= most else '**missed**'} |")


def count_lines(block: str) -> int:
    """Return the lines before the end of a block of code."""
    return block.partition("```")[0].count("\n")


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
