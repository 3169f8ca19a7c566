"""Databases with calls in them, for the tests of what reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from bridge.store.sql import migrating, schema
from bridge.store.sql.database import Database

NOON = 1_772_366_400_000
"""2026-03-01 12:00 UTC."""


@asynccontextmanager
async def kept(url: str, folder: Path, to: str = "head") -> AsyncIterator[Database]:
    """An empty database, its tables at the newest or another revision; `url` as in the settings."""
    database = Database(url, folder)
    if to == "head":
        await database.open()
    else:
        await database.look()
        await asyncio.to_thread(migrating.scripts)
        async with database.writing() as connection:
            await connection.run_sync(migrating.migrate, to)
    try:
        yield database
    finally:
        await database.close()


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


async def put(database: Database, calls: Sequence[dict[str, Any]], turns: Sequence[dict[str, Any]] = ()) -> None:
    async with database.writing() as connection:
        for one in calls:
            await connection.execute(insert(schema.calls), one)
        for one in turns:
            await connection.execute(insert(schema.turns), one)
