"""How long reading takes: `python -m tests.store.sql.measure [--calls 10000] [--turns 10] [--rounds 200]`.

Fills an empty SQLite and an empty PostgreSQL with calls and turns of a made-up language whose words are as often as
those of a real one, with some Chinese among them, and prints the least, the median and the 99th percentile of each
question in milliseconds, from asking to having the rows. It is no test: the figures depend on the machine and on
who else uses it; the least one does so least.
"""

# ruff: noqa: T201 - it is a command of its own

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from bridge.store.sql import schema
from bridge.store.sql.calls import CallFilter, Calls
from bridge.store.sql.database import Database
from tests.postgres import start_postgres
from tests.store.sql.kept import NOON, call, turn

ENDS = ("n", "t", "ra", "li", "sso", "mek", "dun", "vi", "ko", "pel")
WORDS = [f"{first}{middle}{end}" for end in ENDS for middle in ("a", "ei", "o", "u") for first in "bdfgklmnprst"]
WEIGHTS = [1 / (rank + 2) for rank in range(len(WORDS))]
CHINESE = ["您好请问", "今天", "营业到几点", "我想预订", "一张桌子", "谢谢再见"]
COMMON, MIDDLE, RARE = WORDS[0], WORDS[40], WORDS[-1]


def made_up(calls: int, turns: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    chance = random.Random(1)
    rows, said = [], []
    for index in range(calls):
        number = f"+1555{chance.randrange(3000):07}"
        cut = int(chance.random() < 0.2)
        rows.append(call(f"{index:012x}", index, caller=number, interruptions=cut, turns=turns))
        for seq in range(1, turns + 1):
            length = chance.randint(3, 25)
            spoken = "".join(chance.choices(CHINESE, k=3)) if index % 50 == 0 else ""
            spoken = spoken or " ".join(chance.choices(WORDS, WEIGHTS, k=length))
            said.append(turn(f"{index:012x}", seq, spoken, ("caller", "agent")[seq % 2]))
    return rows, said


async def fill(database: Database, calls: int, turns: int) -> float:
    rows, said = made_up(calls, turns)
    began = time.perf_counter()
    async with database.writing() as connection:
        for first in range(0, len(rows), 1000):
            await connection.execute(insert(schema.calls), rows[first : first + 1000])
        for first in range(0, len(said), 1000):
            await connection.execute(insert(schema.turns), said[first : first + 1000])
    taken = time.perf_counter() - began
    if database.dialect == "postgresql":
        async with database.writing() as connection:
            await connection.execute(text("ANALYZE"))
    return taken


async def questions(calls: Calls, number: int) -> dict[str, Callable[[], Awaitable[Any]]]:
    cursor = None
    for _ in range(number // 2 // 500):
        cursor = (await calls.page(None, cursor, 500)).next
    middle = NOON + number // 2 * 60_000
    return {
        "list: newest 50": calls.page,
        "list: 50 from the middle on": lambda: calls.page(None, cursor),
        "list: 50 of a number": lambda: calls.page(CallFilter(number="+15550000042")),
        "list: part of a number, which is rare": lambda: calls.page(CallFilter(number="0000042")),
        "list: 50 interrupted of a month": lambda: calls.page(CallFilter(interrupted=True, until_ms=middle)),
        "list: none like that": lambda: calls.page(CallFilter(agent_kind="flow")),
        "one call": lambda: calls.get(f"{number // 3:012x}"),
        "search: a common word": lambda: calls.search(COMMON),
        "search: a seldom word": lambda: calls.search(RARE),
        "search: two words": lambda: calls.search(f"{MIDDLE} {RARE}"),
        "search: a phrase": lambda: calls.search(f'"{COMMON} {MIDDLE}"'),
        "search: a beginning": lambda: calls.search(f"{MIDDLE[:2]}*"),
        "search: common, but not another": lambda: calls.search(f"{COMMON} -{WORDS[1]} OR {RARE}"),
        "search: Chinese": lambda: calls.search("预订"),
        "search: common, of a number": lambda: calls.search(COMMON, CallFilter(number="+15550000042")),
        "search: common, in old calls": lambda: calls.search(COMMON, CallFilter(until_ms=NOON + 600_000)),
        "search: common, nobody like that": lambda: calls.search(COMMON, CallFilter(agent_kind="flow")),
        "search: a word that is nowhere": lambda: calls.search("nowhere"),
    }


async def measure(
    database: Database, folder: Path, given: argparse.Namespace
) -> dict[str, tuple[float, float, float]]:
    await database.open()
    taken = await fill(database, given.calls, given.turns)
    print(f"{database.dialect}: {given.calls * given.turns} turns put in within {taken:.1f} s", flush=True)
    figures = {}
    for name, ask in (await questions(Calls(database, folder), given.calls)).items():
        await ask()
        times = []
        for _ in range(given.rounds):
            began = time.perf_counter()
            await ask()
            times.append((time.perf_counter() - began) * 1000)
        figures[name] = (min(times), statistics.median(times), statistics.quantiles(times, n=100)[98])
    await database.close()
    return figures


async def main(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = [await measure(Database("", Path(folder)), Path(folder), given)]
        server = await asyncio.to_thread(start_postgres)
        try:
            url = await asyncio.to_thread(server.new_database)
            found.append(await measure(Database(url, Path(folder)), Path(folder), given))
        finally:
            await asyncio.to_thread(server.close)
    print(f"{'least, median and p99, ms':40} {'SQLite':>24} {'PostgreSQL':>24}")
    for name in found[0]:
        print(f"{name:40} " + " ".join("".join(f"{figure:8.1f}" for figure in one[name]) for one in found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option, default in (("calls", 10_000), ("turns", 10), ("rounds", 200)):
        parser.add_argument(f"--{option}", type=int, default=default)
    asyncio.run(main(parser.parse_args()))
