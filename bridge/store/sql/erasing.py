"""Erases calls: everything that is kept of them, in an order in which nothing comes back whatever comes in between.

First, in one transaction: the rows go, the audit gets its line, and a tombstone says what else there is to remove;
from then on the call is gone for everybody, and its journal never goes into the database again. Then its folder
goes, and what else holds something of it. At last the tombstone is told that nothing is left. What breaks off on
the way is completed at the next start, or with the next sweep.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog
from msgspec import Struct

from bridge.errors import BridgeError
from bridge.store.sql import folders
from bridge.store.sql.audit import Audit
from bridge.store.sql.database import Database

if TYPE_CHECKING:
    from bridge.store.sql.removing import KnownCall

_log = structlog.get_logger()

Elsewhere: TypeAlias = Callable[[frozenset[str]], int]
"""Removes what else holds something of calls, given their ids, and returns how much that was. Runs on a thread, may
be called again for the same calls, and raises OSError."""

_NOT_IN_NUMBERS: Final = re.compile(r"[\s().\-/]+")


class Erased(Struct, frozen=True):
    """What was erased."""

    calls: tuple[str, ...]
    """Their ids."""
    files: int = 0
    elsewhere: int = 0
    """Deliveries and the like that waited."""
    live: tuple[str, ...] = ()
    """Ids of calls that go on, and so were not erased: to be tried again when they are over."""
    left: tuple[str, ...] = ()
    """Ids of those of which something could not be removed yet; it is tried again by itself."""


class Eraser:
    """Erases calls. Everything here runs on one event loop; errors of the database are StoreErrors."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        live: Callable[[str], bool],
        *,
        audit: Audit | None = None,
        elsewhere: Sequence[Elsewhere] = (),
        on_erased: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`folder` is that of all calls. `live` tells whether a call, by the bridge's id or the carrier's, goes on.

        `on_erased` is told how many calls were erased.
        """
        self._database = database
        self._folder = folder
        self._live = live
        self._audit = audit or Audit(database, folder)
        self._elsewhere = elsewhere
        self._on_erased = on_erased

    async def erase(self, call: str, *, who: str = "command line") -> Erased:
        """Erase a call, by the bridge's id or the carrier's; `who` is for the audit.

        Raises BridgeError: `call_unknown`, `call_live` (it goes on: end it first), `erase_refused` (its folder is
        not where it should be), and StoreError, where nothing is erased. Cancelling it leaves the rest for later.
        """
        from bridge.store.sql import removing  # noqa: PLC0415  (SQLAlchemy is slow to import)

        async with self._database.reading() as connection:
            found = await removing.named(connection, call)
        if not found:
            raise BridgeError("nothing is kept of such a call", code="call_unknown")
        if live := [one for one in found if await self._goes_on(one)]:
            raise BridgeError(f"the call {live[0].id} goes on: it can be erased when it is over", code="call_live")
        return await self._erase(found, who, "")

    async def erase_number(self, number: str, *, who: str = "command line") -> Erased:
        """Erase every call that somebody had with a number: as caller, called, or connected with them.

        Those that go on are left, and named. Raises BridgeError as `erase`, and `number_invalid`.
        """
        from bridge.store.sql import removing  # noqa: PLC0415

        forms = number_forms(number)
        if not forms:
            raise BridgeError(
                f"{number!r} is no number: wanted is one such as +15551234567, or an address such as sip:a@b.c",
                code="number_invalid",
            )
        async with self._database.reading() as connection:
            found = await removing.of_number(connection, sorted(forms))
        return await self.erase_known(found, who=who, why=f"number {masked(number)}")

    async def erase_known(self, found: Sequence[KnownCall], *, who: str, why: str) -> Erased:
        """Erase calls that were looked up already; those that go on are left."""
        over: list[KnownCall] = []
        live: list[str] = []
        for one in found:
            try:
                if await self._goes_on(one):
                    live.append(one.id)
                else:
                    over.append(one)
            except BridgeError as error:
                _log.error("call_not_erased", call=one.id, error=error.message)
        erased = await self._erase(over, who, why)
        return Erased(erased.calls, erased.files, erased.elsewhere, tuple(live), erased.left)

    async def finish(self) -> int:
        """Complete what was broken off, and return of how many calls that was. Raises StoreError."""
        from bridge.store.sql import removing  # noqa: PLC0415

        async with self._database.reading() as connection:
            unfinished = await removing.unfinished(connection)
        for call_id, rest in unfinished:
            await self._remove(call_id, rest)
        if unfinished:
            await self._forget()
        return len(unfinished)

    async def _goes_on(self, call: KnownCall) -> bool:
        """Tell whether it must be left. Raises BridgeError where its folder is not one that may be removed."""
        if self._live(call.id) or self._live(call.sid):
            return True
        return await asyncio.to_thread(folders.goes_on, self._folder, call.folder, call.id)

    async def _erase(self, found: Sequence[KnownCall], who: str, why: str) -> Erased:
        files = elsewhere = 0
        left: list[str] = []
        for call in found:
            rest = {"folder": call.folder, "ids": sorted({call.id, call.sid})}
            await self._bury(call.id, rest, who, why)
            removed = await self._remove(call.id, rest)
            if removed is None:
                left.append(call.id)
            else:
                files, elsewhere = files + removed[0], elsewhere + removed[1]
        if found:
            await self._forget()
            self._on_erased(len(found))
            _log.info("calls_erased", number=len(found), who=who, left=len(left))
        return Erased(tuple(call.id for call in found), files, elsewhere, (), tuple(left))

    async def _bury(self, call_id: str, rest: dict[str, Any], who: str, why: str) -> None:
        """Take a call out of the database, with its line of the audit and its tombstone: all of it, or nothing."""
        from bridge.store.sql import removing  # noqa: PLC0415

        async with self._database.writing() as connection:
            await removing.bury(connection, call_id, round(time.time() * 1000), rest)
            await removing.note(connection, [self._audit.line(who, "call_erased", call_id, why)])

    async def _remove(self, call_id: str, rest: dict[str, Any]) -> tuple[int, int] | None:
        """Remove what is outside of the database. None: some of it could not be; it is tried again later."""
        from bridge.store.sql import removing  # noqa: PLC0415

        try:
            files = await asyncio.to_thread(folders.remove, self._folder, str(rest.get("folder", "")), call_id)
            ids = frozenset(map(str, rest.get("ids", [])))
            elsewhere = 0
            for removes in self._elsewhere:
                elsewhere += await asyncio.to_thread(partial(removes, ids))
        except (OSError, BridgeError) as error:
            _log.error("call_not_erased_whole", call=call_id, error=str(error))
            return None
        async with self._database.writing() as connection:
            await removing.buried(connection, call_id)
        return files, elsewhere

    async def _forget(self) -> None:
        """Let the database's own files forget the words, too. PostgreSQL does so by itself, when it vacuums."""
        from bridge.store.sql import removing  # noqa: PLC0415

        async with self._database.writing() as connection:
            await removing.forget_words(connection)
        await self._database.checkpoint()


def number_forms(number: str) -> Collection[str]:
    """Return how a number or an address may stand in the record; empty: it is neither."""
    number = number.strip()
    if "@" in number or number.startswith("sip:"):
        return {number, number.removeprefix("sip:"), f"sip:{number.removeprefix('sip:')}"}
    bare = _NOT_IN_NUMBERS.sub("", number)
    if not re.fullmatch(r"\+?\d{3,20}", bare):
        return set()
    digits = bare.removeprefix("+")
    return {digits, f"+{digits}", number}


def masked(number: str) -> str:
    """Return a number as the audit may hold it when its calls are gone."""
    return f"{number[:3]}…{number[-2:]}" if len(number) >= 8 else "…"
