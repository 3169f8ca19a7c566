from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import text
from structlog.testing import capture_logs

from bridge.conversation import journal as j
from bridge.store.files import FileStore
from bridge.store.journal_file import entry_line, header_line
from bridge.store.sql.keeper import Keeper
from bridge.store.writer import DiskThread
from tests.store.samples import ENTRIES, HEADER, TROUBLED
from tests.store.sql.place import TABLES, Journal, Place, header_of
from tests.waiting import until


async def seqs(place: Place, call_id: str = HEADER.id) -> list[int]:
    """The numbers of all entries that are in, whatever rows they made. A transfer is both an action and a leg."""
    found = [
        row["seq"]
        for table in ("turns", "actions", "notes")
        for row in await place.rows(table)
        if row["call_id"] == call_id
    ]
    return sorted(found)


class TestFollowing:
    async def test_a_call_goes_in_while_it_goes_on(self, place: Place) -> None:
        keeper = place.keeper()
        store = FileStore(place.folder, record_audio=False, disk=DiskThread(), on_growth=keeper.grew)
        record = store.open(HEADER)
        for number, entry in enumerate(ENTRIES, 1):
            record.append(entry)
            if number % 7 == 0:
                await record.settled()
                await keeper.caught_up(HEADER.id)
                assert await seqs(place) == [*range(1, number + 1)]
        files = await record.close()
        await keeper.caught_up()

        call = await place.call()
        assert call["folder"] == files.folder.relative_to(place.folder).as_posix()
        assert (call["entries"], call["journal_bytes"]) == (len(ENTRIES), files.journal.stat().st_size)
        assert (call["duration_ms"], call["ended"]) == (17_000, "caller")
        assert (call["turns"], call["interruptions"], call["wasted"], call["problems"]) == (8, 1, 1, 1)
        assert (call["sid"], call["caller"], call["called"]) == (HEADER.sid, HEADER.caller, HEADER.called)
        assert (keeper.entries, keeper.waiting, keeper.lag_s) == (len(ENTRIES), 0, 0.0)
        legs = [
            (leg["kind"], leg["started_ms"], leg["ended_ms"], leg["status"]) for leg in await place.rows("legs")
        ]
        assert legs == [
            ("stream", 0, 13_000, "broken"),
            ("transfer", 11_980, 11_980, "busy"),
            ("stream", 15_000, 17_000, ""),
        ]
        await store.close()

    async def test_texts_are_what_the_journal_has(self, place: Place) -> None:
        said = [
            " Grüße, 你好 👋🏽 ",
            "\ttab\nline\r\n",
            "'; DROP TABLE turns; --",
            "a\0b",
            "ﷺ" * 500,
            "\x7f\x1b[31m",
        ]
        journal = Journal(place.folder)
        journal.append(*(j.CallerSpoke(number, text, 0, 1) for number, text in enumerate(said)))
        journal.append(j.NoteTaken(1, {"nul\0": "a\0b", "deep": [{"x": "\0"}], "big": 2**70, "half": 0.5}))
        await place.catch_up()

        assert [row["text"] for row in await place.rows("turns")] == [text.replace("\0", "␀") for text in said]
        database = await place.opened()
        from bridge.store.sql.schema import notes

        async with database.reading() as connection:
            (note,) = (await connection.execute(notes.select())).all()
        assert note.data == {"nul␀": "a␀b", "deep": [{"x": "␀"}], "big": 2**70, "half": 0.5}

    async def test_half_a_surrogate_pair_goes_in_as_the_journal_has_it(self, place: Place) -> None:
        journal = Journal(place.folder)
        journal.append(j.CallerSpoke(1, "ab\ud800cd", 0, 1))
        await place.catch_up()
        assert [row["text"] for row in await place.rows("turns")] == ["ab?cd"]

    async def test_being_told_a_hundred_times_puts_it_in_once(self, place: Place) -> None:
        keeper = place.keeper()
        journal = Journal(place.folder)
        for entry in ENTRIES:
            journal.append(entry)
            for _ in range(10):
                keeper.grew(journal.folder, HEADER.id)
            await asyncio.sleep(0.005)
        await keeper.caught_up()
        keeper.grew(journal.folder, HEADER.id)
        await keeper.caught_up()

        assert await seqs(place) == [*range(1, len(ENTRIES) + 1)]

    async def test_two_that_follow_the_same_folders_put_each_entry_in_once(self, place: Place) -> None:
        keepers = [place.keeper() for _ in range(3)]
        journals = [Journal(place.folder, header_of(number)) for number in range(4)]
        for entry in ENTRIES:
            for journal in journals:
                journal.append(entry)
                for keeper in keepers:
                    keeper.grew(journal.folder, journal.header.id)
            await asyncio.sleep(random.Random(1).random() / 50)
        for keeper in keepers:
            await keeper.caught_up()

        for journal in journals:
            assert await seqs(place, journal.header.id) == [*range(1, len(ENTRIES) + 1)]
        assert sum(keeper.entries for keeper in keepers) == 4 * len(ENTRIES)
        assert [row["turns"] for row in await place.rows("calls", "id")] == [8] * 4

    async def test_a_restart_goes_on_where_the_database_stands(self, place: Place) -> None:
        journal = Journal(place.folder)
        for number, entry in enumerate(ENTRIES):
            journal.append(entry)
            if number % 5 == 0:
                await place.catch_up()
        await place.catch_up()
        once = await place.everything()

        shutil.copytree(place.folder, place.folder.with_name("other"), ignore=shutil.ignore_patterns("calls.db*"))
        other = Place(place.folder.with_name("fresh"), "")
        shutil.copytree(journal.folder, other.folder / journal.folder.relative_to(place.folder))
        await other.catch_up()
        at_once = await other.everything()
        await other.close()
        assert [row["seq"] for row in once["turns"]] == [row["seq"] for row in at_once["turns"]]
        assert once["calls"] == at_once["calls"]

    async def test_a_call_whose_process_died_goes_in_as_far_as_its_journal_is_whole(self, place: Place) -> None:
        journal = Journal(place.folder)
        journal.append(*ENTRIES[:5])
        journal.write(b'{"entry":"caller_spoke","turn":3,"tran')
        await place.catch_up()
        assert await seqs(place) == [1, 2, 3, 4, 5]
        call = await place.call()
        assert (call["ended"], call["duration_ms"]) == (None, None)
        await place.catch_up()
        assert await seqs(place) == [1, 2, 3, 4, 5]

    async def test_a_last_line_that_is_whole_but_for_its_end_is_in_and_not_twice(self, place: Place) -> None:
        journal = Journal(place.folder)
        journal.write(entry_line(ENTRIES[1]).rstrip())
        await place.catch_up()
        assert await seqs(place) == [1]
        journal.write(b"\n" + entry_line(ENTRIES[2]))
        await place.catch_up()
        assert await seqs(place) == [1, 2]

    async def test_lines_nobody_understands_keep_nobody_back(self, place: Place) -> None:
        journal = Journal(place.folder)
        journal.append(j.KeyPressed(1, "1"))
        journal.write(b'{"entry":"key_pr\n\xff\xfe\n')
        journal.write(b'{"entry":"felt","at_ms":7,"what":{"a":[1,null,"\\u0000"]}}\n')
        journal.append(j.KeyPressed(2, "2"), j.KeyPressed(2, "2"))
        await place.catch_up()

        found = [(row["seq"], row["kind"], row["at_ms"]) for row in await place.rows("actions")]
        assert found == [
            (1, "key_pressed", 1),
            (4, "felt", 7),
            (5, "key_pressed", 2),
            (6, "key_pressed", 2),
        ]
        assert (await place.call())["entries"] == 6

    async def test_a_clock_that_steps_back_changes_no_order(self, place: Place) -> None:
        first = Journal(place.folder, header_of(1, started_at="2026-03-02T00:00:01+00:00"))
        second = Journal(place.folder, header_of(2, started_at="2026-03-01T23:59:59+00:00"))
        for journal in (first, second):
            journal.append(j.CallOpened(), j.CallerSpoke(1, "a", 500, 400), j.CallerSpoke(2, "b", -3, -1))
        await place.catch_up()
        for journal in (first, second):
            texts = [row["text"] for row in await place.rows("turns") if row["call_id"] == journal.header.id]
            assert texts == ["a", "b"]

    async def test_a_call_much_longer_than_a_step_holds_up_nobody(self, place: Place) -> None:
        long = Journal(place.folder, header_of(1))
        long.append(*(j.CallerSpoke(number, f"turn {number} " * 20, number, number + 1) for number in range(3000)))
        keeper = place.keeper()
        await until(lambda: keeper.entries > 0)
        short = Journal(place.folder, header_of(2))
        short.append(*ENTRIES)
        keeper.grew(short.folder, short.header.id)
        await keeper.caught_up(short.header.id)
        assert keeper.entries < 3000
        await keeper.caught_up()
        rows = [row for row in await place.rows("turns") if row["call_id"] == long.header.id]
        assert [row["number"] for row in rows] == [*range(3000)]
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)

    async def test_an_entry_that_the_database_does_not_take_keeps_none_back(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bridge.store.sql import rows as rows_module

        real = rows_module._said
        monkeypatch.setattr(
            rows_module,
            "_said",
            lambda entry: {**real(entry), **({"speaker": None} if entry.transcript == "poison" else {})},
        )
        journal = Journal(place.folder)
        journal.append(*(j.CallerSpoke(n, "poison" if n == 3 else "fine", n, n) for n in range(6)))
        with capture_logs() as logs:
            await place.catch_up()
        assert await seqs(place) == [1, 2, 3, 5, 6]
        assert (await place.call())["entries"] == 6
        assert [(line["event"], line["entry"]) for line in logs if line["log_level"] == "error"] == [
            ("entry_not_kept", 4)
        ]

    async def test_many_calls_go_in_together(self, place: Place) -> None:
        database = await place.opened()
        journals = [Journal(place.folder, header_of(number)) for number in range(30)]
        for journal in journals:
            journal.append(*ENTRIES[:2])
        keeper = place.keeper(database)
        await keeper.caught_up()
        for journal in journals:
            journal.append(*ENTRIES[2:])
        done: list[str] = []
        engine: Any = database.engine.sync_engine
        sql_event.listen(engine, "before_cursor_execute", lambda *_: done.append("statement"))
        sql_event.listen(engine, "commit", lambda *_: done.append("transaction"))
        await keeper._follower.step([journal.folder for journal in journals])
        assert done.count("transaction") == 1
        assert done.count("statement") < 12
        assert [row["entries"] for row in await place.rows("calls", "id")] == [len(ENTRIES)] * 30
        for journal in journals[::7]:
            assert await seqs(place, journal.header.id) == [*range(1, len(ENTRIES) + 1)]

    async def test_a_call_that_the_database_does_not_take_keeps_no_other_out(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bridge.store.sql.rows import call_row as real

        monkeypatch.setattr(
            "bridge.store.sql.following.call_row",
            lambda call_id, *rest: {**real(call_id, *rest), **({"sid": None} if call_id == "call-0001" else {})},
        )
        for number in range(3):
            Journal(place.folder, header_of(number)).append(*ENTRIES[: 2 if number else 0])
        with capture_logs() as logs:
            await place.catch_up()
        assert [row["id"] for row in await place.rows("calls", "id")] == ["call-0000", "call-0002"]
        assert {line["event"] for line in logs if line["log_level"] == "error"} <= {
            "call_not_followed",
            "entry_not_kept",
        }

    async def test_who_waits_for_what_has_grown_is_not_kept_waiting(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bridge.store.sql import pacing

        monkeypatch.setattr(pacing, "LEAST_S", 1000.0)
        monkeypatch.setattr(pacing, "MOST_S", 1000.0)
        keeper = place.keeper()
        journal = Journal(place.folder)
        await keeper.caught_up()
        for entry in ENTRIES[:3]:
            journal.append(entry)
            keeper.grew(journal.folder, HEADER.id)
            async with asyncio.timeout(20):
                await keeper.caught_up(HEADER.id)
        assert await seqs(place) == [1, 2, 3]


class TestFolders:
    async def test_in_any_state(self, place: Place) -> None:
        day = place.folder / "2026-03-01"
        (day / "empty").mkdir(parents=True)
        (day / "nothing").mkdir()
        (day / "nothing" / "journal.jsonl").write_bytes(b"")
        (day / "junk").mkdir()
        (day / "junk" / "journal.jsonl").write_bytes(b"\x00\xff{}\n" * 99)
        (day / "folder" / "journal.jsonl").mkdir(parents=True)
        (day / "fifo").mkdir()
        os.mkfifo(day / "fifo" / "journal.jsonl")
        (day / "dangling").symlink_to(place.folder / "nowhere")
        (place.folder / "a file").write_text("")
        odd = place.folder / "letters, 2026" / "a call from Zoë 👋"
        odd.mkdir(parents=True)
        (odd / "journal.jsonl").write_bytes(header_line(header_of(2)) + entry_line(ENTRIES[1]))
        good = Journal(place.folder)
        good.append(*ENTRIES)
        await place.catch_up()
        await place.catch_up()

        assert [row["id"] for row in await place.rows("calls", "id")] == [HEADER.id, "call-0002"]
        assert (await place.call("call-0002"))["folder"] == "letters, 2026/a call from Zoë 👋"

    async def test_a_second_call_of_the_same_id_is_a_call_of_its_own(self, place: Place) -> None:
        first, second = Journal(place.folder), Journal(place.folder)
        assert second.folder.name == f"{first.folder.name}-2"
        first.append(*ENTRIES)
        second.append(*ENTRIES[:3])
        await place.catch_up()

        assert await seqs(place, HEADER.id) == [*range(1, len(ENTRIES) + 1)]
        assert await seqs(place, f"{HEADER.id}-2") == [1, 2, 3]

    async def test_a_copy_of_a_call_is_not_another_call(self, place: Place) -> None:
        journal = Journal(place.folder)
        journal.append(*ENTRIES)
        await place.catch_up()
        shutil.copytree(journal.folder, place.folder / "backup" / journal.folder.name)
        with capture_logs() as logs:
            await place.catch_up()
        assert [line["event"] for line in logs] == ["journal_is_a_copy"]
        assert (await place.call())["folder"] == journal.folder.relative_to(place.folder).as_posix()

    async def test_a_call_that_was_moved_is_found_where_it_is_when_it_grows(self, place: Place) -> None:
        journal = Journal(place.folder)
        journal.append(*ENTRIES[:4])
        await place.catch_up()
        moved = place.folder / "archive" / journal.folder.name
        moved.parent.mkdir()
        journal.folder.rename(moved)
        with (moved / "journal.jsonl").open("ab") as file:
            file.write(entry_line(ENTRIES[4]))
        await place.catch_up()
        assert await seqs(place) == [1, 2, 3, 4, 5]
        assert (await place.call())["folder"] == f"archive/{journal.folder.name}"

    async def test_an_id_longer_than_its_column(self, place: Place) -> None:
        for letter in "xy":
            journal = Journal(place.folder, dataclasses.replace(HEADER, id="i" * 80 + letter, sid="s" * 99))
            journal.append(*ENTRIES)
        await place.catch_up()
        found = await place.rows("calls", "id")
        assert [len(row["id"]) for row in found] == [64, 64]
        assert [row["entries"] for row in found] == [len(ENTRIES)] * 2

    async def test_a_call_that_was_erased_stays_erased(self, place: Place) -> None:
        keeper = place.keeper()
        journal = Journal(place.folder)
        journal.append(*ENTRIES[:5])
        keeper.grew(journal.folder, HEADER.id)
        await keeper.caught_up()
        shutil.rmtree(journal.folder)
        database = await place.opened()
        async with database.writing() as connection:
            await connection.execute(text("DELETE FROM calls"))

        keeper.grew(journal.folder, HEADER.id)
        await keeper.caught_up()

        assert [await place.rows(table) for table in TABLES] == [[]] * len(TABLES)

    async def test_a_journal_that_became_shorter_takes_nothing_back(self, place: Place) -> None:
        keeper = place.keeper()
        journal = Journal(place.folder)
        journal.append(*ENTRIES[:6])
        keeper.grew(journal.folder, HEADER.id)
        await keeper.caught_up()
        os.truncate(journal.path, 400)
        with capture_logs() as logs:
            for _ in range(2):
                keeper.grew(journal.folder, HEADER.id)
                await keeper.caught_up()
            journal.write(b"\n")
            journal.append(j.KeyPressed(1, "7"))
            keeper.grew(journal.folder, HEADER.id)
            await keeper.caught_up()
        assert [line["event"] for line in logs] == ["journal_changed"]
        rows = await place.rows("actions")
        assert rows[-1]["kind"] == "key_pressed"
        assert [number for number in await seqs(place) if number <= 6] == [1, 2, 3, 4, 5, 6]

    async def test_calls_that_are_all_in_cost_little_at_the_start(self, place: Place) -> None:
        for number in range(60):
            header = header_of(number, started_at=f"2026-03-{1 + number % 5:02}T12:00:00+00:00")
            Journal(place.folder, header).append(*ENTRIES[:3])
        await place.catch_up()
        began = time.perf_counter()
        keeper = place.keeper(starts=False)
        await keeper.catch_up()
        assert keeper.entries == 0
        assert time.perf_counter() - began < 5
        assert [row["entries"] for row in await place.rows("calls", "id")] == [3] * 60


class TestAway:
    async def test_what_happens_meanwhile_goes_in_when_it_is_back_in_order(self, place: Place) -> None:
        keeper = place.keeper()
        store = FileStore(place.folder, record_audio=False, disk=DiskThread(), on_growth=keeper.grew)
        records = [store.open(header_of(number)) for number in range(3)]
        for entry in ENTRIES[:6]:
            for record in records:
                record.append(entry)
        await asyncio.gather(*(record.settled() for record in records))
        await keeper.caught_up()
        await asyncio.to_thread(place.stop)
        with capture_logs() as logs:
            for entry in ENTRIES[6:]:
                for record in records:
                    record.append(entry)
                    await asyncio.sleep(0.005)
            await records[0].close()
            await asyncio.sleep(0.5)
            assert keeper.waiting == 3
            assert keeper.lag_s > 0.3
            await asyncio.to_thread(place.start)
            async with asyncio.timeout(20):
                await keeper.caught_up()
        for record in records:
            await record.close()
        await keeper.caught_up()
        told = [line["event"] for line in logs if line["event"].startswith("store_")]
        assert [event for event in told if event != "store_step_failed"] == ["store_down", "store_back"]
        for number in range(3):
            assert await seqs(place, f"call-{number:04}") == [*range(1, len(ENTRIES) + 1)]
        await store.close()

    async def test_one_that_is_away_at_the_start_is_opened_when_it_comes(self, place: Place) -> None:
        if place.url == "":
            await place.opened()  # or there is nothing that another writer could hold
        await asyncio.to_thread(place.stop)
        journal = Journal(place.folder)
        journal.append(*TROUBLED)
        keeper = place.keeper()
        keeper.grew(journal.folder, HEADER.id)
        await asyncio.sleep(0.3)
        assert keeper.entries == 0
        await asyncio.to_thread(place.start)
        async with asyncio.timeout(20):
            await keeper.caught_up()
        assert await seqs(place) == [*range(1, len(TROUBLED) + 1)]

    async def test_one_that_lacks_a_table_is_followed_again_when_it_has_it(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.store.sql.keeper._HOPELESS_S", 0.1)
        database = await place.opened()
        async with database.writing() as connection:
            await connection.execute(text("ALTER TABLE calls RENAME TO elsewhere"))
        Journal(place.folder).append(*TROUBLED)
        with capture_logs() as logs:
            keeper = place.keeper()
            await until(lambda: "record_not_followed" in [line["event"] for line in logs])
            await asyncio.sleep(0.3)
        assert [line["event"] for line in logs].count("record_not_followed") == 1
        async with database.writing() as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO calls"))
        async with asyncio.timeout(20):
            await keeper.caught_up()
        assert await seqs(place) == [*range(1, len(TROUBLED) + 1)]

    async def test_closing_while_it_is_away_waits_for_nothing(self, place: Place) -> None:
        keeper = place.keeper()
        journal = Journal(place.folder)
        keeper.grew(journal.folder, HEADER.id)
        await keeper.caught_up()
        await asyncio.to_thread(place.stop)
        journal.append(*ENTRIES)
        keeper.grew(journal.folder, HEADER.id)
        await until(lambda: not keeper._database.up)
        began = time.perf_counter()
        await keeper.close()
        assert time.perf_counter() - began < 1

    async def test_closing_puts_in_what_has_grown_before(self, place: Place) -> None:
        keeper = place.keeper()
        journal = Journal(place.folder)
        keeper.grew(journal.folder, HEADER.id)
        await keeper.caught_up()
        journal.append(*ENTRIES)
        keeper.grew(journal.folder, HEADER.id)
        await keeper.close()
        assert await seqs(place) == [*range(1, len(ENTRIES) + 1)]

    async def test_more_names_than_are_kept_are_found_again_in_the_folders(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bridge.store.sql import keeper as keeper_module

        monkeypatch.setattr(keeper_module, "_NAMES", 5)
        keeper: Any = place.keeper()
        await keeper.caught_up()
        await asyncio.to_thread(place.stop)
        for number in range(23):
            journal = Journal(place.folder, header_of(number))
            journal.append(*ENTRIES[:2])
            keeper.grew(journal.folder, journal.header.id)
        assert keeper.waiting <= 6
        await asyncio.to_thread(place.start)
        async with asyncio.timeout(20):
            await keeper.caught_up()
        assert [row["entries"] for row in await place.rows("calls", "id")] == [2] * 23


def test_growth_is_told_before_anybody_follows(tmp_path: Path) -> None:
    from bridge.store.sql.database import Database

    keeper = Keeper(Database("", tmp_path), tmp_path)
    keeper.grew(tmp_path / "a", "a")
    keeper.grew(tmp_path / "a", "a")
    assert keeper.waiting == 1
