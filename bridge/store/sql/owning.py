"""Which of many nodes holds a call, and how another takes it over: one update, which only one of several wins.

Whoever holds a call writes its rows. A node that has been overtaken finds them refused by
`putting.moved_meanwhile`, which looks at the same row under the same lock as the claim.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import time
from dataclasses import dataclass
from typing import Final

import structlog

from bridge.errors import StoreError
from bridge.store.sql.database import Database

_TOKENS_KEPT_MS: Final = 600_000
"""Tokens of media streams are too old much sooner."""
_CLEAR_EVERY: Final = 500
"""After so many tokens the old ones are taken out."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a call."""

    call_id: str
    node: str
    epoch: int
    """1, 2, 3 …: how often the call has had an owner."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A call that is this node's from now on, as far as the database has it."""

    folder: str
    """Below that of the calls, with / between its parts."""
    journal: bytes
    """As it stood on the disk of the node before, from its first byte on; empty: it is not kept."""


class Owners:
    """Asks and claims. Everything raises StoreError where the database is away."""

    def __init__(self, database: Database, *, follows: bool = False) -> None:
        """`follows`: a `Keeper` of this process opens the database, and is waited for; else it is opened here."""
        self._database = database
        self._follows = follows
        self._opened = False
        self._tokens = 0

    @property
    def up(self) -> bool:
        """Whether it did what it was asked last."""
        return self._database.up

    async def of(self, sid: str) -> Owner | None:
        """Return who holds the call with this id of the carrier's; None: nobody in particular, or it is over."""
        await self._open()
        from bridge.store.sql.claims import owner_of  # noqa: PLC0415  (SQLAlchemy is slow to import)

        async with self._database.reading() as connection:
            return await owner_of(connection, sid)

    async def node_of(self, name: str) -> str | None:
        """Return the node that holds a call, by either of its ids, or held it last; None: none in particular."""
        await self._open()
        from bridge.store.sql import claims  # noqa: PLC0415

        async with self._database.reading() as connection:
            return await claims.node_of(connection, name)

    async def claim(self, owner: Owner, node: str, *, given: bool = False) -> Claimed | None:
        """Let `node` hold the call in the place of `owner`; None: somebody else does by now, or it is over.

        `given`: the owner has handed over all that it had of the journal.
        """
        await self._open()
        from bridge.store.sql import claims  # noqa: PLC0415

        async with self._database.writing() as connection:
            claimed = await claims.claim(connection, owner, node, given=given)
        if claimed is not None:
            log.info("call_claimed", call=owner.call_id, of=owner.node, epoch=owner.epoch + 1)
        return claimed

    async def use(self, token: str) -> bool:
        """Use up what is good once, for all nodes. False: it was used before."""
        await self._open()
        from bridge.store.sql import claims  # noqa: PLC0415

        digest = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        self._tokens += 1
        before = _now_ms() - _TOKENS_KEPT_MS if self._tokens % _CLEAR_EVERY == 1 else None
        async with self._database.writing() as connection:
            return await claims.use(connection, digest, _now_ms(), before)

    async def get_ready(self) -> None:
        """Do early what takes its time: when a call is asked for, somebody waits in silence. Raises nothing."""
        with contextlib.suppress(StoreError):
            await self._open()

    async def _open(self) -> None:
        if self._follows:
            await self._database.once_up()
        if not self._opened:
            await self._database.open()
            await asyncio.to_thread(importlib.import_module, "bridge.store.sql.claims")
            self._opened = True


def _now_ms() -> int:
    return round(time.time() * 1000)
