"""Several accounts of one provider are merged like accounts of two providers."""

from contextlib import ExitStack
from typing import Any

import pytest

from app.domain.caller import SCOPES, Caller
from app.domain.errors import ParameterError
from app.domain.times import DAY, format_micros
from app.feed.model import FeedSettings
from app.feed.service import Feed
from app.providers.base import CommonSettings
from app.providers.subnoto import PROVIDER as SUBNOTO
from app.providers.taktikal import PROVIDER as TAKTIKAL
from sandbox.serving import serve
from sandbox.subnoto import Emulator as SubnotoEmulator
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import Emulator as TaktikalEmulator
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.worlds import ANYONE, SECRET, Clock, World, any_limit, ask, describe, micros, walk


class Accounts:
    """Two accounts of each vendor, all with one seed: the records of a vendor differ in the account only."""

    def __init__(self, stack: ExitStack) -> None:
        self.clock = Clock()
        self.emulators: dict[str, Any] = {
            "alpha": TaktikalEmulator(TaktikalOptions(seed=1, events=200), clock=self.clock),
            "beta": SubnotoEmulator(SubnotoOptions(seed=1, events=200, tie_burst=2), clock=self.clock),
            "gamma": TaktikalEmulator(TaktikalOptions(seed=1, events=200, logs="trimmed"), clock=self.clock),
            "delta": SubnotoEmulator(SubnotoOptions(seed=1, events=200, tie_burst=2, unit="seconds"), clock=self.clock),
        }
        self.urls = {name: stack.enter_context(serve(each.app)) for name, each in self.emulators.items()}

    def feed(self) -> Feed:
        common = CommonSettings(clock=lambda: micros(self.clock()))
        sources = []
        for own, emulator in self.emulators.items():
            settings = emulator.env(self.urls[own])
            table = {variable.partition("_")[2].lower(): value for variable, value in settings.items()}
            provider = TAKTIKAL if isinstance(emulator, TaktikalEmulator) else SUBNOTO
            sources.append(provider.from_table(own, table, common))
        return Feed(sources, FeedSettings((SECRET,), clock=lambda: micros(self.clock())))

    def truth(self, name: str) -> list[tuple[Any, ...]]:
        emulator = self.emulators[name]
        taktikal = isinstance(emulator, TaktikalEmulator)
        return World(self.clock, emulator if taktikal else None, None if taktikal else emulator, {}).truth()


async def test_several_accounts_merge_in_one_order() -> None:
    with ExitStack() as stack:
        accounts = Accounts(stack)
        feeds = [accounts.feed(), accounts.feed()]
        now = micros(accounts.clock())
        window = {"since": format_micros(now - 40 * DAY), "until": format_micros(now)}

        def grow() -> None:
            accounts.clock.advance(minutes=20)

        down = await walk(feeds, limits=any_limit(1, 5, 60, 200), between=grow, **window)
        up = await walk(feeds, limits=any_limit(2, 5, 60, 200), between=grow, order="asc", **window)
        assert up.ids == down.ids[::-1]
        assert len(set(up.ids)) == len(up.ids)
        by_source = {name: [r for r in up.records if r.event().source == name] for name in accounts.emulators}
        for name, records in by_source.items():
            truth = [row for row in accounts.truth(name) if now - 40 * DAY <= row[0] < now]
            assert [describe(record) for record in records] == truth
        # By time, then by the source's name.
        order = [(r.key[0], r.event().source) for r in up.records]
        assert order == sorted(order)
        assert {record.event().provider for record in by_source["alpha"]} == {"taktikal"}

        event_id = by_source["gamma"][5].event().id
        assert (await feeds[0].event(event_id, ANYONE)).event().source == "gamma"
        both = await walk(feeds[0], limits=1000, provider="subnoto", **window)
        assert {r.event().source for r in both.records} == {"beta", "delta"}
        one = await walk(feeds[0], limits=1000, source="gamma", **window)
        assert one.ids[::-1] == [r.event().id for r in by_source["gamma"]]
        limited = Caller("limited", frozenset(SCOPES), frozenset({"alpha", "delta"}))
        page = await ask(feeds[0], limited, limit=1000, **window)
        assert {r.event().source for r in page.records} == {"alpha", "delta"}

        with pytest.raises(ParameterError) as error:
            await ask(feeds[0], source="beta", provider="taktikal")
        assert {name for name, _ in error.value.errors} <= {"source", "provider"}
        page = await ask(feeds[0], flow_type="DropAndSign")
        assert {s.name: s.status for s in page.sources} == {
            "alpha": "ok", "gamma": "ok", "beta": "skipped", "delta": "skipped"
        }  # fmt: skip
        for feed in feeds:
            await feed.aclose()
        assert all(not each.calls.refused for each in accounts.emulators.values())


async def test_one_failing_account_does_not_hide_another_of_its_provider() -> None:
    with ExitStack() as stack:
        accounts = Accounts(stack)
        feed = accounts.feed()
        accounts.emulators["alpha"].faults.malformed(times=10_000)
        page = await ask(feed, partial=True, limit=1000)
        assert {s.name: s.status for s in page.sources} == {
            "alpha": "failed", "beta": "ok", "gamma": "ok", "delta": "ok"
        }  # fmt: skip
        assert {r.event().source for r in page.records} == {"beta", "gamma", "delta"}
        accounts.emulators["alpha"].faults.clear()
        rest = await walk(feed, limits=1000, source="alpha")
        follow = await ask(feed, cursor=page.next_cursor)
        assert [r.event().id for r in follow.records] == rest.ids
        await feed.aclose()
