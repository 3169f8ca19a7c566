"""Measures the latencies of calls while their database is there, and while it is away, in one run.

`python -m tests.store.sql.outage --seconds 60` stops the database for a minute in the midst of calls; a test does
so for a moment. The bridge runs in a process of its own; everything else is here, with the one clock of all stamps.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from sqlalchemy import text

from bridge.bench import systems
from bridge.bench.figures import ASK, BARGE_IN, HEARD, PLAY, Figures, summarize
from bridge.bench.load import Load, LoadOptions, load
from bridge.bench.talk import Pace
from bridge.bench.under_test import system_process
from bridge.store.files import read_journal
from tests.postgres import PostgresServer
from tests.store.sql.place import Place, PostgresPlace, SqlitePlace

MEASURES: Final = {
    HEARD: "frame in → speech socket",
    PLAY: "speech in → media",
    BARGE_IN: "turn.start → clear",
    ASK: "turn.end → agent",
}
PACE: Final = Pace(turn_s=2.0)
"""Short turns, so that there are some in every phase."""
TOKEN: Final = "0123456789abcdef0123456789abcdef"


@dataclass
class Outcome:
    samples: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
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
    outcome = Outcome()
    folder = place.folder.parent
    settings = {"store.recordings": str(place.folder), "store.url": place.url}
    async with load(LoadOptions(PACE)) as peers:
        told = systems.Place(peers.peers, TOKEN, "", folder)
        async with system_process(systems.Bridge(settings).launch(told), folder) as bridge:
            peers.attach(bridge.url, TOKEN)
            await peers.set_calls(calls)
            async with asyncio.timeout(60):
                # Nobody tells when a turn is over.
                while not all(call.talk.turns for call in peers.calls.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await _go_through(phases, place, peers, outcome)
            await peers.set_calls(0)
            await _all_in(place, calls, outcome)
    return outcome


async def _go_through(phases: list[tuple[str, float]], place: Place, peers: Load, outcome: Outcome) -> None:
    """Measure each phase; what the change itself costs this machine is not told."""
    now = "up"
    for phase, seconds in phases:
        if phase != now:
            await asyncio.to_thread(place.stop if phase == "down" else place.start)
            now = phase
        peers.begin_window()
        await asyncio.sleep(seconds)
        for what, samples in peers.tally.end_window().items():
            outcome.samples[phase][what] += samples
    if now == "down":
        await asyncio.to_thread(place.start)


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
