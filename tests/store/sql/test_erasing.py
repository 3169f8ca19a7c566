"""Erasing calls: all of it goes, nothing else does, and it never comes back, whatever comes in between."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from structlog.testing import capture_logs

from bridge.agents.webhook.spool import EndedSpool, forget_calls
from bridge.conversation import journal as j
from bridge.errors import BridgeError, StoreError
from bridge.store.files import FileStore
from bridge.store.sql import folders, schema
from bridge.store.sql.audit import Audit
from bridge.store.sql.database import Database
from bridge.store.sql.erasing import Elsewhere, Eraser, number_forms
from bridge.store.sql.keeper import Keeper
from bridge.store.sql.retention import Retention
from bridge.store.writer import DiskThread
from tests.store.samples import ENTRIES, HEADER
from tests.store.sql.place import Place
from tests.waiting import until

WORD = "kumquatmarmalade"
DAY = 24 * 3600


class House:
    """A folder of calls with its database, and what erases."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.database = Database(url, folder)
        self.live: set[str] = set()
        self.audit = Audit(self.database, folder)

    def eraser(self, *elsewhere: Elsewhere) -> Eraser:
        return Eraser(self.database, self.folder, self.live.__contains__, audit=self.audit, elsewhere=elsewhere)

    async def call(self, number: int, **header: Any) -> Path:
        """Keep a call as a bridge does, and put it in."""
        disk = DiskThread()
        store = FileStore(self.folder, disk=disk)
        mine = replace(HEADER, id=f"call{number}", sid=f"CA{number:032}", **header)
        record = store.open(mine)
        for entry in [*ENTRIES[:-1], j.CallerSpoke(9, f"{WORD} {number}", 16_500, 16_900), ENTRIES[-1]]:
            record.append(entry)
        record.caller_audio(0, b"\x55" * 16_000)
        files = await record.close()
        await disk.close()
        await self.catch_up()
        return files.folder

    async def catch_up(self) -> None:
        await Keeper(self.database, self.folder).catch_up()

    async def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        async with self.database.reading() as connection:
            tables = ("calls", "turns", "actions", "legs", "notes", "transcriptions", "audit", "tombstones")
            return {
                table: (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
                for table in tables
            }

    async def audited(self) -> list[tuple[str, str, str, str]]:
        async with self.database.reading() as connection:
            found = await connection.execute(select(schema.audit).order_by(schema.audit.c.id))
            return [(row.who, row.what, row.call_id, row.detail) for row in found]

    async def calls(self) -> list[str]:
        async with self.database.reading() as connection:
            return list((await connection.execute(select(schema.calls.c.id).order_by(schema.calls.c.id))).scalars())


@asynccontextmanager
async def opened(folder: Path, url: str = "") -> AsyncIterator[House]:
    house = House(folder, url)
    await house.database.open()
    try:
        yield house
    finally:
        await house.database.close()


@pytest.fixture
async def house(place: Place) -> AsyncIterator[House]:
    async with opened(place.folder, place.url) as made:
        yield made


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_everything_of_a_call_goes_and_nothing_of_another(house: House) -> None:
    gone, stays = await house.call(1), await house.call(2)
    before = await house.rows()
    undelivered = house.folder.parent / "undelivered"
    for number in (1, 2):
        await asyncio.to_thread(keep_end, undelivered, f"call{number}")
    async with house.database.writing() as connection:
        row = {"call_id": "call1", "side": "caller", "model": "m", "made_at": 1, "text": WORD}
        await connection.execute(insert(schema.transcriptions), {**row, "words": [], "differences": []})

    erased = await house.eraser(lambda calls: forget_calls(undelivered, calls)).erase("call1", who="ann")

    assert (erased.calls, erased.live, erased.left, erased.elsewhere) == (("call1",), (), (), 1)
    assert erased.files >= 5
    assert not gone.exists()
    assert stays.exists()
    after = await house.rows()
    assert {name: 2 * count for name, count in after.items() if name not in {"audit", "tombstones"}} == {
        **{name: count for name, count in before.items() if name not in {"audit", "tombstones"}},
    }
    assert await house.audited() == [("ann", "call_erased", "call1", "")]
    waiting = await asyncio.to_thread(contents, undelivered)
    assert b"call2" in waiting
    assert b"call1" not in waiting
    if house.database.dialect == "sqlite":
        everything = await asyncio.to_thread(contents, house.folder)
        assert f"{WORD} 2".encode() in everything
        assert f"{WORD} 1".encode() not in everything


def keep_end(folder: Path, call: str) -> None:
    body = json.dumps({"call": call}).encode()
    EndedSpool(folder, "http://a").keep(f"msg_{call}", call, body, now=time.time(), due=time.time())


async def test_by_the_carriers_id_too(house: House) -> None:
    await house.call(1)
    assert (await house.eraser().erase(f"CA{1:032}")).calls == ("call1",)
    with pytest.raises(BridgeError, match="nothing is kept") as told:
        await house.eraser().erase("call1")
    assert told.value.code == "call_unknown"


async def test_a_journal_that_is_left_over_brings_nothing_back(house: House) -> None:
    folder = await house.call(1)
    copy = await asyncio.to_thread((folder / "journal.jsonl").read_bytes)
    await house.eraser().erase("call1")

    def put_back() -> None:
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_bytes(copy)

    await asyncio.to_thread(put_back)
    with capture_logs() as logs:
        await house.catch_up()
    assert await house.calls() == []
    assert [line["event"] for line in logs] == ["journal_of_an_erased_call"]


async def test_a_live_call_is_refused_and_one_that_may_be_live_elsewhere(house: House) -> None:
    folder = await house.call(1)
    house.live = {f"CA{1:032}"}
    with pytest.raises(BridgeError, match="call1 goes on") as told:
        await house.eraser().erase("call1")
    assert told.value.code == "call_live"
    house.live = set()
    timeline = folder / "timeline.svg"
    await asyncio.to_thread(timeline.unlink)
    with pytest.raises(BridgeError, match="call1 goes on"):
        await house.eraser().erase("call1")
    old = time.time() - 100

    def quiet() -> None:
        for path in folder.iterdir():
            os.utime(path, (old, old))

    await asyncio.to_thread(quiet)
    assert (await house.eraser().erase("call1")).calls == ("call1",)


class Died(Exception):  # noqa: N818  It is no error of ours.
    """As if the process were killed."""


@pytest.mark.parametrize("at", ["rows", "folder", "elsewhere", "buried"])
async def test_what_is_broken_off_is_completed(house: House, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    folder = await house.call(1)
    removed: list[frozenset[str]] = []

    def elsewhere(calls: frozenset[str]) -> int:
        if at == "elsewhere" and not removed:
            removed.append(frozenset())
            raise Died
        removed.append(calls)
        return 0

    def die(*_: Any) -> Any:
        raise Died

    from bridge.store.sql import removing

    with monkeypatch.context() as patched:
        if at == "rows":
            patched.setattr(removing, "note", die)
        if at == "folder":
            patched.setattr(folders, "remove", die)
        if at == "buried":
            patched.setattr(removing, "buried", die)
        with pytest.raises(Died):
            await house.eraser(elsewhere).erase("call1")
    if at == "rows":  # Then nothing has happened.
        assert await house.calls() == ["call1"]
        assert await asyncio.to_thread(folder.exists)
        return
    await house.catch_up()
    assert await house.calls() == []
    assert await house.eraser(elsewhere).finish() == 1
    assert removed[-1] == {"call1", f"CA{1:032}"}
    assert not await asyncio.to_thread(folder.exists)
    assert await house.eraser(elsewhere).finish() == 0
    assert (await house.audited())[0][1:3] == ("call_erased", "call1")


async def test_a_folder_that_cannot_be_removed_is_tried_again(house: House) -> None:
    await house.call(1)
    fails = [True]

    def elsewhere(_: frozenset[str]) -> int:
        if fails[0]:
            raise OSError("no")
        return 0

    with capture_logs() as logs:
        erased = await house.eraser(elsewhere).erase("call1")
    assert erased.left == ("call1",)
    assert "call_not_erased_whole" in [line["event"] for line in logs]
    fails[0] = False
    assert await house.eraser(elsewhere).finish() == 1
    assert (await house.rows())["tombstones"] == 1


async def test_a_number_goes_with_all_its_calls(house: House) -> None:
    other = {"caller": "+15550100077", "called": "+15550100088"}
    await house.call(1, **other)
    await house.call(2)
    await house.call(3, caller="+15550100077", called="+15550100099")
    await house.call(4, caller="+15550100066", called="+15550100055", other="sip:desk@example.com")
    house.live = {"call3"}
    erased = await house.eraser().erase_number("+1 (555) 010-0077", who="ann")
    assert (erased.calls, erased.live) == (("call1",), ("call3",))
    assert await house.audited() == [("ann", "call_erased", "call1", "number +1 …77")]
    assert (await house.eraser().erase_number("sip:desk@example.com")).calls == ("call4",)
    # The samples' journals tell of a transfer to this number.
    assert (await house.eraser().erase_number("15550100009")).calls == ("call2",)
    with pytest.raises(BridgeError, match="is no number"):
        await house.eraser().erase_number("% OR 1=1")


def test_numbers_in_their_forms() -> None:
    assert number_forms("+1 555-0100") == {"+15550100", "15550100", "+1 555-0100"}
    assert number_forms("sip:a@b.c") == number_forms("a@b.c") == {"a@b.c", "sip:a@b.c"}
    assert not number_forms("")
    assert not number_forms("no")


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "/etc", "..", "", "a", "2026-03-01/../..", "2026-03-01/x/y", "./..", "2026-03-01\\x/y",
        "2026-03-01/\0",
    ],
)  # fmt: skip
def test_no_path_leads_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "calls").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(BridgeError) as told:
        folders.remove(tmp_path / "calls", name, "call1")
    assert told.value.code == "erase_refused"
    assert outside.exists()


@pytest.mark.parametrize("which", ["day", "call"])
async def test_no_link_leads_out(house: House, which: str, tmp_path: Path) -> None:
    folder = await house.call(1)
    outside = tmp_path / "outside"

    def link() -> None:
        place = folder.parent if which == "day" else folder
        place.rename(outside)
        place.symlink_to(outside)

    await asyncio.to_thread(link)
    with pytest.raises(BridgeError, match="symbolic link"):
        await house.eraser().erase("call1")
    assert await house.calls() == ["call1"]
    assert await asyncio.to_thread(lambda: any(outside.rglob("journal.jsonl")))


async def test_a_link_within_a_folder_goes_and_what_it_names_stays(house: House, tmp_path: Path) -> None:
    folder = await house.call(1)
    outside = tmp_path / "outside.txt"

    def link() -> None:
        outside.write_text("mine")
        (folder / "link").symlink_to(outside)

    await asyncio.to_thread(link)
    await house.eraser().erase("call1")
    assert await asyncio.to_thread(outside.read_text) == "mine"


async def test_the_folder_of_another_call_stays(house: House) -> None:
    await house.call(1)
    folder = await house.call(2)
    async with house.database.writing() as connection:
        name = folder.relative_to(house.folder).as_posix()
        await connection.execute(text("UPDATE calls SET folder = :name WHERE id = 'call1'"), {"name": name})
    with pytest.raises(BridgeError, match="of another call"):
        await house.eraser().erase("call1")
    assert await asyncio.to_thread(folder.exists)


async def test_without_the_database_nothing_is_erased(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls") as house:
        folder = await house.call(1)
        await house.database.close()
        with pytest.raises(StoreError):
            await house.eraser().erase("call1")
        assert await asyncio.to_thread(folder.exists)


# --- retention ---------------------------------------------------------------------------------------------


def started(days_ago: float, now: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now - days_ago * DAY, UTC).isoformat()


def retention(house: House, clock: Callable[[], float], days: int | None = 30, steady: Any = None) -> Retention:
    return Retention(
        *(house.database, house.eraser(), house.audit, house.folder, days),
        clock=clock,
        steady=steady or (lambda: 0.0),
    )


async def test_a_database_that_lacks_a_table_does_not_end_the_sweeping(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.sql.retention._EVERY_S", 0.05)
    now = time.time()
    await house.call(1, started_at=started(31, now))
    async with house.database.writing() as connection:
        await connection.execute(text("ALTER TABLE calls RENAME TO elsewhere"))
    sweeps = retention(house, lambda: now)
    with capture_logs() as logs:
        sweeps.start()
        await until(lambda: "retention_failed" in [line["event"] for line in logs])
        async with house.database.writing() as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO calls"))
        await until(lambda: "retention_swept" in [line["event"] for line in logs])
    await sweeps.close()


async def test_calls_go_when_they_are_old_enough_and_each_is_audited(house: House) -> None:
    now = time.time()
    for number, days in enumerate((31, 30.1, 29.9, 1)):
        await house.call(number, started_at=started(days, now))
    assert await retention(house, lambda: now).sweep() == 2
    assert await house.calls() == ["call2", "call3"]
    assert [line[:3] for line in await house.audited()] == [
        ("retention", "call_erased", "call0"),
        ("retention", "call_erased", "call1"),
    ]
    assert await retention(house, lambda: now, None).sweep() == 0


async def test_more_than_a_batch_goes_in_one_sweep(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls") as house:
        now = time.time()
        rows = [
            {**row_of(f"old{number}"), "folder": f"2020-01-01/x-old{number}", "started_at": number}
            for number in range(120)
        ]
        async with house.database.writing() as connection:
            await connection.execute(insert(schema.calls), rows)
        assert await retention(house, lambda: now).sweep() == 120
        assert await house.calls() == []


def row_of(name: str) -> dict[str, Any]:
    row = {"id": name, "sid": f"CA{name}", "direction": "inbound", "caller": "+1", "called": "+2"}
    return {**row, "agent_kind": "echo", "ended": "caller"}


async def test_a_clock_that_is_wrong_erases_nothing_in_haste(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls") as house:
        now = [time.time()]
        steady = [0.0]
        await house.call(1, started_at=started(1, now[0]))
        sweeps = retention(house, lambda: now[0], 30, lambda: steady[0])
        assert await sweeps.sweep() == 0
        now[0] -= 400 * DAY  # back
        assert await sweeps.sweep() == 0
        now[0] += 800 * DAY  # far ahead, and an hour later still there
        with capture_logs() as logs:
            assert await sweeps.sweep() == 0
        assert [line["event"] for line in logs] == ["clock_leapt"]
        now[0] += 3600
        steady[0] += 3600
        assert await sweeps.sweep() == 1


async def test_a_folder_that_was_never_understood_goes_by_its_day(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls") as house:
        now = time.time()

        def leave() -> Path:
            folder = house.folder / "2020-01-01" / "101010-torn"
            folder.mkdir(parents=True)
            (folder / "journal.jsonl").write_bytes(b'{"version":1,"hea')
            os.utime(folder / "journal.jsonl", (now - DAY, now - DAY))
            return folder

        folder = await asyncio.to_thread(leave)
        await house.catch_up()
        assert await retention(house, lambda: now).sweep() == 1
        assert not await asyncio.to_thread(folder.exists)


async def test_it_runs_by_itself_and_waits_for_the_database(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls") as house:
        await house.call(1, started_at=started(40, time.time()))
        sweeps = retention(house, time.time)
        sweeps.start()
        async with asyncio.timeout(10):
            while await house.calls():  # noqa: ASYNC110  Nobody is told when it is there.
                await asyncio.sleep(0.02)
        await sweeps.close()


# --- the audit ---------------------------------------------------------------------------------------------


async def test_a_line_is_there_when_it_is_written(house: House) -> None:
    await house.audit.write("ann", "recording_read", "call1", "bytes 0-99")
    assert await house.audited() == [("ann", "recording_read", "call1", "bytes 0-99")]


def away(folder: Path) -> Database:
    """A database that cannot be reached."""
    (folder / "in the way").write_text("")
    return Database(f"sqlite:///{folder}/in the way/calls.db", folder)


async def test_lines_wait_in_a_file_while_the_database_is_away_and_go_in_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "calls") as house:
        waits = Audit(await asyncio.to_thread(away, tmp_path), house.folder)
        for number in range(3):
            await waits.write("ann", "recording_read", f"call{number}")
        waiting = house.folder / "audit.jsonl"

        def spoil() -> int:
            with waiting.open("ab") as file:
                file.write(b'{"at":1,"who')  # the disk was full just then
            return waiting.stat().st_mode & 0o777

        assert await asyncio.to_thread(spoil) == 0o600
        await waits.write("bob", "listened", "call9")
        content = await asyncio.to_thread(waiting.read_bytes)
        with capture_logs() as logs:
            assert await house.audit.take_in() == 4
        assert "audit_line_torn" in [line["event"] for line in logs]
        assert not await asyncio.to_thread(waiting.exists)
        # As if it had died before the file was removed.
        await asyncio.to_thread(waiting.write_bytes, content)
        await house.audit.take_in()
        assert [line[0] for line in await house.audited()] == ["ann", "ann", "ann", "bob"]
        assert await house.audit.take_in() == 0


async def test_a_line_that_comes_while_others_go_in_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "calls") as house:
        command = Audit(await asyncio.to_thread(away, tmp_path), house.folder)
        await command.write("ann", "recording_read", "call1")
        puts = house.audit._put

        async def put(lines: list[dict[str, Any]]) -> None:
            monkeypatch.undo()
            await puts(lines)
            await command.write("bob", "recording_read", "call2")

        monkeypatch.setattr(house.audit, "_put", put)
        await house.audit.take_in()
        assert [line[0] for line in await house.audited()] == ["ann", "bob"]


async def test_what_cannot_be_audited_is_refused(tmp_path: Path) -> None:
    nowhere = Audit(await asyncio.to_thread(away, tmp_path), tmp_path / "not there")
    with pytest.raises(BridgeError, match="cannot be kept who has done it") as told:
        await nowhere.write("ann", "recording_read", "call1")
    assert told.value.code == "audit_not_written"


def test_ends_that_wait_are_forgotten_also_while_others_take_them(tmp_path: Path) -> None:
    """Whoever takes an event renames its file at that moment."""
    spool = EndedSpool(tmp_path, "http://a")
    for number in range(30):
        spool.keep(f"msg_{number}", f"call{number % 3}", b"{}", now=1, due=1)
    stop = threading.Event()

    def take() -> None:
        while not stop.is_set():
            spool.take(time.time() + 10_000)

    taker = threading.Thread(target=take)
    taker.start()
    while forget_calls(tmp_path, {"call1"}):
        pass
    stop.set()
    taker.join()
    assert forget_calls(tmp_path, {"call1"}) == 0
    assert len(list(tmp_path.rglob("*.json"))) == 20


async def test_it_is_read_with_what_waits_the_last_first(house: House) -> None:
    await house.audit.write("ann", "recording_read", "call1", "0-99")
    waits = Audit(await asyncio.to_thread(away, house.folder), house.folder)
    await waits.write("bob", "listened", "call2")
    lines = await house.audit.read(10)
    assert [(line["who"], line["what"]) for line in lines] == [("bob", "listened"), ("ann", "recording_read")]
    assert [line["call_id"] for line in await house.audit.read(10, who="ann", what=None)] == ["call1"]
    assert await house.audit.read(10, since_ms=lines[0]["at"] + 60_000) == []
    assert len(await house.audit.read(1)) == 1
