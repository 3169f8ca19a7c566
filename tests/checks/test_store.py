from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.checks.store import check_database
from bridge.command_line.doctor import examine
from bridge.settings.source import load_settings
from bridge.store.sql import database as database_module
from bridge.store.sql.database import Database
from tests.postgres import PostgresServer, start_postgres
from tests.store.sql.place import PostgresPlace, SqlitePlace


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = start_postgres()
    yield server
    server.close()


async def found(folder: Path, url: str = "") -> tuple[str, str, str]:
    given = {"BRIDGE_STORE__RECORDINGS": str(folder), "BRIDGE_STORE__URL": url}
    (finding,) = await check_database(load_settings(files=(), environment=given))
    assert finding.check == "database"
    return finding.status, finding.message, finding.remedy


async def test_a_file_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    status, message, _ = await found(tmp_path / "calls")
    assert (status, message) == ("ok", f"{tmp_path}/calls/calls.db is made when the bridge starts")
    assert [*tmp_path.iterdir()] == []


async def test_a_place_where_no_file_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, message, remedy = await found(tmp_path, f"sqlite:///{tmp_path}/file/calls.db")
    assert status == "failed"
    assert "Not a directory" in message
    assert "BRIDGE_STORE__URL" in remedy


async def test_a_database_of_either_kind(tmp_path: Path, postgres: PostgresServer) -> None:
    for place in (SqlitePlace(tmp_path / "sqlite"), PostgresPlace(tmp_path / "postgres", postgres)):
        if place.url:
            assert (await found(place.folder, place.url))[:2] == (
                "ok",
                f"{place.database().where} is empty and can be written to",
            )
        await place.opened()
        for _ in range(2):
            status, message, _ = await found(place.folder, place.url)
            assert status == "ok"
            assert "can be written to; its tables are at 0" in message
        assert await place.rows("audit", "id") == []
        await place.close()


async def test_one_that_somebody_else_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_BUSY_S", 0.1)
    place = SqlitePlace(tmp_path / "calls")
    await place.opened()
    place.stop()
    status, message, remedy = await found(place.folder)
    assert (status, "database is locked" in message) == ("failed", True)
    assert "recorded all the same" in remedy
    await place.close()


async def test_one_that_is_not_reached_or_not_of_this_version(tmp_path: Path) -> None:
    status, message, _ = await found(tmp_path, "postgresql://me:hush@127.0.0.1:1/calls")
    assert (status, message) == (
        "failed",
        "the database of calls at postgresql://127.0.0.1:1/calls cannot be used: Connection refused",
    )
    database = Database("", tmp_path)
    await database.open()
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    status, message, remedy = await found(tmp_path)
    assert (status, "newer phone-bridge" in message, "install that version" in remedy) == ("failed", True, True)
    (tmp_path / "calls.db").write_text("what?" * 1000)
    for name in ("calls.db-wal", "calls.db-shm"):
        await asyncio.to_thread((tmp_path / name).unlink, missing_ok=True)
    status, message, remedy = await found(tmp_path)
    assert (status, "file is not a database" in message) == ("failed", True)
    assert "made again from the calls' folders" in remedy


async def test_doctor_looks_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRIDGE_SPEECH__BASE_URL", "http://127.0.0.1:1")
    assert "database" in [finding.check for finding in await examine()]
