"""What a node had kept of a call alone, when another took it: merged into the record once that node is back.

The call goes on without it: nobody who holds the call reads it, and no row of the call changes. It is kept beside
them, each entry with its own time, and with the name of the node that had it.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import and_, func, select, update

from bridge.store.bringing import LEFT
from bridge.store.folder import JOURNAL
from bridge.store.journal_file import read_line
from bridge.store.sql.database import Database
from bridge.store.sql.inserting import insert_into
from bridge.store.sql.rows import clean_data
from bridge.store.sql.schema import calls, leftovers, owners, passed

_TIMES: Final = ("at_ms", "started_ms", "asked_ms", "ended_ms", "to_ms")
"""Where an entry tells when it was, the first that it has."""

_log = structlog.get_logger()


async def merge(database: Database, folder: Path, node: str, call_id: str = "") -> None:
    """Put in what `node` has of calls that others took from it; each entry once, however often this is done.

    `folder` is that of its calls. With `call_id` only of that call, which it is about to let go of: what it writes
    until then goes in when this is done again. Raises StoreError.
    """
    of = passed.c.call_id == call_id if call_id else passed.c.merged.is_(False)
    mine = and_(passed.c.node == node, of)
    newest = func.max(passed.c.epoch).label("epoch")
    async with database.reading() as connection:
        found = (
            await connection.execute(select(passed.c.call_id, newest).where(mine).group_by(passed.c.call_id))
        ).all()
    for row in found:
        await _merge_call(database, folder, node, row, final=not call_id)


async def _merge_call(database: Database, folder: Path, node: str, row: Any, *, final: bool) -> None:
    last = and_(passed.c.call_id == row.call_id, passed.c.epoch == row.epoch)
    columns = (calls.c.folder, owners.c.node, passed.c.journal_bytes, passed.c.given)
    wanted = select(*columns).join_from(passed, calls).join(owners).where(last)
    async with database.writing() as connection:
        # As long as this lock is held, the call does not come back, and its journal here stays as it is.
        call = (await connection.execute(wanted.with_for_update(of=calls))).first()
        if call is None:
            return  # It was erased meanwhile.
        own = call.journal_bytes if call.node != node and not call.given else None
        lines = await asyncio.to_thread(_lines, folder / call.folder, own)
        for line in lines:
            one = {"call_id": row.call_id, "node": node, **line}
            await connection.execute(insert_into(connection, leftovers).values(one).on_conflict_do_nothing())
        if final:
            done = (passed.c.call_id == row.call_id, passed.c.node == node, passed.c.epoch <= row.epoch)
            await connection.execute(update(passed).where(*done).values(merged=True))
    if lines:
        _log.info("leftovers_merged", call=row.call_id, entries=len(lines))


def _lines(folder: Path, position: int | None) -> list[dict[str, Any]]:
    """What this disk has alone: what was put aside when the call came back, and what stands behind `position`."""
    text = b""
    for name, begins in ((LEFT, 0), *([] if position is None else [(JOURNAL, position)])):
        try:
            with (folder / name).open("rb") as file:
                file.seek(begins)
                text += file.read() + b"\n"
        except FileNotFoundError:
            continue
        except OSError as error:
            _log.warning("leftovers_not_read", folder=str(folder), error=str(error))
    rows = []
    for line in filter(None, text.split(b"\n")):
        try:
            data = read_line(line)[0]
        except (ValueError, TypeError):
            continue  # The node died while it wrote this.
        at_ms = next((data[name] for name in _TIMES if isinstance(data.get(name), int)), 0)
        rows.append({"line": hashlib.sha256(line).hexdigest()[:32], "at_ms": at_ms, "data": clean_data(data)})
    return rows
