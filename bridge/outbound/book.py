"""Keeps orders that wait where other nodes find them, and takes those of nodes that are no more.

An order is one node's at a time, and that has to say in the database that it asks the carrier before it does: so
nobody is called twice, however wrong a node is about another's death. Where it is not known what the carrier has
made of an order, as its node died while it asked, it is told as failed, and not placed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import importlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
import structlog

from bridge.errors import StoreError
from bridge.outbound.order import Order
from bridge.outbound.progress import OutboundCall
from bridge.store.sql.database import Database

_ADDED_WITHIN_S: Final = 0.5
"""Whoever orders a call waits so long until it is kept; then it is taken all the same, and goes with its node."""
_ASKED_WITHIN_S: Final = 3.0
_SWEEP_S: Final = 5.0
_MISSED: Final = 2
"""A node that was not there at so many looks, one after the other, is no more."""
_AT_ONCE: Final = 50
_OLDEST_S: Final = 3600.0
"""Nobody wants to be called hours after somebody has ordered it."""

log = structlog.get_logger()


class Takes(Protocol):
    """Who places orders."""

    def adopt(self, call: OutboundCall, key: str) -> None:
        """Place a call that another process has taken the order of."""

    def adopt_over(self, call: OutboundCall) -> None:
        """Tell of a call that is over, of which another process has taken the order."""


class OrderBook:
    """The orders of one node."""

    def __init__(
        self, database: Database, node: Callable[[], str], there: Callable[[str], Awaitable[bool | None]]
    ) -> None:
        """`there` tells whether a node is there; None: that cannot be told."""
        self._database = database
        self._node = node
        self._there = there
        self._statements: Any = None
        self._ready = asyncio.Event()
        """Set once the database is open: soon after the start."""

    async def add(self, call: OutboundCall, key: str) -> bool:
        """Keep an order. False: it is not kept, and nobody else knows of it. Never raises."""
        data = msgspec.json.encode({"order": call.order, "key": key, "created_at": call.created_at}).decode()
        ordered_at = _ms(dt.datetime.now(dt.UTC))
        try:
            async with asyncio.timeout(_ADDED_WITHIN_S):
                await self._ready.wait()
                kept = self._statements.KeptOrder(call.id, placing=False, ordered_at=ordered_at, data=data)
                async with self._database.writing() as connection:
                    await self._statements.add(connection, kept, self._node())
        except Exception as error:  # noqa: BLE001  Whatever it is, the call can be placed without.
            log.warning("order_not_kept", call=call.id, error=str(error) or "the database does not answer")
            return False
        return True

    async def begin(self, call: OutboundCall) -> bool:
        """The carrier is asked for a call now. False: that is for another node. Raises StoreError."""
        return await self._mark(call, placing=True)

    async def back(self, call: OutboundCall) -> None:
        """The carrier has not taken a call: it waits again. Raises StoreError."""
        await self._mark(call, placing=False)

    async def forget(self, call: OutboundCall) -> None:
        """An order waits no more. Raises StoreError."""
        async with _soon(), self._database.writing() as connection:
            await self._statements.forget(connection, call.id, self._node())

    async def hand_on(self) -> None:
        """Let other nodes have what waits here, or this one when it starts again. Never raises."""
        if self._statements is None:
            return
        try:
            async with _soon(), self._database.writing() as connection:
                number = await self._statements.hand_on(connection, self._node())
        except StoreError as error:
            log.warning("orders_not_handed_on", error=error.message)
        else:
            if number:
                log.info("orders_handed_on", orders=number)

    async def run(self, taker: Takes) -> None:
        """Take what this node left in an earlier life, and what others leave; until cancelled."""
        missed: Counter[str] = Counter()
        left: str | None = self._node()
        while True:
            try:
                if self._statements is None:
                    await self._open()
                if left is not None:
                    await self._take(left, taker)
                    left = None
                await self._sweep(missed, taker)
            except StoreError as error:
                log.info("orders_not_looked_for", error=error.message)
            except Exception:  # A fault in one look must not end the looking.
                log.exception("orders_not_looked_for")
            await asyncio.sleep(_SWEEP_S)

    async def _open(self) -> None:
        """Be ready behind whoever opens the database."""
        await self._database.once_up()
        await self._database.open()
        self._statements = await asyncio.to_thread(importlib.import_module, "bridge.store.sql.orders")
        self._ready.set()

    async def _sweep(self, missed: Counter[str], taker: Takes) -> None:
        async with _soon(), self._database.reading() as connection:
            nodes = await self._statements.nodes(connection)
        for node in nodes - {self._node()}:
            missed[node] = missed[node] + 1 if node and await self._there(node) is False else 0
            if not node or missed[node] >= _MISSED:
                await self._take(node, taker)

    async def _take(self, of: str, taker: Takes) -> None:
        node = self._node()
        async with _soon(), self._database.writing() as connection:
            found = await self._statements.take(connection, of, node, _AT_ONCE)
        now = _ms(dt.datetime.now(dt.UTC))
        for kept in found:
            raw = msgspec.json.decode(kept.data)
            order = msgspec.convert(raw["order"], Order)
            call = OutboundCall(kept.id, order, requested_at=0.0, created_at=raw["created_at"])
            log.info("order_taken_over", call=call.id, of=of or "nobody", placing=kept.placing)
            if kept.placing:
                detail = "its node ended while it asked Twilio for this call: whether that placed it is not known"
                call.end("failed", "unknown", detail)
            elif now - kept.ordered_at > _OLDEST_S * 1000:
                call.end("failed", "too_late", f"it could not be placed within {_OLDEST_S / 60:.0f} minutes")
                await self.forget(call)
            if call.over:
                taker.adopt_over(call)
            else:
                taker.adopt(call, raw["key"])

    async def _mark(self, call: OutboundCall, *, placing: bool) -> bool:
        async with _soon(), self._database.writing() as connection:
            marked: bool = await self._statements.mark(connection, call.id, self._node(), placing=placing)
            return marked


@contextlib.asynccontextmanager
async def _soon() -> AsyncIterator[None]:
    """A time limit that is an error of the database's. A TimeoutError of what is limited stays what it is."""
    limit = asyncio.timeout(_ASKED_WITHIN_S)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise StoreError("the database does not answer", code="store_unreachable") from None


def _ms(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)
