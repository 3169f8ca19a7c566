"""Measures the latencies of calls while their database is there, and while it is away, in one run.

`python -m tests.store.sql.outage --seconds 60` stops the database for a minute in the midst of calls; a test does
so for a moment. The bridge runs in a process of its own; everything else is here, with the one clock of all stamps.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
from aiohttp import WSMsgType, web
from sqlalchemy import text

from bridge.audio.codec import BYTES_PER_MS
from bridge.bench.agent import InstantAgent
from bridge.bench.figures import ASK, BARGE_IN, PLAY, Figures, summarize
from bridge.bench.phones import Handset, Phones
from bridge.bench.run import _environment
from bridge.bench.speech import ScriptedSpeech
from bridge.bench.talk import Talk, Tally, clock
from bridge.bench.under_test import bridge_process
from bridge.simulator.line import Line
from bridge.store.files import read_journal
from bridge.stt import cartesia_wire as stt
from bridge.tasks import spawn
from tests.postgres import PostgresServer
from tests.store.sql.place import Place, PostgresPlace, SqlitePlace

HEAR: Final = "frame in → speech socket"
MEASURES: Final = {HEAR: HEAR, PLAY: "speech in → media", BARGE_IN: "turn.start → clear", ASK: "turn.end → agent"}
TOKEN: Final = "0123456789abcdef0123456789abcdef"
_FRAME_BYTES: Final = 20 * BYTES_PER_MS


class Phone(Handset):
    """Stamps each frame of the caller."""

    def __init__(self, talk: Talk, line: Line, stamps: list[float]) -> None:
        super().__init__(talk, line)
        self._stamps = stamps

    async def serve(self, now: float) -> None:
        if self.open:
            self._stamps.append(clock())
        await super().serve(now)


class Speech(ScriptedSpeech):
    """Takes the time at which each frame of the caller has arrived at the speech-to-text socket."""

    def __init__(self, talks: dict[int, Talk], stamps: dict[int, list[float]]) -> None:
        super().__init__(talks)
        self._by_number = talks
        self._stamps = stamps

    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.send_str(stt.encode(stt.Connected("outage")))
        talk: Talk | None = None
        heard = 0
        async for message in socket:
            at = clock()
            if message.type is WSMsgType.BINARY:
                talk = talk or self._caller(message.data, socket)
                heard += len(message.data)
                if talk is not None and talk.counting:
                    sent = self._stamps[talk.number]
                    talk.tally.add(HEAR, at - sent[min(len(sent), heard // _FRAME_BYTES) - 1])
            elif message.type is WSMsgType.TEXT and isinstance(stt.parse_turns_command(message.data), stt.Close):
                break
        await socket.close()
        return socket

    def _caller(self, audio: bytes, socket: web.WebSocketResponse) -> Talk | None:
        if not self._find_caller(audio, socket):
            return None
        return self._by_number[audio[1] << 7 | audio[2]]  # the pattern begins with the frame


@dataclass
class Outcome:
    samples: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(dict))
    """Seconds, by `up` or `down` and by measure."""
    entries: int = 0
    """All entries; they are in, in their order."""
    caught_up_s: float = 0.0

    def figures(self, phase: str, measure: str) -> Figures:
        found = summarize(self.samples[phase].get(measure, []))
        assert found is not None, f"nothing was measured of {measure} while the database was {phase}"
        return found


async def measure(place: Place, calls: int, phases: list[tuple[str, float]]) -> Outcome:
    """Let so many calls talk through phases of `up` and `down`, each so many seconds long."""
    outcome, tally = Outcome(), Tally()
    talks = {n: Talk(n, tally, random.Random(n)) for n in range(1, calls + 1)}
    stamps: dict[int, list[float]] = {n: [] for n in talks}
    async with contextlib.AsyncExitStack() as stack:
        peers = await stack.enter_async_context(_peers(talks, stamps))
        folder = place.folder.parent
        environment = {
            **_environment(peers, token=TOKEN, key="", folder=folder),
            "BRIDGE_STORE__RECORDINGS": str(place.folder),
            "BRIDGE_STORE__URL": place.url,
        }
        bridge = await stack.enter_async_context(bridge_process(environment, folder))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        phones = [Phone(talk, Line(bridge.url, TOKEN), stamps[n]) for n, talk in talks.items()]
        running = [spawn(Phones(phones, lambda *_: None).run(), name="phones")]
        for phone, talk in zip(phones, talks.values(), strict=True):
            await phone.call(session)
            running.append(spawn(talk.run(10_000), name=f"talk-{talk.number}"))
        async with asyncio.timeout(60):
            while not all(talk.counting for talk in talks.values()):  # noqa: ASYNC110  Nobody tells.
                await asyncio.sleep(0.05)
        now = "up"
        for phase, seconds in phases:
            tally.samples = {}  # what the change itself costs this machine is not told
            if phase != now:
                await asyncio.to_thread(place.stop if phase == "down" else place.start)
                now = phase
            tally.samples = outcome.samples[phase]
            await asyncio.sleep(seconds)
        tally.samples = {}
        if now == "down":
            await asyncio.to_thread(place.start)
        for task in running:
            task.cancel()
        await asyncio.gather(*(phone.hang_up() for phone in phones))
        await _all_in(place, calls, outcome)
    return outcome


async def _journals(place: Place) -> dict[str, list[Any]]:
    def read() -> dict[str, list[Any]]:
        found = [read_journal(path) for path in place.folder.glob("*/*/journal.jsonl")]
        return {header.id: entries for header, entries in found}

    return await asyncio.to_thread(read)


async def _all_in(place: Place, calls: int, outcome: Outcome) -> None:
    began = time.monotonic()
    async with asyncio.timeout(60):
        while True:
            journals = await _journals(place)
            ended = [entries for entries in journals.values() if type(entries[-1]).__name__ == "CallClosed"]
            kept = {row["id"]: row for row in await place.rows("calls", "id")}
            if len(ended) == calls and all(
                call in kept and kept[call]["entries"] == len(entries) for call, entries in journals.items()
            ):
                break
            await asyncio.sleep(0.1)
    outcome.caught_up_s = time.monotonic() - began
    outcome.entries = sum(len(entries) for entries in journals.values())
    database = await place.opened()
    async with database.reading() as connection:
        found = await connection.execute(
            text("SELECT call_id, text FROM turns WHERE speaker = 'caller' ORDER BY id")
        )
        turns = [(row.call_id, row.text) for row in found]
    for call, entries in journals.items():
        wanted = [entry.transcript for entry in entries if type(entry).__name__ == "CallerSpoke"]
        assert [said for other, said in turns if other == call] == wanted, (
            "a turn is lost, doubled, or out of order"
        )


@contextlib.asynccontextmanager
async def _peers(talks: dict[int, Talk], stamps: dict[int, list[float]]) -> AsyncIterator[str]:
    app = web.Application()
    Speech(talks, stamps).add_to(app)
    InstantAgent(talks).add_to(app)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@click.command()
@click.option(
    "--seconds", type=float, default=60.0, show_default=True, help="How long the database is away in all."
)
@click.option("--calls", type=int, default=5, show_default=True)
@click.option("--times", type=int, default=1, show_default=True, help="In how many pieces.")
@click.option("--sqlite", is_flag=True, help="A locked SQLite in place of a PostgreSQL that is stopped.")
def main(seconds: float, calls: int, times: int, sqlite: bool) -> None:
    """Take the database away from calls, and show what they felt of it."""
    server = None if sqlite else PostgresServer()
    with tempfile.TemporaryDirectory(prefix="outage-") as folder:
        place: Place = (
            SqlitePlace(Path(folder) / "calls") if server is None else PostgresPlace(Path(folder) / "calls", server)
        )
        phases = [("up", seconds / times / 2), ("down", seconds / times), ("up", seconds / times / 2)] * times
        try:
            outcome = asyncio.run(_measure_and_close(place, calls, phases))
        finally:
            if server is not None:
                server.close()
    for measure_, title in MEASURES.items():
        for phase in ("up", "down"):
            one = outcome.figures(phase, measure_)
            click.echo(
                f"{title:26} {phase:5} n {one.count:5} p50 {one.p50:6.1f} p95 {one.p95:6.1f} p99 {one.p99:6.1f}"
            )
    click.echo(f"{outcome.entries} entries are in, in order; {outcome.caught_up_s:.1f} s after the last call ended")


async def _measure_and_close(place: Place, calls: int, phases: list[tuple[str, float]]) -> Outcome:
    try:
        return await measure(place, calls, phases)
    finally:
        await place.close()


if __name__ == "__main__":
    main()
