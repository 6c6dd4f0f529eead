"""What is written in one turn of the event loop goes out in one piece, and nothing is lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

import pytest

from app.cli.coalescing import CoalescingTransport

pytestmark = pytest.mark.anyio


class Wire:
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        self.said: list[bytes | str] = []
        self.closing = False

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.said.append(b"".join(pieces))

    def close(self) -> None:
        self.said.append("close")
        self.closing = True

    def abort(self) -> None:
        self.said.append("abort")
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 7


def over(wire: Wire) -> CoalescingTransport:
    return CoalescingTransport(cast(asyncio.Transport, wire), asyncio.get_running_loop())


async def test_head_and_body_are_one_piece_and_the_next_answer_is_another() -> None:
    wire = Wire()
    transport = over(wire)
    for answer in (1, 2):
        transport.write(b"head %d " % answer)
        transport.write(b"body")
        transport.write(b"")
        assert transport.get_write_buffer_size() == 7 + len(b"head 1 body")
        await asyncio.sleep(0)
    assert wire.said == [b"head 1 body", b"head 2 body"]
    assert transport.get_write_buffer_size() == 7


async def test_what_is_large_does_not_wait() -> None:
    wire = Wire()
    transport = over(wire)
    transport.write(b"head ")
    transport.write(b"x" * 65_536)
    assert wire.said == [b"head " + b"x" * 65_536], "so that back-pressure is felt at once"
    await asyncio.sleep(0)
    assert len(wire.said) == 1


async def test_the_end_comes_behind_what_was_written() -> None:
    wire = Wire()
    transport = over(wire)
    transport.write(b"last words")
    transport.close()
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert wire.said == [b"last words", "close"]
    assert transport.is_closing()


async def test_a_connection_that_is_torn_down_sends_nothing_more() -> None:
    wire = Wire()
    transport = over(wire)
    transport.write(b"never")
    transport.abort()
    await asyncio.sleep(0)
    assert wire.said == ["abort"]
