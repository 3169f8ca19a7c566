"""The audit: who heard, took away or erased what of which call. Each line is durable before it is done.

Where the database is away, a line goes to a file in the folder of the calls, and into the database later, once. Who
cannot leave a line anywhere does not get what they wanted: what is heard without one could never be told again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from bridge.errors import BridgeError, StoreError, system_reason
from bridge.store.sql.database import Database

_log = structlog.get_logger()

WAITING: Final = "audit.jsonl"
"""The lines that the database has not got yet."""
_WITHIN_S: Final = 2.0
"""How long the database may take, before the file is used: somebody waits for what they asked for."""
_AT_ONCE: Final = 500


class Audit:
    """Writes the audit. Everything here runs on one event loop."""

    def __init__(self, database: Database, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        """`folder` is that of all calls."""
        self._database = database
        self._file = folder / WAITING
        self._clock = clock
        self._filing = asyncio.Lock()

    async def write(self, who: str, what: str, call_id: str = "", detail: str = "") -> None:
        """Leave a line, durable once this returns. It waits for the database for two seconds at most.

        Raises BridgeError (code `audit_not_written`) where neither the database nor the disk takes it: what was to
        be done must not be done then. Being cancelled, it may or may not be written.
        """
        line = self.line(who, what, call_id, detail)
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._database.open()  # Who asks early, asks before the tables are there.
                await self._put([line])
        except (StoreError, TimeoutError):
            await self._keep(line)

    def line(self, who: str, what: str, call_id: str = "", detail: str = "") -> dict[str, Any]:
        """Return a line as the table has it."""
        at = round(self._clock() * 1000)
        return {
            "at": at,
            "who": who,
            "what": what[:32],
            "call_id": call_id[:64],
            "detail": detail,
            "ref": secrets.token_hex(16),
        }

    async def read(self, limit: int, *, since_ms: int | None = None, **wanted: str | None) -> list[dict[str, Any]]:
        """Return the last lines, what was done last first: `at`, `who`, `what`, `call_id` and `detail` of each.

        `wanted`: what some of these must be. Raises StoreError, and OSError for lines that wait and cannot be read.
        """
        from bridge.store.sql import removing, schema  # noqa: PLC0415  (as in `_put`)

        await self.take_in()
        fits = [schema.audit.c[name] == value for name, value in wanted.items() if value is not None]
        if since_ms is not None:
            fits.append(schema.audit.c.at >= since_ms)
        async with self._database.reading() as connection:
            return await removing.noted(connection, *fits, limit=limit)

    async def take_in(self) -> int:
        """Put the lines that wait in the file into the database. Returns how many there were.

        Raises StoreError, and OSError. A line that is in already stays as it is, so it may break off anywhere.
        """
        async with self._filing:
            while True:
                content = await asyncio.to_thread(self._content)
                if content is None:
                    return 0
                lines = self._lines(content)
                for first in range(0, len(lines), _AT_ONCE):
                    await self._put(lines[first : first + _AT_ONCE])
                if await asyncio.to_thread(self._remove, len(content)):
                    break  # Else a command has left a line meanwhile.
        _log.info("audit_taken_in", lines=len(lines))
        return len(lines)

    async def _put(self, lines: list[dict[str, Any]]) -> None:
        from bridge.store.sql import removing  # noqa: PLC0415  (SQLAlchemy is slow to import)

        async with self._database.writing() as connection:
            await removing.note(connection, lines)

    async def _keep(self, line: dict[str, Any]) -> None:
        async with self._filing:
            try:
                await asyncio.to_thread(self._append, msgspec.json.encode(line) + b"\n")
            except OSError as error:
                raise BridgeError(
                    f"this cannot be done, as it cannot be kept who has done it: {self._file} cannot be written"
                    f" ({system_reason(error)}), and the database of calls is away",
                    code="audit_not_written",
                ) from None
        _log.warning("audit_waits_in_file", file=str(self._file), what=line["what"])

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            # Behind a line that a full disk has cut, so that it does not spoil this one.
            if file.write(b"\n" + line) != len(line) + 1:
                raise OSError(28, "it could not be written whole")
            os.fsync(file.fileno())

    def _content(self) -> bytes | None:
        """What the file holds; None: there is none."""
        try:
            return self._file.read_bytes()
        except FileNotFoundError:
            return None

    def _remove(self, size: int) -> bool:
        """Remove the file, unless it has grown beyond this."""
        if self._file.stat().st_size != size:
            return False
        self._file.unlink()
        return True

    def _lines(self, content: bytes) -> list[dict[str, Any]]:
        """The lines that wait; those that are torn are passed over."""
        lines: list[dict[str, Any]] = []
        for text in content.split(b"\n"):
            try:
                line = msgspec.json.decode(text, type=_Line) if text else None
            except msgspec.MsgspecError:
                _log.warning("audit_line_torn", file=str(self._file))
                continue
            if line is not None:
                lines.append(msgspec.structs.asdict(line))
        return lines


class _Line(msgspec.Struct, frozen=True):
    at: int
    who: str
    what: str
    call_id: str
    detail: str
    ref: str
