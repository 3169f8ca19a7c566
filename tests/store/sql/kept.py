"""Databases with calls in them, for the tests of what reads them."""

from __future__ import annotations

import asyncio
import tempfile
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bridge.store.sql import schema
from bridge.store.sql.search_index import MAKE

NOON = 1_772_366_400_000
"""2026-03-01 12:00 UTC."""


class Plain:
    """A database with tables and index, and nothing around it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.begin() as connection:
            yield connection


@cache
def postgres() -> str:
    """The folder of a PostgreSQL server of this process's own, which ends with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's own paths
        from pgserver.postgres_server import get_server

        folder = tempfile.mkdtemp(prefix="postgres-")
        get_server(folder, cleanup_mode="delete")
    return folder


@asynccontextmanager
async def kept(dialect: str, file: Path | None = None) -> AsyncIterator[Plain]:
    """An empty database; SQLite's in memory, or in a file."""
    url = f"sqlite+aiosqlite:///{file or ':memory:'}"
    if dialect == "postgresql":
        url = f"postgresql+asyncpg://postgres@/postgres?host={await asyncio.to_thread(postgres)}"
    database = await plain(url)
    try:
        yield database
    finally:
        await database.engine.dispose()


async def plain(url: str) -> Plain:
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys = ON").close())
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
        await connection.run_sync(schema.metadata.create_all)
        for statement in MAKE[engine.dialect.name]:
            await connection.execute(text(statement))
    return Plain(engine)


def call(name: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    """A row of a call that began so many minutes after noon."""
    return {
        "id": name,
        "sid": f"CA{name}",
        "direction": "inbound",
        "caller": "+15551234567",
        "called": "+15557654321",
        "agent_kind": "webhook",
        "started_at": NOON + minute * 60_000,
        "duration_ms": 60_000,
        "ended": "caller",
        "folder": f"2026-03-01/{name}",
        **more,
    }


def turn(call: str, seq: int, said: str, speaker: str = "caller", **more: Any) -> dict[str, Any]:
    row = {"call_id": call, "seq": seq, "speaker": speaker, "number": seq, "text": said}
    return {**row, "started_ms": seq * 1000, "ended_ms": seq * 1000 + 900, **more}


async def put(database: Any, calls: Sequence[dict[str, Any]], turns: Sequence[dict[str, Any]] = ()) -> None:
    async with database.writing() as connection:
        for one in calls:
            await connection.execute(insert(schema.calls), one)
        for one in turns:
            await connection.execute(insert(schema.turns), one)
