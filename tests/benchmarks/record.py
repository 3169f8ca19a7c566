"""What keeping the record costs: `python -m tests.benchmarks.record [--calls 20 200] [--seconds 8] [--url URL]`.

So many live calls whose journals and traces grow as in a conversation (a turn of the caller and a reply every six
seconds, some of them interrupted), through the real files, the real keeper and a database in one process; nothing
else of a call is there, and no sound is recorded. Each level runs three times: for the processor's time (less that
of the same calls with nobody who keeps them), for how long the event loop was held, and under a profile that counts
the Python functions called in the event loop's thread. It is no test: the figures depend on the machine and on who
else uses it.
"""

# ruff: noqa: T201 - it is a command of its own

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import heapq
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import event as sql_event

from bridge.conversation import journal as j
from bridge.store.base import CallHeader
from bridge.store.files import FileStore
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from bridge.store.writer import DiskThread
from bridge.tasks import spawn

TURN_S: Final = 6.0
"""How often the caller of each call has a turn."""
SAID: Final = (
    "Do you have a table for two tonight?",
    "At seven, or no, make that half past eight, please.",
    "Is there parking near by, and could you bring a high chair for the little one?",
    "Thanks.",
)
ANSWERED: Final = (
    "We do. At what time would you like to come?",
    "Half past eight it is, a table for two. Shall I put you by the window, or would you rather sit outside?",
    "There is a garage across the street, and I have noted the high chair.",
)
TRACED: Final = (2, 3, 4, 5)
"""How many steps the trace gets at each of the four moments of a turn."""
LINE: Final = (
    b'{"now":1234.567891,"event":{"kind":"SpeechReady","speech":12,"bytes":4000},"commands":[' + b" " * 120
)


class Record(Protocol):
    """What a call uses of its record here."""

    def append(self, entry: j.Entry) -> None:
        """Keep an entry."""

    def trace(self, line: bytes) -> None:
        """Keep a line of the trace."""

    async def settled(self) -> None:
        """Wait until the entries have left the process."""


class Nobody:
    """Keeps nothing."""

    def append(self, _: j.Entry) -> None:
        """Drop it."""

    def trace(self, _: bytes) -> None:
        """Drop it."""

    async def settled(self) -> None:
        """Wait for nothing."""


@dataclass
class Tally:
    """What was counted while a level ran."""

    turns: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    calls: int = 0
    """Python functions in the event loop's thread."""
    statements: int = 0
    transactions: int = 0
    late_ms: list[float] = field(default_factory=list)
    lag_s: list[float] = field(default_factory=list)
    settled_ms: list[float] = field(default_factory=list)
    missing: int = 0


async def talk(records: list[Record], seconds: float, tally: Tally) -> None:
    """Let every call grow, each at its own moments, until the time is over."""
    chance = random.Random(1)
    began = time.perf_counter()
    due = [(chance.random() * TURN_S, call, 0) for call in range(len(records))]
    heapq.heapify(due)
    asked: set[asyncio.Task[None]] = set()
    while due[0][0] < seconds:
        at, call, step = heapq.heappop(due)
        if (wait := began + at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        record, moment, number = records[call], step % 4, step // 4 + 1
        for _ in range(TRACED[moment]):
            record.trace(LINE + b"]}\n")
        moment_at = round(at * 1000)
        if moment == 0 and call % 3 == 0:
            record.append(j.AgentSilenced(moment_at, number, number))
        elif moment == 1:
            record.append(j.CallerSpoke(number, SAID[step % 4], moment_at - 2000, moment_at, moment_at - 300))
            if call % 3 == 1:
                record.append(j.SpeculationDropped(moment_at, number, number))
            task = spawn(settle(record, tally), name="settle")
            asked.add(task)
            task.add_done_callback(asked.discard)
            tally.turns += 1
        elif moment == 3:
            times = (moment_at - 3000, moment_at, moment_at - 2800, moment_at - 2700, moment_at - 2690)
            said = ANSWERED[step % 3]
            record.append(j.AgentSpoke(number, number, "turn.ended", said, "", call % 3 == 0, *times))
        heapq.heappush(due, (at + TURN_S / 4, call, step + 1))
    if asked:
        await asyncio.wait(asked)


async def settle(record: Record, tally: Tally) -> None:
    """Wait as a question to the agent does."""
    began = time.perf_counter()
    await record.settled()
    tally.settled_ms.append((time.perf_counter() - began) * 1000)


@contextlib.asynccontextmanager
async def kept(calls: int, folder: Path, url: str, tally: Tally) -> AsyncIterator[tuple[list[Record], Keeper]]:
    """So many calls, whose beginnings are in the database already."""
    database = Database(url, folder)
    keeper = Keeper(database, folder)
    disk = DiskThread()
    store = FileStore(folder, record_audio=False, disk=disk, on_growth=keeper.grew)
    await database.open()
    keeper.start()
    headers = [
        CallHeader(f"call-{n:06}", f"CA{n:032}", "+15550001", "+15550002", "inbound", moment(n), "webhook")
        for n in range(calls)
    ]
    records = [store.open(header) for header in headers]
    for record in records:
        record.append(j.CallOpened())
    await asyncio.gather(*(record.settled() for record in records))
    await keeper.caught_up()
    engine: Any = database.engine.sync_engine
    sql_event.listen(engine, "before_cursor_execute", lambda *_: count(tally, "statements"))
    sql_event.listen(engine, "commit", lambda *_: count(tally, "transactions"))
    before = keeper.entries
    yield list(records), keeper
    statements, transactions = tally.statements, tally.transactions
    await asyncio.gather(*(record.settled() for record in records))
    await keeper.caught_up()
    found = 0
    async with database.reading() as connection:
        for table in ("turns", "actions"):
            found += (await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one()
    tally.missing = keeper.entries - before - (found - calls)
    tally.statements, tally.transactions = statements, transactions
    await keeper.close()
    await asyncio.gather(*(record.close() for record in records))
    await store.close()
    await database.close()


def moment(number: int) -> str:
    """When a call began."""
    return f"2026-03-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000+00:00"


def count(tally: Tally, name: str) -> None:
    """Count one more."""
    setattr(tally, name, getattr(tally, name) + 1)


async def beat(tally: Tally, keeper: Keeper) -> None:
    """Come back every two milliseconds, and see how late that is."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.002)
        tally.late_ms.append((time.perf_counter() - began - 0.002) * 1000)
        tally.lag_s.append(keeper.lag_s)


async def run(tally: Tally, calls: int, seconds: float, url: str, how: str) -> None:
    """One pass: `cpu`, `nobody`, `held` or `functions`."""
    if how == "nobody":
        await timed(tally, lambda: talk([Nobody() for _ in range(calls)], seconds, tally))
        return
    with tempfile.TemporaryDirectory(prefix="record-") as folder:
        async with kept(calls, Path(folder), url, tally) as (records, keeper):
            if how == "cpu":
                await timed(tally, lambda: talk(records, seconds, tally))
            elif how == "held":
                beating = spawn(beat(tally, keeper), name="beat")
                await talk(records, seconds, tally)
                beating.cancel()
            else:
                await profiled(tally, talk(records, seconds, tally))


async def timed(tally: Tally, work: Callable[[], Awaitable[None]]) -> None:
    """Do it, and take the processor's time of all threads."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await work()
    tally.cpu_s, tally.wall_s = time.process_time() - cpu, time.perf_counter() - wall


async def profiled(tally: Tally, work: Awaitable[None]) -> None:
    """Do it, and count the Python functions that this thread calls, but for those of the calls' own script."""

    def profile(frame: Any, what: str, _: object) -> None:
        if what == "call" and frame.f_code.co_filename != __file__:
            tally.calls += 1

    sys.setprofile(profile)
    try:
        await work
    finally:
        sys.setprofile(None)


def functions_per_turn(calls: int, seconds: float) -> float:
    """How many Python functions the event loop's thread calls to keep a turn; it differs by a percent or so."""
    tally = Tally()
    asyncio.run(run(tally, calls, seconds, "", "functions"))
    return tally.calls / tally.turns


def level(calls: int, seconds: float, url: str) -> str:
    """Run a level, and tell of it in one line."""
    found = {how: Tally() for how in ("nobody", "cpu", "held", "functions")}
    for how, tally in found.items():
        asyncio.run(run(tally, calls, seconds if how != "functions" else min(seconds, 5), url, how))
    cpu, held, functions = found["cpu"], found["held"], found["functions"]
    net_s = cpu.cpu_s - found["nobody"].cpu_s
    late = statistics.quantiles(held.late_ms, n=1000)
    settled = statistics.quantiles(held.settled_ms, n=100)
    return (
        f"{calls:5} {cpu.turns:6} {net_s / cpu.turns * 1000:9.3f} {net_s / cpu.wall_s * 100:7.2f}"
        f" {functions.calls / functions.turns:9.0f} {cpu.statements / cpu.turns:9.2f}"
        f" {cpu.transactions / cpu.turns:7.2f} {late[989]:8.2f} {late[998]:8.2f} {max(held.late_ms):8.2f}"
        f" {settled[49]:8.2f} {settled[98]:8.2f} {statistics.median(held.lag_s):7.2f} {max(held.lag_s):7.2f}"
        f" {cpu.missing + held.missing + functions.missing:5}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--url", default="", help="of an empty PostgreSQL; SQLite where it is left out")
    given = parser.parse_args()
    print(
        "                CPU ms   CPU % functions statements transac-   loop held, ms            settled, ms"
        "        lag, s\n"
        "calls  turns  per turn of core  per turn  per turn tions/turn  p99    p99.9     most      p50      p99"
        "     p50    most  lost"
    )
    for number in given.calls:
        print(level(number, given.seconds, given.url), flush=True)
