"""The statements about calls of ours that wait to be placed: each has one node that may place it.

Everything here is for a transaction of its own. A row is gone once the carrier was asked and has answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from bridge.store.sql.schema import orders

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

NOBODY = ""
"""The node of an order that was handed on."""


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """A row."""

    id: str
    placing: bool
    """The carrier was being asked when its node was last heard of."""
    ordered_at: int
    """Ms since 1970."""
    data: str


async def add(connection: AsyncConnection, order: KeptOrder, node: str) -> None:
    """Keep an order that waits at a node."""
    values = {"id": order.id, "node": node, "placing": False, "ordered_at": order.ordered_at, "data": order.data}
    await connection.execute(insert(orders).values(values))


async def mark(connection: AsyncConnection, order_id: str, node: str, *, placing: bool) -> bool:
    """Note that the carrier is asked now, or that it has to be asked again. False: it is another node's by now."""
    mine = (orders.c.id == order_id, orders.c.node == node)
    return (await connection.execute(update(orders).where(*mine).values(placing=placing))).rowcount == 1


async def forget(connection: AsyncConnection, order_id: str, node: str) -> None:
    """The order is no more, unless it is another node's."""
    await connection.execute(delete(orders).where(orders.c.id == order_id, orders.c.node == node))


async def hand_on(connection: AsyncConnection, node: str) -> int:
    """Let whoever wants them have the orders that wait at a node; returns how many those are."""
    waiting = (orders.c.node == node, orders.c.placing.is_(False))
    return int((await connection.execute(update(orders).where(*waiting).values(node=NOBODY))).rowcount)


async def nodes(connection: AsyncConnection) -> set[str]:
    """The nodes that have orders."""
    return set((await connection.execute(select(orders.c.node).distinct())).scalars())


async def take(connection: AsyncConnection, of: str, node: str, limit: int) -> list[KeptOrder]:
    """Let `node` have the oldest orders of a node, and return them. Those that were being placed are forgotten."""
    columns = (orders.c.id, orders.c.placing, orders.c.ordered_at, orders.c.data)
    oldest = select(*columns).where(orders.c.node == of).order_by(orders.c.ordered_at, orders.c.id).limit(limit)
    # Whoever comes second passes over what the first has locked.
    rows = (await connection.execute(oldest.with_for_update(skip_locked=True))).all()
    found = [KeptOrder(*row) for row in rows]
    waiting = [order.id for order in found if not order.placing]
    unknown = [order.id for order in found if order.placing]
    await connection.execute(update(orders).where(orders.c.id.in_(waiting)).values(node=node))
    await connection.execute(delete(orders).where(orders.c.id.in_(unknown)))
    return found
