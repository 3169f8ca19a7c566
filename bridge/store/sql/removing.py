"""The statements that erase calls, remember that they were erased, and write the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, or_, select, text, update

from bridge.store.sql.inserting import insert_into
from bridge.store.sql.schema import (
    actions,
    audit,
    calls,
    journal,
    leftovers,
    legs,
    notes,
    owners,
    passed,
    tombstones,
    transcriptions,
    turns,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_OF_CALLS: Final = (turns, actions, legs, notes, transcriptions, owners, journal, passed, leftovers)


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A call as far as erasing it goes."""

    id: str
    sid: str
    folder: str
    """Below that of all calls, with / between its parts."""
    ended: bool


async def named(connection: AsyncConnection, name: str) -> list[KnownCall]:
    """The call of this id; else those of the carrier's id."""
    found = await _known(connection, calls.c.id == name)
    return found or await _known(connection, calls.c.sid == name)


async def of_number(connection: AsyncConnection, forms: Sequence[str]) -> list[KnownCall]:
    """The calls that somebody had with a number, in any of its forms: as caller, called, or connected with them."""
    columns = (calls.c.caller, calls.c.called, calls.c.other, calls.c.transfer_to)
    transferred = select(legs.c.call_id).where(legs.c.kind == "transfer", legs.c.party.in_(forms))
    return await _known(connection, or_(calls.c.id.in_(transferred), *(column.in_(forms) for column in columns)))


async def older_than(connection: AsyncConnection, moment_ms: int, limit: int) -> list[KnownCall]:
    """The oldest calls that began before a moment."""
    return await _known(connection, calls.c.started_at < moment_ms, limit=limit)


async def folders_among(connection: AsyncConnection, folders: Sequence[str]) -> set[str]:
    """Those of some folders that a row names."""
    found = await connection.execute(select(calls.c.folder).where(calls.c.folder.in_(folders)))
    return set(found.scalars())


async def _known(connection: AsyncConnection, which: Any, limit: int | None = None) -> list[KnownCall]:
    columns = (calls.c.id, calls.c.sid, calls.c.folder, calls.c.ended)
    statement = select(*columns).where(which).order_by(calls.c.started_at, calls.c.id).limit(limit)
    rows = (await connection.execute(statement)).all()
    return [KnownCall(row.id, row.sid, row.folder, row.ended is not None) for row in rows]


async def bury(connection: AsyncConnection, call_id: str, at_ms: int, rest: dict[str, Any]) -> None:
    """Delete a call's rows, and remember for ever that it was erased and what is left to be done for that."""
    await _delete(connection, call_id)
    stone = insert_into(connection, tombstones).values(call_id=call_id, erased_at=at_ms, rest=rest)
    await connection.execute(stone.on_conflict_do_update(index_elements=["call_id"], set_={"rest": rest}))


async def buried(connection: AsyncConnection, call_id: str) -> None:
    """Remember that nothing is left of a call.

    Its rows are deleted once more: a writer that had read its journal before may have put it in at that moment.
    """
    await _delete(connection, call_id)
    done = update(tombstones).where(tombstones.c.call_id == call_id).values(rest=None)
    await connection.execute(done)


async def unfinished(connection: AsyncConnection) -> list[tuple[str, dict[str, Any]]]:
    """The calls that were being erased when something came in between, and what is left to be done."""
    left = select(tombstones.c.call_id, tombstones.c.rest).where(tombstones.c.rest.is_not(None))
    return [(row.call_id, row.rest) for row in (await connection.execute(left)).all()]


async def _delete(connection: AsyncConnection, call_id: str) -> None:
    if connection.dialect.name == "sqlite":
        # Else the words stay in the file, on pages that are free to be used again.
        await connection.execute(text("PRAGMA secure_delete = ON"))
    for table in _OF_CALLS:
        await connection.execute(delete(table).where(table.c.call_id == call_id))
    await connection.execute(delete(calls).where(calls.c.id == call_id))


async def forget_words(connection: AsyncConnection) -> None:
    """Have SQLite's full-text index let go of deleted turns, whose words it keeps until it is next merged."""
    if connection.dialect.name != "sqlite":
        return
    there = text("SELECT 1 FROM sqlite_master WHERE name = 'turn_words'")
    if (await connection.execute(there)).first() is not None:
        await connection.execute(text("INSERT INTO turn_words(turn_words) VALUES ('optimize')"))


async def note(connection: AsyncConnection, lines: Sequence[dict[str, Any]]) -> None:
    """Put lines of the audit in; those that are in already stay as they are."""
    for line in lines:
        await connection.execute(
            insert_into(connection, audit).values(line).on_conflict_do_nothing(index_elements=["ref"])
        )


async def noted(connection: AsyncConnection, *conditions: Any, limit: int) -> list[dict[str, Any]]:
    """The lines of the audit that fit, what was done last first."""
    columns = (audit.c.at, audit.c.who, audit.c.what, audit.c.call_id, audit.c.detail)
    statement = select(*columns).where(*conditions).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    return [dict(row) for row in (await connection.execute(statement)).mappings()]
