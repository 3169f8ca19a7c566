"""The process dies at any moment: what the journals hold goes in at the restart, once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from pathlib import Path

import pytest

from bridge.store.files import read_journal
from tests.bridge_process import ROOT
from tests.postgres import PostgresServer
from tests.store.sql.killed_calls import kill_often
from tests.store.sql.place import Place

DYING = """
import asyncio, itertools, sys
from pathlib import Path
from bridge.conversation import journal as j
from bridge.store.files import FileStore
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from tests.store.sql.place import header_of

async def main(url, folder, first):
    keeper = Keeper(Database(url, folder), folder)
    keeper.start()
    await keeper.caught_up()
    store = FileStore(folder, on_growth=keeper.grew)
    records = [store.open(header_of(first + number)) for number in range(3)]
    print("ready", flush=True)
    for number in itertools.count():
        for record in records:
            record.append(j.CallerSpoke(number, f"turn {number} of {first}", number, number))
            record.append(j.KeyPressed(number, "1"))
        await asyncio.sleep(0.002)

asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
"""


async def die(place: Place, after_s: float, first: int) -> None:
    """Let a process keep three calls and follow them for so long, and kill it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DYING, place.url, str(place.folder), str(first)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ},
    )
    assert process.stdout is not None
    try:
        while (line := await process.stdout.readline()) != b"ready\n":
            assert line, "it ended before it was ready"  # else a line of its log: three begin at once, and wait
        await asyncio.sleep(after_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_one_that_follows_calls_is_killed(place: Place) -> None:
    chance = random.Random(place.url.startswith("postgres"))
    await asyncio.gather(*(die(place, chance.uniform(0, 0.8), 10 * number) for number in range(3)))
    before = len(await place.rows("turns"))
    await place.catch_up()

    rows = await place.rows("turns", "call_id, seq")
    calls = {row["id"]: row for row in await place.rows("calls", "id")}
    journals = [read for read in place.folder.glob("*/*/journal.jsonl") if read.stat().st_size]
    assert len(calls) == len(journals)
    for journal in journals:
        header, entries = await asyncio.to_thread(read_journal, journal)
        mine = [(row["seq"], row["text"]) for row in rows if row["call_id"] == header.id]
        spoken = [(seq, entry) for seq, entry in enumerate(entries, 1) if type(entry).__name__ == "CallerSpoke"]
        assert mine == [(seq, entry.transcript) for seq, entry in spoken]  # type: ignore[union-attr]
        assert calls[header.id]["entries"] == len(entries)
        assert calls[header.id]["turns"] == len(mine)
    assert 0 < before <= len(rows)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_bridge_is_killed_in_mid_call(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = ""
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
    folder = tmp_path / "calls"
    folder.mkdir()
    world = await kill_often(folder, url, [random.Random(kind).uniform(0.3, 1.2)])

    assert len(world.agent.asked) > 3
