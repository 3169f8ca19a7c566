"""What calls write into PostgreSQL: `python -m tests.store.sql.writes [--calls 100] [--turns 20] [--every 0.6]`.

Keeps made-up calls side by side, each of which takes a turn every so many seconds, lets a keeper bring them into an
empty PostgreSQL, and prints what the server counted: rows, transactions, bytes of its log and of the database. The
rows and bytes of a turn are those of any machine; with `--every 0` the rows a second are what this one takes.
"""

# ruff: noqa: T201 - it is a command of its own

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Final

from sqlalchemy import text

from bridge.conversation import journal as j
from bridge.store.base import CallHeader
from bridge.store.files import FileStore
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from bridge.store.writer import DiskThread
from tests.postgres import start_postgres
from tests.store.sql.place import PostgresPlace

_SAID: Final = "I would like to book a table for four people"
_ANSWER: Final = "On Friday evening there is a table for four people at seven, or another one at nine"
_COUNTED: Final = """
SELECT xact_commit, tup_inserted, tup_updated, pg_current_wal_lsn() - '0/0'::pg_lsn,
       pg_database_size(current_database())
FROM pg_stat_database WHERE datname = current_database()
"""
_SETTLES_S: Final = 1.5
"""How long a server takes at most to count what was done."""


@dataclasses.dataclass(frozen=True, slots=True)
class Counted:
    """What the server has counted so far, or between two moments."""

    commits: int
    inserted: int
    updated: int
    log_bytes: int
    kept_bytes: int

    def since(self, before: Counted) -> Counted:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(before), strict=True)
        return Counted(*(now - then for now, then in pairs))

    def per(self, number: int, what: str) -> str:
        return (
            f"per {what}: {self.inserted / number:.2f} rows inserted, {self.updated / number:.2f} updated,"
            f" {self.log_bytes / number:.0f} B of log, {self.kept_bytes / number:.0f} B kept"
        )


async def count(database: Database) -> Counted:
    await asyncio.sleep(_SETTLES_S)
    async with database.reading() as connection:
        return Counted(*map(int, (await connection.execute(text(_COUNTED))).one()))


def turn(number: int) -> tuple[j.CallerSpoke, j.AgentSpoke]:
    at = number * 6000
    answered = j.AgentSpoke(
        number, number, "turn.ended", _ANSWER, "", False, at, at + 3000, at + 200, at + 400, at + 420, at + 700
    )
    return j.CallerSpoke(number, _SAID, at - 3000, at, eager_ms=at - 200), answered


def header(number: int) -> CallHeader:
    return CallHeader(
        id=f"{number:032x}",
        sid=f"CA{number:032x}",
        caller="+15550100001",
        called="+15550100002",
        direction="inbound",
        started_at="2026-03-01T12:00:00.000+00:00",
        agent_kind="webhook",
    )


async def measure(place: PostgresPlace, calls: int, turns: int, every_s: float) -> None:
    database = await place.opened()
    keeper = Keeper(database, place.folder, lambda: "measured")  # As one of many nodes: journals go in as well.
    keeper.start()
    store = FileStore(place.folder, record_audio=False, disk=DiskThread(), on_growth=keeper.grew)
    records = [store.open(header(number)) for number in range(calls)]
    for record in records:
        record.append(j.CallOpened())
    await keeper.caught_up()
    before, began = await count(database), time.monotonic()
    for number in range(1, turns + 1):
        for record in records:
            for entry in turn(number):
                record.append(entry)
            await asyncio.sleep(every_s / calls)
    await keeper.caught_up()
    took = time.monotonic() - began
    during = await count(database)
    done = during.since(before)
    print(f"{calls} calls, {turns} turns each, in {took:.1f} s: {done.inserted / took:.0f} rows inserted a second")
    print(f"{done.commits / took:.1f} transactions a second, a few of them this command's own")
    print(done.per(calls * turns, "turn"))
    for record in records:
        record.append(j.CallClosed(turns * 6000 + 5000, "caller"))
        await record.close()
    await keeper.caught_up()
    print((await count(database)).since(during).per(calls, "end of a call"))
    await keeper.close(within_s=0)
    await store.close()


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=100)
    options.add_argument("--turns", type=int, default=20)
    options.add_argument("--every", type=float, default=0.6, help="seconds from turn to turn of a call")
    given = options.parse_args()
    server = await asyncio.to_thread(start_postgres)
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = PostgresPlace(Path(folder) / "calls", server)
            await measure(place, given.calls, given.turns, given.every)
            await place.close()
    finally:
        await asyncio.to_thread(server.close)


if __name__ == "__main__":
    asyncio.run(main())
