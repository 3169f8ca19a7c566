"""Reading the record of calls: the list, one call, and the full-text search, on SQLite and PostgreSQL alike.

What asks the database is in `call_reader.py`, which is imported when it is needed first: it needs SQLAlchemy, whose
import takes a while, and a bridge that begins is to take calls before that.
"""

from __future__ import annotations

import asyncio
import importlib
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bridge.store.sql.call_filter import CallFilter
from bridge.store.sql.call_rows import CallDetail, CallRow, Hit, Page, Snippet, Stats, TurnRow

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bridge.store.sql.call_reader import CallReader

__all__ = ["CallDetail", "CallFilter", "CallRow", "Calls", "Hit", "Page", "Snippet", "Stats", "TurnRow"]


class Readable(Protocol):
    """What is needed of a database."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that only reads."""


class Calls:
    """Reads kept calls. Raises what the database raises when it does not answer; cancelling does no harm."""

    def __init__(self, database: Readable, folder: Path) -> None:
        """`folder` is that of all calls, `store.recordings`."""
        self._database = database
        self._folder = folder
        self._reader: CallReader | None = None

    async def page(
        self, wanted: CallFilter | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[CallRow]:
        """Calls, newest first, `limit` of them at most (500 in any case).

        Raises `BridgeError` (code `cursor_invalid`) for a cursor that no page gave.
        """
        return await (await self._reading()).page(wanted, cursor, limit)

    async def get(self, call: str) -> CallDetail | None:
        """All that is kept of a call, by its id or the carrier's; None: there is no such call."""
        return await (await self._reading()).get(call)

    async def ids(self, start: str, limit: int = 10) -> list[str]:
        """Ids of calls whose id, or the carrier's, starts so; newest first."""
        return await (await self._reading()).ids(start, limit)

    async def search(
        self, query: str, wanted: CallFilter | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Hit]:
        """Turns whose text fits the query (see `search_query.py`), what was kept last first.

        No query is an error; one without a word finds nothing. Otherwise as `page`.
        """
        return await (await self._reading()).search(query, wanted, cursor, limit)

    async def stats(self) -> Stats:
        """What is kept, in figures."""
        return await (await self._reading()).stats()

    async def _reading(self) -> CallReader:
        if self._reader is None:
            await asyncio.to_thread(importlib.import_module, "bridge.store.sql.call_reader")
            from bridge.store.sql.call_reader import CallReader  # noqa: PLC0415  (it is there by now)

            self._reader = CallReader(self._database, self._folder)
        return self._reader
