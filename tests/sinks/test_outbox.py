"""The outbox: what waits there outlives everything but a wish to forget it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.sinks import outbox as module
from bridge.sinks.outbox import FOLDER, Outbox, forget_waiting


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    box = Outbox(tmp_path, ["one", "two"])
    assert await box.open() == {}
    yield box
    await box.close()


def put(outbox: Outbox, call: str, *numbers: int, last: bool = False, body: bytes = b"{}") -> None:
    for number in numbers:
        outbox.put(call, f"{call}-{number}", body, number + 1, last=last)


async def ids(outbox: Outbox, sink: str = "one", but: tuple[str, ...] = ()) -> list[str]:
    return [waiting.id for waiting in await outbox.waiting(sink, 1000, but)]


async def test_what_is_handed_over_waits_for_every_sink_in_order(outbox: Outbox) -> None:
    put(outbox, "c1", 0, 1)
    put(outbox, "c2", 0)
    put(outbox, "c1", 5)
    await asyncio.wait_for(outbox.news("two").wait(), 5)
    assert await ids(outbox) == await ids(outbox, "two") == ["c1-0", "c1-1", "c2-0", "c1-5"]
    assert await ids(outbox, but=("c1",)) == ["c2-0"]
    assert outbox.backlog == {"one": 4, "two": 4}
    await outbox.done("one", [waiting.number for waiting in await outbox.waiting("one", 3)])
    assert await ids(outbox) == ["c1-5"]
    assert len(await ids(outbox, "two")) == 4


async def test_another_process_goes_on_where_one_has_stopped(outbox: Outbox, tmp_path: Path) -> None:
    put(outbox, "c1", 0, 1)
    put(outbox, "c2", 0)
    put(outbox, "c2", 1, last=True)
    await outbox.close()
    again = Outbox(tmp_path, ["one"])
    assert await again.open() == {"c1": 2}
    assert again.backlog == {"one": 4, "two": 4}
    assert await ids(again) == ["c1-0", "c1-1", "c2-0", "c2-1"]
    await again.close()


async def test_a_call_can_be_forgotten_without_a_trace(outbox: Outbox, tmp_path: Path) -> None:
    put(outbox, "c1", 0, body=b'"a secret of somebody"')
    put(outbox, "c2", 0)
    assert await ids(outbox) == ["c1-0", "c2-0"]
    assert await asyncio.to_thread(forget_waiting, tmp_path, {"c1", "c3"}) == 2
    assert await ids(outbox) == ["c2-0"]
    assert outbox.backlog["one"] == 1
    left = b"".join(path.read_bytes() for path in (tmp_path / FOLDER).iterdir())
    assert b"secret" not in left


async def test_what_others_have_forgotten_takes_no_room(tmp_path: Path) -> None:
    box = Outbox(tmp_path, ["one"], most_bytes=1000)
    await box.open()
    for call in ("c1", "c2", "c3"):
        put(box, call, 0, body=b"x" * 800)
        assert await ids(box) == [f"{call}-0"]
        await asyncio.to_thread(forget_waiting, tmp_path, {call})
    put(box, "c4", 0, 1, body=b"x" * 100)
    assert await ids(box) == ["c4-0", "c4-1"]
    assert box.dropped == 0
    await box.close()


async def test_where_there_is_no_outbox_there_is_nothing_to_forget(tmp_path: Path) -> None:
    assert await asyncio.to_thread(forget_waiting, tmp_path, {"c1"}) == 0
    assert [*tmp_path.iterdir()] == []


async def test_a_full_outbox_drops_the_oldest_and_says_so_once(tmp_path: Path) -> None:
    box = Outbox(tmp_path, ["one"], most_bytes=1000)
    await box.open()
    for number in range(30):
        put(box, "c1", number, body=b"x" * 100)
        await ids(box)
    left = await ids(box)
    assert left == [f"c1-{number}" for number in range(30 - len(left), 30)]
    assert 8 <= len(left) <= 10
    assert box.dropped == 30 - len(left)
    assert box.backlog["one"] == len(left)
    await box.close()


async def test_what_is_too_old_is_given_up(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    put(outbox, "c1", 0)
    await ids(outbox)
    monkeypatch.setattr(module, "MAX_AGE_S", -1)
    await outbox.sweep()
    assert await ids(outbox) == []
    assert outbox.dropped == 2


async def test_a_file_that_is_broken_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "outbox.db").write_bytes(b"no database at all" * 1000)
    box = Outbox(tmp_path, ["one"])
    assert await box.open() == {}
    put(box, "c1", 0)
    assert await ids(box) == ["c1-0"]
    assert len([*(tmp_path / FOLDER).glob("*.broken")]) == 1
    await box.close()


async def test_where_nothing_can_be_written_calls_go_on(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file where the folder belongs")
    box = Outbox(tmp_path, ["one"])
    assert await box.open() == {}
    put(box, "c1", 0)
    assert await ids(box) == []
    assert box.dropped == 1
    await box.close()


async def test_another_that_holds_the_file_is_waited_for(outbox: Outbox, tmp_path: Path) -> None:
    other = await asyncio.to_thread(sqlite3.connect, tmp_path / FOLDER / "outbox.db", check_same_thread=False)
    await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
    put(outbox, "c1", 0)
    await asyncio.sleep(0.2)
    await asyncio.to_thread(other.rollback)
    assert await ids(outbox) == ["c1-0"]
    await asyncio.to_thread(other.close)


async def test_nobody_else_can_read_it(outbox: Outbox, tmp_path: Path) -> None:
    assert (tmp_path / FOLDER).stat().st_mode & 0o077 == 0


_WRITER = """
import asyncio, sys
from pathlib import Path
from bridge.sinks.outbox import Outbox

async def main():
    box = Outbox(Path(sys.argv[1]), ["one"])
    await box.open()
    for number in range(1_000_000):
        box.put("c1", f"c1-{number}", b"{}" * 50, number + 1, last=False)
        if number % 20 == 19:
            await asyncio.sleep(0.001)
            if number == 199:
                await box.waiting("one", 1)
                print("going", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.11])
async def test_the_death_of_the_process_leaves_no_gap(tmp_path: Path, after_s: float) -> None:
    def write_and_die() -> None:
        command = [sys.executable, "-c", _WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(after_s)
            os.kill(process.pid, signal.SIGKILL)

    await asyncio.to_thread(write_and_die)
    box = Outbox(tmp_path, ["one"])
    left = await box.open()
    found = [waiting.id for waiting in await box.waiting("one", 1_000_000)]
    assert len(found) >= 199
    assert found == [f"c1-{number}" for number in range(len(found))]
    assert left == {"c1": len(found)}
    await box.close()
