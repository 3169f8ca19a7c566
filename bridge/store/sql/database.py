"""The database of calls: a file of SQLite, or a PostgreSQL server; both are used through SQLAlchemy alike.

SQLAlchemy takes a while to import, so nothing here does that before the database is opened, and then on a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import structlog

from bridge.errors import SettingsError, StoreError, system_reason
from bridge.store.sql import failures, migrating
from bridge.store.sql.asyncio_engine import create_async_engine
from bridge.tasks import spawn

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_log = structlog.get_logger()

FILE: Final = "calls.db"
"""The database where the settings name none, in the folder of the calls."""

_LOOK_S: Final = 0.05
_CONNECT_S: Final = 5.0
_BUSY_S: Final = 5.0
"""How long a writer of SQLite waits for one of another process."""
_MIGRATING_S: Final = 60.0
"""How long it waits where that one may be bringing the tables up to date."""
_COMMAND_S: Final = 30.0
"""How long PostgreSQL may take for one statement, but those that bring the tables up to date."""


class Database:
    """Where the record of calls can be asked and searched. Everything here runs on one event loop.

    It is opened with `open`, which may be called again at any time: after it was away, or was put in order. What
    goes wrong on its side is a `StoreError`; what is wrong with a statement is SQLAlchemy's own error.
    """

    def __init__(self, url: str, folder: Path) -> None:
        """`url` is the setting `store.url`, `folder` the calls'. Raises SettingsError where a driver is missing."""
        self.dialect: Final[Literal["sqlite", "postgresql"]] = (
            "postgresql" if url.startswith("postgres") else "sqlite"
        )
        self.file: Final = None if self.dialect == "postgresql" else _file(url, folder)
        """The file of SQLite; None: it is a server."""
        self._url = url
        self._engine: AsyncEngine | None = None
        self._writes: AsyncEngine | None = None
        self._opening = asyncio.Lock()
        self._one_writer = asyncio.Lock()
        self._reached = False
        self._connecting: set[asyncio.Task[None]] = set()
        self._failing: set[str] = set()
        """What it does not do at present: `reading`, `writing`."""
        if self.dialect == "postgresql" and find_spec("asyncpg") is None:
            raise SettingsError(
                "store.url (BRIDGE_STORE__URL) names a PostgreSQL server, which needs the 'postgres' extra: run"
                "  pip install 'phone-bridge[postgres]'",
                code="missing_extra",
            )

    @property
    def up(self) -> bool:
        """Whether it did what was last asked of it."""
        return self._reached and not self._failing

    @property
    def where(self) -> str:
        """Where it is, for people: without user and password."""
        if self.file is not None:
            return str(self.file)
        parts = urlsplit(self._url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def engine(self) -> AsyncEngine:
        """The engine. Raises StoreError where the database was never reached (code `store_unreachable`)."""
        if self._engine is None:
            raise StoreError(f"the database of calls at {self.where} is not open yet", code="store_unreachable")
        return self._engine

    async def open(self) -> None:
        """Connect, and bring the tables up to date. Does little where that is done already.

        Raises StoreError: `store_unreachable`, `store_too_new`, `store_damaged`. Cancelling is clean.
        """
        async with self._opening:
            if self._engine is None:
                await self._make_engine()
            async with self.reading() as connection:
                version = await connection.run_sync(migrating.version_of)
            known = migrating.revisions()
            if version == known[-1]:
                return
            if version is not None and version not in known:
                raise self._too_new(version)
            await self._migrate()

    async def once_up(self) -> None:
        """Wait for whoever opens it: two threads must not import SQLAlchemy at the same time."""
        while not self.up:  # noqa: ASYNC110  Nobody tells.
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> str | None:
        """Connect, and return the version of the tables: None where there are none. Changes nothing.

        Raises StoreError as `open` does.
        """
        if self._engine is None:
            await self._make_engine()
        async with self.reading() as connection:
            version = await connection.run_sync(migrating.version_of)
        if version is not None and version not in migrating.revisions():
            raise self._too_new(version)
        return version

    async def close(self) -> None:
        """Let go of every connection. What still uses one fails."""
        engine, self._engine, self._writes = self._engine, None, None
        self._reached = False
        if self._connecting:
            await asyncio.wait(self._connecting)
        if engine is not None:
            await engine.dispose()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the database for as long as the block lasts.

        Raises StoreError.
        """
        async with self._told("reading"), self._connected(self.engine) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, which is kept when the block ends and undone when it raises or is cancelled.

        With SQLite, one block at a time holds it in this process, and others wait. Raises StoreError.
        """
        one_at_a_time = self._one_writer if self.dialect == "sqlite" else contextlib.nullcontext()
        async with self._told("writing"), one_at_a_time:
            if self._writes is None:
                self._writes = self.engine.execution_options(writes=True)
            async with self._connected(self._writes) as connection, connection.begin():
                yield connection

    async def checkpoint(self) -> None:
        """Move what SQLite keeps in its log into its file, and empty the log: what was deleted stands there still.

        Where others are reading, some of it may stay until they are done and the next one comes.
        """
        if self.dialect != "sqlite":
            return
        async with self._told("writing"), self._one_writer, self._connected(self.engine) as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None  # noqa: S101  It is open.
            await (await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")).close()

    async def _make_engine(self) -> None:
        if self.file is not None:
            try:
                await asyncio.to_thread(partial(self.file.parent.mkdir, parents=True, exist_ok=True))
            except OSError as error:
                told = failures.unreachable(self.where, system_reason(error))
                self._failed("reading", told)
                raise told from error
        await asyncio.to_thread(migrating.revisions)
        self._engine = await asyncio.to_thread(partial(_engine, self._url, self.file, command_s=_COMMAND_S))

    async def _migrate(self) -> None:
        await asyncio.to_thread(migrating.scripts)
        engine = await asyncio.to_thread(partial(_engine, self._url, self.file, command_s=None))
        try:
            writes = engine.execution_options(writes=True)
            async with self._told("writing"), self._connected(writes) as connection, connection.begin():
                before, after = await connection.run_sync(migrating.migrate)
        finally:
            await engine.dispose()
        if before != after:
            _log.info("store_brought_up_to_date", where=self.where, before=before, after=after)

    @contextlib.asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection, which is given back when the block ends. Cancelling leaves none that is half made.

        SQLite's is made on a thread that tells the event loop of it afterwards, whoever waits still: were nobody to
        wait, the event loop might be closed by then, and the connection would be nobody's. So it is completed and
        given back where it is not wanted any more, and `close` waits for that.
        """
        asked: asyncio.Future[AsyncConnection] = asyncio.get_running_loop().create_future()
        connecting = spawn(_connect(engine, asked), name="store-connect")
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)
        try:
            connection = await asked
        except asyncio.CancelledError:
            if self.dialect == "postgresql":
                connecting.cancel()  # It has no thread, and a server that does not answer is not waited for.
            # It may have come in the same moment.
            if not asked.cancelled() and asked.exception() is None:
                await asked.result().close()
            raise
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_exit(connection)
            yield connection

    @contextlib.asynccontextmanager
    async def _told(self, doing: str) -> AsyncIterator[None]:
        """Turn what the database's libraries raise into StoreError, and log when it goes and when it is back."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            if (told := failures.store_error(error, self.where)) is None:
                raise
            self._failed(doing, told)
            raise told from error
        self._reached = True
        if self._failing:
            # Reading may work while writing does not; who can write can read.
            self._failing = set() if doing == "writing" else self._failing - {doing}
            if not self._failing:
                _log.info("store_back", where=self.where)

    def _failed(self, doing: str, error: StoreError) -> None:
        if not self._failing:
            _log.error("store_down", where=self.where, error=error.message)
        self._failing.add(doing)

    def _too_new(self, version: str) -> StoreError:
        error = StoreError(
            f"the database of calls at {self.where} was written by a newer phone-bridge (its tables are at"
            f" {version}, this one knows them up to {migrating.revisions()[-1]}): install that version, or name"
            " another database in store.url (BRIDGE_STORE__URL)",
            code="store_too_new",
        )
        self._failed("writing", error)
        return error


def _file(url: str, folder: Path) -> Path:
    """The file that a URL names, `sqlite:///FILE`; from the working folder on where it does not begin with /."""
    return (Path(url.removeprefix("sqlite:///")) if url else folder / FILE).absolute()


async def _connect(engine: AsyncEngine, asked: asyncio.Future[AsyncConnection]) -> None:
    """Make a connection for who waits for it; if nobody does any more, give it back."""
    try:
        connection = await engine.connect()
    except Exception as error:  # noqa: BLE001  who asked raises it, or went away
        if not asked.done():
            asked.set_exception(error)
        return
    if asked.done():
        await connection.invalidate()  # closed for good: its engine may have been let go meanwhile
        await connection.close()
    else:
        asked.set_result(connection)


def _engine(url: str, file: Path | None, *, command_s: float | None) -> AsyncEngine:
    """Make an engine. Blocks, as it imports SQLAlchemy."""
    from sqlalchemy import URL, event  # noqa: PLC0415  (see the head of this file)

    options: dict[str, Any] = {
        "json_serializer": partial(json.dumps, ensure_ascii=False),
        "hide_parameters": True,  # or what callers said would stand in the log
    }
    if file is None:
        import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415  (an extra, which ships no types)

        # Not by SQLAlchemy's own reading of the URL: asyncpg knows what libpq allows in one, as sslmode.
        connect = partial(asyncpg.connect, url, timeout=_CONNECT_S, command_timeout=command_s)
        return create_async_engine(
            "postgresql+asyncpg://", async_creator=connect, pool_pre_ping=True, pool_size=4, **options
        )
    address = URL.create("sqlite+aiosqlite", database=str(file))
    patience_s = _MIGRATING_S if command_s is None else _BUSY_S
    engine = create_async_engine(address, connect_args={"timeout": patience_s}, pool_size=4, **options)
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_in_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver's guess
    cursor = connection.cursor()
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    # Nobody is waited for here, so this fails where another does the same just now; and then that one has done it.
    with contextlib.suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _begin_in_sqlite(connection: Any) -> None:
    """Begin a transaction: one that writes takes its place at once, as it could not get it later for certain."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
