"""The parts of the API that need several things of the bridge, put together for `bridge.assembly.late_doors`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bridge.api.call_routes import CallRoutes
from bridge.api.control_routes import ControlRoutes
from bridge.api.door import Door
from bridge.api.erase_routes import EraseRoutes
from bridge.api.kept import KeptCalls
from bridge.api.listen_routes import ListenRoutes
from bridge.api.live_routes import LiveRoutes
from bridge.api.media_routes import MediaRoutes
from bridge.api.own_calls import OwnCalls
from bridge.api.record_routes import RecordRoutes
from bridge.api.system_routes import Look, SystemRoutes
from bridge.assembly.doors import House
from bridge.assembly.keeping import Keeping
from bridge.assembly.parts import order_rules
from bridge.checks.local import Finding, check_local_speech
from bridge.checks.network import check_agent, check_public_url, check_speech, check_twilio
from bridge.errors import BridgeError
from bridge.live.calls import LiveCalls
from bridge.live.listening import Here
from bridge.settings import Settings
from bridge.store.sql.audit_pages import AuditPages
from bridge.store.sql.calls import Calls
from bridge.store.sql.database import Database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class OpenedDatabase:
    """The database of calls for who only reads. The bridge answers before that is open: who comes early waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opened = False

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._database.dialect

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that only reads. Raises `StoreError`."""
        if not self._opened:
            await self._database.open()
            self._opened = True
        async with self._database.reading() as connection:
            yield connection


def open_record(app: web.Application, door: Door, house: House, own: OwnCalls) -> Callable[[Settings], None]:
    """Answer for the calls that are kept, and for the bridge itself. Returns what is told of changed settings.

    `own` are the calls of this process.
    """
    settings, registry, keeping = house.settings, house.registry, house.keeping
    database, folder = OpenedDatabase(keeping.database), settings.store.recordings
    kept = KeptCalls(Calls(database, folder), folder, own, lambda: [one.info.id for one in registry.sessions])
    RecordRoutes(kept).add_to(app, door)
    CallRoutes(house.dialer, order_rules(settings), kept, keeping.eraser).add_to(app, door)
    EraseRoutes(keeping.eraser, kept).add_to(app, door)
    MediaRoutes(kept, keeping.keys, keeping.audit).add_to(app, door)
    store = lambda: _store_health(keeping, kept.calls)  # noqa: E731  It is one expression.
    system = SystemRoutes(settings, registry, AuditPages(database), _looks(), store, house.live)
    system.add_to(app, door)
    return system.take


def open_live(app: web.Application, door: Door, house: House, calls: LiveCalls) -> None:
    """Answer for the calls that go on: what people see and hear of them, and do to them."""
    taps, rest = house.keeping.store, house.rest
    LiveRoutes(calls, taps.recording).add_to(app, door)
    ControlRoutes(calls, taps.recording, None if rest is None else rest.hang_up).add_to(app, door)
    ListenRoutes(Here(calls, taps), house.worker.hear, house.keeping.audit.write).add_to(app, door)


def _looks() -> Mapping[str, Look]:
    """Return how the things are looked at that the bridge needs."""

    async def speech(own: Settings) -> Sequence[Finding]:
        if own.speech.base_url == "local":
            return await asyncio.to_thread(check_local_speech)
        return await check_speech(own)

    async def carrier(own: Settings) -> Sequence[Finding]:
        return [*await check_twilio(own), *await check_public_url(own)]

    return {"speech": speech, "agent": check_agent, "carrier": carrier}


async def _store_health(keeping: Keeping, calls: Calls) -> Mapping[str, Any]:
    """Tell how the database of calls is."""
    found: dict[str, Any] = {
        "kind": keeping.database.dialect,
        "waiting_calls": keeping.keeper.waiting,
        "lag_s": round(keeping.keeper.lag_s, 1),
    }
    try:
        stats = await calls.stats()
    except BridgeError as error:
        return {"ok": False, "status": "failed", "message": error.message, **found}
    return {"ok": True, "status": "ok", **found, "calls": stats.calls, "turns": stats.turns}
