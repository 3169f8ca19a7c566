"""The statements of `bridge.store.sql.owning`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, or_, select, update

from bridge.store.sql.inserting import insert_into
from bridge.store.sql.owning import Claimed, Owner
from bridge.store.sql.schema import calls, journal, owners, passed, used_tokens

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def owner_of(connection: AsyncConnection, sid: str) -> Owner | None:
    """Who holds the call with this id of the carrier's, if that is not over."""
    columns = (owners.c.call_id, owners.c.node, owners.c.epoch)
    going_on = select(*columns).join(calls).where(owners.c.sid == sid, calls.c.ended.is_(None))
    row = (await connection.execute(going_on.order_by(calls.c.started_at.desc()).limit(1))).first()
    return None if row is None else Owner(*row)


async def node_of(connection: AsyncConnection, name: str) -> str | None:
    """The node of a call, by either of its ids, also when it is over."""
    found = select(owners.c.node).where(or_(owners.c.call_id == name, owners.c.sid == name))
    return (await connection.execute(found.order_by(owners.c.claimed_at.desc()).limit(1))).scalar()


async def claim(connection: AsyncConnection, owner: Owner, node: str, *, given: bool = False) -> Claimed | None:
    """Compare and set, note who held it, and read what there is of the call; as `Owners.claim`."""
    # The same lock as whoever moves the call along: what it has put in is read here, and it puts in no more.
    going_on = (calls.c.id == owner.call_id, calls.c.ended.is_(None))
    locked = select(calls.c.folder, calls.c.journal_bytes).where(*going_on).with_for_update()
    call = (await connection.execute(locked)).first()
    if call is None:
        return None
    mine = {"node": node, "epoch": owner.epoch + 1, "claimed_at": round(time.time() * 1000)}
    unchanged = (owners.c.call_id == owner.call_id, owners.c.node == owner.node, owners.c.epoch == owner.epoch)
    if (await connection.execute(update(owners).where(*unchanged).values(mine))).rowcount != 1:
        return None
    before = {"node": owner.node, "epoch": owner.epoch, "passed_at": mine["claimed_at"], "given": given}
    there = {"call_id": owner.call_id, "journal_bytes": call.journal_bytes, "merged": False}
    await connection.execute(insert(passed).values(**before, **there))
    pieces = select(journal.c.begins, journal.c.text).where(journal.c.call_id == owner.call_id)
    text = bytearray()
    for begins, piece in await connection.execute(pieces.order_by(journal.c.begins)):
        if begins != len(text):
            break  # It was changed by hand on the disk: what follows cannot be put together.
        text += piece
    whole = len(text) == call.journal_bytes
    return Claimed(call.folder, bytes(text) if whole else b"")


async def use(connection: AsyncConnection, token: str, at_ms: int, before_ms: int | None) -> bool:
    """Note that a token was used; False: it was already. Those used before a moment are taken out."""
    if before_ms is not None:
        await connection.execute(delete(used_tokens).where(used_tokens.c.used_at < before_ms))
    once = insert_into(connection, used_tokens).values(token=token, used_at=at_ms).on_conflict_do_nothing()
    return (await connection.execute(once)).rowcount == 1
