"""A folder of calls with a database, for the tests that hold for both kinds of database."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.folder import CallFolder
from bridge.store.journal_file import entry_line, header_line
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from tests.postgres import PostgresServer
from tests.store.samples import HEADER

TABLES = ("turns", "actions", "legs", "notes")


class Place:
    """`url` is for the settings; everything that was opened here is closed at the end."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self._databases: list[Database] = []
        self._keepers: list[Keeper] = []
        folder.mkdir(parents=True)

    def database(self) -> Database:
        self._databases.append(Database(self.url, self.folder))
        return self._databases[-1]

    async def opened(self) -> Database:
        database = self.database()
        await database.open()
        return database

    def keeper(self, database: Database | None = None, *, starts: bool = True) -> Keeper:
        """A keeper of these calls, running."""
        keeper = Keeper(database or self.database(), self.folder)
        self._keepers.append(keeper)
        if starts:
            keeper.start()
        return keeper

    async def catch_up(self) -> None:
        """Do what a bridge that starts does, to the end."""
        keeper = self.keeper(starts=False)
        await keeper.catch_up()

    def stop(self) -> None:
        """Take the database away from everybody."""
        raise NotImplementedError

    def start(self) -> None:
        """Bring it back."""
        raise NotImplementedError

    async def rows(self, table: str, order: str = "seq") -> list[dict[str, Any]]:
        database = await self.opened()
        async with database.reading() as connection:
            found = await connection.execute(text(f"SELECT * FROM {table} ORDER BY {order}"))
            return [dict(row._mapping) for row in found]

    async def call(self, call_id: str = HEADER.id) -> dict[str, Any]:
        (row,) = [row for row in await self.rows("calls", "id") if row["id"] == call_id]
        return row

    async def everything(self) -> dict[str, list[dict[str, Any]]]:
        """All that is in, but for the numbers that the database gives."""
        found = {table: await self.rows(table, "call_id, seq") for table in TABLES}
        found["calls"] = await self.rows("calls", "id")
        return {
            table: [{k: v for k, v in row.items() if k != "id"} for row in rows] for table, rows in found.items()
        }

    async def close(self) -> None:
        for keeper in self._keepers:
            await keeper.close(within_s=0)
        for database in self._databases:
            await database.close()


class SqlitePlace(Place):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "")
        self._holder: sqlite3.Connection | None = None

    def stop(self) -> None:
        """Another writer, who does not let go."""
        self._holder = sqlite3.connect(self.folder / "calls.db", isolation_level=None, check_same_thread=False)
        self._holder.execute("BEGIN IMMEDIATE")

    def start(self) -> None:
        assert self._holder is not None
        self._holder.close()
        self._holder = None

    async def close(self) -> None:
        if self._holder is not None:
            self.start()
        await super().close()


class PostgresPlace(Place):
    def __init__(self, folder: Path, server: PostgresServer) -> None:
        super().__init__(folder, server.new_database())
        self._server = server
        self._stopped = False

    def stop(self) -> None:
        self._server.stop()
        self._stopped = True

    def start(self) -> None:
        self._server.start()
        self._stopped = False

    async def close(self) -> None:
        if self._stopped:
            self.start()
        await super().close()


class Journal:
    """A journal that a test writes byte by byte."""

    def __init__(self, folder: Path, header: CallHeader = HEADER) -> None:
        self.header = header
        wanted = CallFolder(folder, header).path
        self.folder = wanted.with_name(f"{wanted.name}-2") if wanted.exists() else wanted
        self.folder.mkdir(parents=True)
        self.path = self.folder / "journal.jsonl"
        self.write(header_line(header))

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def append(self, *entries: Entry) -> None:
        self.write(b"".join(entry_line(entry) for entry in entries))


def header_of(number: int, **changes: Any) -> CallHeader:
    """The header of one of many calls."""
    return dataclasses.replace(HEADER, **{"id": f"call-{number:04}", "sid": f"CA{number:032}", **changes})
