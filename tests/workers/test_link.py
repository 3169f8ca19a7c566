"""What the first worker hears from another one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bridge.live.elsewhere import Elsewhere
from bridge.live.feed import Feed
from bridge.tasks import spawn
from bridge.workers.link import Hub, Reporter
from tests.waiting import until

CALL: dict[str, Any] = {
    "id": "c1",
    "sid": "CA1",
    "started_at": "2026-01-31T09:30:00+00:00",
    "state": "listening",
    "at_ms": 0,
    "talk": [],
    "words": {},
    "recording": "on",
    "saying": None,
}


@contextlib.asynccontextmanager
async def first(path: Path) -> AsyncIterator[tuple[Hub, Elsewhere, list[tuple[str, str]]]]:
    grown: list[tuple[str, str]] = []
    elsewhere = Elsewhere(Feed(), lambda folder, call: grown.append((folder, call)))
    hub = Hub(path, elsewhere)
    await hub.open()
    try:
        yield hub, elsewhere, grown
    finally:
        await hub.close()


@contextlib.asynccontextmanager
async def other(path: Path, calls: list[dict[str, Any]]) -> AsyncIterator[Reporter]:
    reporter = Reporter(1, path, lambda: calls, lambda: b"figures 1\n")
    task = spawn(reporter.run(), name="reporter")
    try:
        yield reporter
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_calls_and_what_happens_in_them_are_told(tmp_path: Path) -> None:
    path = tmp_path / "link"
    async with first(path) as (hub, elsewhere, grown), other(path, [CALL]) as reporter:
        await until(lambda: elsewhere.holds("c1"))
        assert (elsewhere.holds("CA1"), elsewhere.holds("c2"), hub.knows(1), hub.knows(2)) == (
            True,
            False,
            True,
            False,
        )
        reporter.call({**CALL, "id": "c2", "sid": "CA2"})
        said = {"at_ms": 5, "speaker": "caller", "turn": 1, "text": "Hello"}
        reporter.news("turn.ended", "c2", said)
        reporter.grew("day/c2", "c2")
        reporter.grew("day/c2", "c2")
        await until(lambda: grown)
        assert grown == [("day/c2", "c2")]
        assert [call["talk"] for call in elsewhere.all()] == [[], [said]]
        assert await hub.figures() == ["figures 1\n"]
        hub.want_fine(True)
        await until(lambda: reporter.fine)
        reporter.over("c1")
        await until(lambda: not elsewhere.holds("c1"))
        assert len(elsewhere) == 1


async def test_calls_of_one_that_is_gone_are_over(tmp_path: Path) -> None:
    path = tmp_path / "link"
    async with first(path) as (hub, elsewhere, _):
        feed = elsewhere._feed
        assert isinstance(feed, Feed)
        with feed.listen() as listener:
            async with other(path, [CALL]):
                await until(lambda: len(elsewhere))
            await until(lambda: not hub.knows(1))
            assert len(elsewhere) == 0
            (event,) = listener.take()
            assert (event.type, event.call, event.data["reason"]) == ("call.ended", "c1", "process_lost")
        await hub.others_gone(5)


async def test_a_first_that_was_started_anew_learns_how_everything_stands(tmp_path: Path) -> None:
    path, calls = tmp_path / "link", [CALL]
    async with other(path, calls) as reporter:
        async with first(path) as (_, elsewhere, _):
            await until(lambda: len(elsewhere))
        await until(lambda: reporter._writer is None)
        reporter.grew("day/c1", "c1")  # Nobody is there to be told.
        reporter.news("state", "c1", {"at_ms": 7, "state": "talking"})
        calls[0] = {**CALL, "state": "talking"}
        async with first(path) as (_, elsewhere, grown):
            await until(lambda: grown)
            assert [call["state"] for call in elsewhere.all()] == ["talking"]


async def test_rubbish_ends_only_its_own_link(tmp_path: Path) -> None:
    path = tmp_path / "link"
    async with first(path) as (_, elsewhere, _), other(path, [CALL]):
        await until(lambda: len(elsewhere))
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"rubbish\n")
        assert await reader.read() == b""
        writer.close()
        assert len(elsewhere) == 1
