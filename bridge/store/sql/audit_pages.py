"""Reads the audit in parts, what was done last first."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from bridge.store.sql.cursors import cursor as cursor_at
from bridge.store.sql.cursors import position

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Readable(Protocol):
    """What is needed of a database."""

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that only reads."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what."""

    at: int
    """Milliseconds since 1970."""
    who: str
    what: str
    call_id: str
    detail: str


class AuditPages:
    """The audit, in parts. Errors of the database are `BridgeError`s, as `Database` raises them."""

    def __init__(self, database: Readable) -> None:
        self._database = database

    async def page(self, cursor: str | None, limit: int) -> tuple[list[AuditRow], str | None]:
        """Return `limit` lines at most, and the cursor of what follows; None: there is nothing more.

        Raises `BridgeError` (code `cursor_invalid`) for a cursor that no page gave.
        """
        before = None
        if cursor is not None:
            (before,) = position(cursor, tuple[Annotated[int, msgspec.Meta(ge=0, le=2**53)]])
        async with self._database.reading() as connection:
            from sqlalchemy import select  # noqa: PLC0415  (slow to import, and there where the database is open)

            from bridge.store.sql.schema import audit  # noqa: PLC0415

            lines = select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
            if before is not None:
                lines = lines.where(audit.c.id < before)
            found = (await connection.execute(lines)).mappings().all()
        rows = [AuditRow(**{name: row[name] for name in AuditRow.__slots__}) for row in found[:limit]]
        return rows, cursor_at((found[limit - 1]["id"],)) if len(found) > limit else None
