from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from structlog.testing import capture_logs

from bridge.errors import SettingsError, StoreError
from bridge.store.sql import database as database_module
from bridge.store.sql import migrating
from bridge.store.sql.database import Database
from bridge.store.sql.schema import metadata
from bridge.tasks import spawn
from tests.store.sql.place import Place, SqlitePlace

ROOT = Path(__file__).parents[3]
NOTED = text("INSERT INTO noted (at) VALUES (:at)")
"""Into a table of the tests' own, which is never any different."""


async def opened(place: Place) -> Database:
    database = await place.opened()
    await add_table(database)
    return database


async def add_table(database: Database) -> None:
    number = "INTEGER PRIMARY KEY" if database.dialect == "sqlite" else "SERIAL PRIMARY KEY"
    async with database.writing() as connection:
        await connection.execute(
            text(f"CREATE TABLE IF NOT EXISTS noted (id {number}, at BIGINT NOT NULL, said TEXT)")
        )


async def count(database: Database, table: str = "noted") -> int:
    async with database.reading() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


def differences(connection: Any) -> list[Any]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def is_ours(_: Any, name: str | None, kind: str, __: bool, ___: Any) -> bool:
        return not str(name).startswith(
            ("turn_words", "ix_turns_words_vector", "words_vector")
        )  # the full-text index

    options = {"compare_type": True, "include_object": is_ours}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


class TestTables:
    async def test_the_migrations_make_the_tables_of_the_schema(self, place: Place) -> None:
        database = await place.opened()

        async with database.reading() as connection:
            assert await connection.run_sync(differences) == []

    async def test_a_table_that_lacks_a_column_would_be_found(self, place: Place) -> None:
        database = await place.opened()
        async with database.writing() as connection:
            await connection.execute(text("ALTER TABLE calls DROP COLUMN wasted"))

        async with database.reading() as connection:
            found = await connection.run_sync(differences)
        assert [(kind, column.name) for kind, _, _, column in found] == [("add_column", "wasted")]

    async def test_one_that_is_up_to_date_is_opened_quickly_and_stays_as_it_is(self, place: Place) -> None:
        first = await opened(place)
        async with first.writing() as connection:
            await connection.execute(NOTED, {"at": 1})
        began = time.perf_counter()

        second = await place.opened()

        assert time.perf_counter() - began < 1
        assert await count(second) == 1

    async def test_many_that_open_it_at_once_make_the_tables_once(self, place: Place) -> None:
        databases = [place.database() for _ in range(5)]
        with capture_logs() as logs:
            await asyncio.gather(*(database.open() for database in databases))

        assert [line["event"] for line in logs] == ["store_brought_up_to_date"]
        assert all(database.up for database in databases)

    async def test_processes_that_open_it_at_once_make_the_tables_once(self, place: Place) -> None:
        script = (
            "import asyncio, sys; from pathlib import Path; from bridge.store.sql.database import Database\n"
            "async def main():\n"
            "    database = Database(sys.argv[1], Path(sys.argv[2]))\n"
            "    await database.open()\n"
            "    await database.close()\n"
            "asyncio.run(main())"
        )
        arguments = [sys.executable, "-c", script, place.url, str(place.folder)]
        processes = [await asyncio.create_subprocess_exec(*arguments, cwd=ROOT) for _ in range(2)]

        assert [await process.wait() for process in processes] == [0, 0]

        database = await place.opened()
        async with database.reading() as connection:
            assert await connection.run_sync(migrating.version_of) == migrating.revisions()[-1]

    async def test_tables_of_a_newer_version_are_refused_and_left_alone(self, place: Place) -> None:
        database = await place.opened()
        async with database.writing() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))

        with pytest.raises(StoreError, match=r"written by a newer phone-bridge.*at 9999_future") as caught:
            await place.database().open()
        assert caught.value.code == "store_too_new"
        assert "\n" not in caught.value.message
        with pytest.raises(StoreError):
            await place.database().look()

    async def test_looking_at_an_empty_one_changes_nothing(self, place: Place) -> None:
        assert await place.database().look() is None
        assert await place.database().look() is None

        await place.opened()
        assert await place.database().look() == migrating.revisions()[-1]

    async def test_each_migration_has_the_name_of_its_revision(self) -> None:
        script = migrating.scripts()
        assert script.get_heads() == [migrating.revisions()[-1]]
        assert {revision.revision for revision in script.walk_revisions()} == {*migrating.revisions()}


class TestTransactions:
    async def test_what_is_raised_undoes_what_was_written(self, place: Place) -> None:
        database = await opened(place)
        with pytest.raises(KeyError):
            async with database.writing() as connection:
                await connection.execute(NOTED, {"at": 1})
                raise KeyError
        assert await count(database) == 0
        assert database.up

    async def test_being_cancelled_undoes_it_too_and_blocks_nobody(self, place: Place) -> None:
        database = await opened(place)
        for delay_s in (0, 0.001, 0.003, 0.01):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(delay_s):
                    async with database.writing() as connection:
                        await connection.execute(NOTED, {"at": 1})
                        await asyncio.sleep(5)
        async with asyncio.timeout(5), database.writing() as connection:
            await connection.execute(NOTED, {"at": 1})
        assert await count(database) == 1

    async def test_many_writers_and_readers_at_once_wait_for_one_another(self, place: Place) -> None:
        database = await opened(place)

        async def write(number: int) -> None:
            async with database.writing() as connection:
                before = (await connection.execute(text("SELECT count(*) FROM noted"))).scalar_one()
                await connection.execute(NOTED, {"at": before})
            await count(database)

        await asyncio.gather(*(write(number) for number in range(30)))
        assert await count(database) == 30
        if database.dialect == "sqlite":
            async with database.reading() as connection:
                found = await connection.execute(text("SELECT at FROM noted ORDER BY id"))
                assert [row.at for row in found] == [*range(30)]

    async def test_a_reader_sees_what_was_there_while_somebody_writes(self, place: Place) -> None:
        database = await opened(place)
        async with database.writing() as connection:
            await connection.execute(NOTED, {"at": 1})
            assert await count(database) == 0

    async def test_the_rows_of_a_call_go_with_it(self, place: Place) -> None:
        database = await opened(place)
        row = "'c', 's', 'inbound', '', '', '', 'echo', 0, '', 'f', 0, 0, 0, 0, 0, 0, 0"
        columns = (
            "id, sid, direction, caller, called, other, agent_kind, started_at, transfer_to, folder, entries,"
            " journal_bytes, turns, interruptions, wasted, problems, under_runs"
        )
        async with database.writing() as connection:
            await connection.execute(text(f"INSERT INTO calls ({columns}) VALUES ({row})"))
            await connection.execute(text("INSERT INTO notes (call_id, seq, at_ms, data) VALUES ('c', 1, 0, '{}')"))
            await connection.execute(text("DELETE FROM calls"))
        assert await count(database, "notes") == 0

    async def test_a_wrong_statement_is_no_fault_of_the_database(self, place: Place) -> None:
        database = await opened(place)
        for statement in ("SELECT * FROM nothing", "SELEC"):
            with pytest.raises(DBAPIError):
                async with database.reading() as connection:
                    await connection.execute(text(statement))
        with pytest.raises(IntegrityError) as caught:
            async with database.writing() as connection:
                await connection.execute(NOTED, {"at": None})
        assert "None" not in str(caught.value).replace("NoneType", "")  # what was to be written is not told
        assert database.up


class TestAway:
    async def test_it_goes_and_comes_back_and_each_is_told_once(self, place: Place) -> None:
        database = await opened(place)
        with capture_logs() as logs:
            await asyncio.to_thread(place.stop)
            for _ in range(3):
                with pytest.raises(StoreError, match="cannot be used") as caught:
                    async with database.writing() as connection:
                        await connection.execute(NOTED, {"at": 1})
                assert caught.value.code == "store_unreachable"
                assert not database.up
            await asyncio.to_thread(place.start)
            async with database.writing() as connection:
                await connection.execute(NOTED, {"at": 1})
        assert database.up
        assert [line["event"] for line in logs] == ["store_down", "store_back"]
        assert await count(database) == 1

    async def test_where_reading_works_and_writing_does_not_it_is_not_up(self, tmp_path: Path) -> None:
        place = SqlitePlace(tmp_path / "calls")
        database = await opened(place)
        place.stop()
        with capture_logs() as logs:
            for _ in range(2):
                with pytest.raises(StoreError):
                    async with database.writing():
                        pass
                assert await count(database) == 0
                assert not database.up
        assert [line["event"] for line in logs] == ["store_down"]
        await place.close()

    async def test_before_it_was_opened(self, place: Place) -> None:
        database = place.database()
        assert not database.up
        with pytest.raises(StoreError, match="is not open yet"):
            async with database.reading():
                pass
        await database.close()

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("postgresql://user:hush@127.0.0.1:1/calls", "at postgresql://127.0.0.1:1/calls cannot be used: Conn"),
            (
                "postgresql://user:hush@/calls?host=/no/such/folder",
                "at postgresql:///calls cannot be used: No such",
            ),
        ],
    )
    async def test_a_server_that_is_not_there(self, url: str, said: str, tmp_path: Path) -> None:
        database = Database(url, tmp_path)
        with pytest.raises(StoreError) as caught:
            await database.open()
        assert said in caught.value.message
        assert "hush" not in caught.value.message
        await database.close()

    async def test_a_database_that_the_server_does_not_have(self, postgres: Any, tmp_path: Path) -> None:
        database = Database(postgres.url("nowhere"), tmp_path)
        with pytest.raises(StoreError, match='database "nowhere" does not exist'):
            await database.open()
        await database.close()


class TestFiles:
    async def test_without_a_url_it_is_beside_the_calls(self, tmp_path: Path) -> None:
        database = Database("", tmp_path / "not" / "there" / "yet")
        await database.open()
        assert (tmp_path / "not" / "there" / "yet" / "calls.db").is_file()
        assert database.where == str(tmp_path / "not" / "there" / "yet" / "calls.db")
        await database.close()

    async def test_a_url_names_a_file_from_the_root_or_from_here_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert Database("sqlite:///some/of my calls.db", Path("x")).file == tmp_path / "some" / "of my calls.db"
        assert Database(f"sqlite:///{tmp_path}/a.db", Path("x")).file == tmp_path / "a.db"
        assert Database("sqlite:////a.db", Path("x")).file == Path("/a.db")

    def test_both_forms_of_a_postgresql_url(self, tmp_path: Path) -> None:
        for url in ("postgres://u:hush@db:5433/calls?sslmode=disable", "postgresql://u:hush@db:5433/calls"):
            database = Database(url, tmp_path)
            assert database.dialect == "postgresql"
            assert database.where == "postgresql://db:5433/calls"

    def test_without_its_driver(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database_module, "find_spec", lambda _: None)
        with pytest.raises(SettingsError, match=r"pip install 'phone-bridge\[postgres\]'"):
            Database("postgresql://db/calls", tmp_path)
        Database("", tmp_path)

    async def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "calls.db").write_bytes(b"this is a letter to my aunt, and no database\n" * 100)
        database = Database("", tmp_path)
        with pytest.raises(StoreError, match="cannot be read: file is not a database") as caught:
            await database.open()
        assert caught.value.code == "store_damaged"
        await database.close()

    async def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        database = Database("", tmp_path / "file" / "calls")
        with pytest.raises(StoreError, match="Not a directory"):
            await database.open()

    async def test_a_full_disk(self, tmp_path: Path) -> None:
        database = Database("", tmp_path)
        await database.open()
        await add_table(database)

        def full(connection: Any, *_: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA max_page_count = 1")  # it is set to what the file has
            cursor.close()

        event.listen(database.engine.sync_engine, "checkout", full)
        wanted = text("INSERT INTO noted (at, said) VALUES (1, :said)")
        with pytest.raises(StoreError, match="database or disk is full"):
            async with database.writing() as connection:
                await connection.execute(wanted, {"said": "x" * 100_000})
        assert not database.up
        assert await count(database) == 0
        await database.close()

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
    async def test_a_file_that_is_read_only(self, tmp_path: Path) -> None:
        database = Database("", tmp_path)
        await database.open()
        await add_table(database)
        await database.close()
        (tmp_path / "calls.db").chmod(0o444)
        with pytest.raises(StoreError, match="readonly"):
            async with database.writing() as connection:
                await connection.execute(NOTED, {"at": 1})

    async def test_it_can_be_looked_into_from_outside_while_it_is_open(self, tmp_path: Path) -> None:
        database = Database("", tmp_path)
        await database.open()
        await add_table(database)
        async with database.writing() as connection:
            await connection.execute(NOTED, {"at": 1})

        def ask() -> tuple[Any, ...]:
            other = sqlite3.connect(tmp_path / "calls.db")
            try:
                return (
                    other.execute("PRAGMA journal_mode").fetchone()[0],
                    other.execute("SELECT count(*) FROM noted").fetchone()[0],
                )
            finally:
                other.close()

        assert await asyncio.to_thread(ask) == ("wal", 1)
        await database.close()


@pytest.mark.parametrize("connection", [1, 2], ids=["that looks", "that migrates"])
async def test_an_opening_that_is_cancelled_leaves_no_thread_that_would_meet_a_closed_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: int
) -> None:
    connects, connecting, numbers = sqlite3.connect, threading.Event(), itertools.count(1)

    def slowly(*args: Any, **options: Any) -> sqlite3.Connection:
        if next(numbers) == connection:
            connecting.set()
            time.sleep(0.3)
        made: sqlite3.Connection = connects(*args, **options)
        return made

    monkeypatch.setattr("aiosqlite.core.sqlite3.connect", slowly)
    database = Database("", tmp_path)
    before = {*threading.enumerate()}
    opening = spawn(database.open(), name="opening")
    assert await asyncio.to_thread(connecting.wait, 10.0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await database.close()
    await asyncio.sleep(0.05)  # A thread has told that it is done a moment before it ends.
    assert not [one for one in {*threading.enumerate()} - before if "asyncio" not in one.name]


async def test_letting_go_waits_for_no_server_that_does_not_answer(tmp_path: Path) -> None:
    asked, over, left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await over.wait()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(f"postgresql://u:p@127.0.0.1:{port}/calls", tmp_path)
    opening = spawn(database.open(), name="opening")
    async with asyncio.timeout(10):
        await asked.wait()
    began = time.perf_counter()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await database.close()
    assert time.perf_counter() - began < 2
    over.set()
    await left.wait()
    server.close()


def test_a_bridge_imports_no_database_library_before_it_is_opened() -> None:
    script = (
        "import sys, bridge.app, bridge.store.files, bridge.store.sql.keeper\n"
        "heavy = {'sqlalchemy', 'alembic', 'aiosqlite', 'asyncpg'} & {*sys.modules}\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
