"""`/api/v1/system`, `/settings`, `/numbers` and `/audit`: the bridge itself, for who looks after it."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from aiohttp import web
from pydantic import BaseModel, Field, RootModel

from bridge.api.answers import moment
from bridge.api.call_queries import Paged
from bridge.api.door import Door, query
from bridge.api.openapi import VERSION
from bridge.api.operations import Operation
from bridge.api.record_routes import of_cursor
from bridge.api.settings_view import numbers_view, settings_view, without_secrets
from bridge.call.registry import Registry
from bridge.errors import BridgeError
from bridge.settings import Settings
from bridge.store.sql.audit_pages import AuditPages
from bridge.tasks import spawn

SYSTEM: Final = "/api/v1/system"
SETTINGS: Final = "/api/v1/settings"
NUMBERS: Final = "/api/v1/numbers"
AUDIT: Final = "/api/v1/audit"

_FRESH_S: Final = 60.0
"""How old what was found out about others may be, in seconds: looking at the page must be no burden to them."""
_WAITS_S: Final = 3.0
_LOW_DISK_BYTES: Final = 1_000_000_000

log = structlog.get_logger()


class Finding(Protocol):
    """The outcome of one look at something; `bridge.checks.local.Finding` is one."""

    @property
    def check(self) -> str:
        """What was looked at."""

    @property
    def status(self) -> str:
        """`ok`, `warning` or `failed`."""

    @property
    def message(self) -> str:
        """What was seen."""


class Part(BaseModel):
    """How one part is. What else is told depends on the part."""

    model_config = {"extra": "allow"}

    ok: bool = Field(description="Whether calls can do with it as it is.")
    status: str = Field(description="`ok`, `warning` or `failed`; of the bridge `ready` or `draining`.")


class SystemAnswer(RootModel[dict[str, Part]]):
    """How the bridge is, and what it needs: `bridge`, `speech`, `agent`, `carrier`, `store` and `disk`."""


class SettingsAnswer(RootModel[dict[str, Any]]):
    """The settings in force, by section. Of secrets nothing is told but that they are set: `********`."""


class NumbersAnswer(BaseModel):
    """How each number of `[[numbers]]` is answered."""

    items: list[dict[str, Any]]


class AuditItem(BaseModel):
    """Who did what."""

    at: str = Field(description="ISO 8601, UTC.")
    who: str = Field(description="Name of the token, or `local`, `command line`, `retention`.", examples=["api"])
    what: str = Field(examples=["recording_read"])
    call_id: str = Field(description="The call; empty: several, or none.")
    detail: str


class AuditPage(BaseModel):
    """A part of the audit, what was done last first."""

    items: list[AuditItem]
    next: str | None = Field(description="The `cursor` of the part that follows; null: there is nothing more.")


Look = Callable[[Settings], Awaitable[Sequence[Finding]]]


class SystemRoutes:
    """The handlers."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        audit: AuditPages,
        looks: Mapping[str, Look],
        store: Callable[[], Awaitable[Mapping[str, Any]]],
        live: Callable[[], int],
    ) -> None:
        """`looks` look at what the bridge needs, by its name; `store` tells how the database is.

        `live` tells how many calls go on.
        """
        self._live = live
        self._settings = settings
        self._registry = registry
        self._audit = audit
        self._looks = {name: _Look(name, look) for name, look in looks.items()}
        self._store = store
        self._began = time.monotonic()

    def take(self, settings: Settings) -> None:
        """Show these settings from now on."""
        self._settings = settings

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their addresses."""
        about = "Others are looked at once a minute at most, and only while somebody asks."
        system = Operation("Tell how the bridge is", tag="system", about=about, answers={200: SystemAnswer})
        settings = Operation("Show the settings in force", tag="system", answers={200: SettingsAnswer})
        numbers = Operation("Show how each number is answered", tag="system", answers={200: NumbersAnswer})
        audit = Operation(
            "Tell who heard and erased what",
            "admin",
            tag="system",
            query=Paged,
            answers={200: AuditPage},
            problems=(503,),
        )
        door.add(app, "GET", SYSTEM, self.system, system)
        door.add(app, "GET", SETTINGS, self.show_settings, settings)
        door.add(app, "GET", NUMBERS, self.numbers, numbers)
        door.add(app, "GET", AUDIT, self.audit, audit)

    async def system(self, _: web.Request) -> web.Response:
        """Answer how everything is."""
        names = [*self._looks, "store", "disk"]
        found = await asyncio.gather(
            *(look.answer(self._settings) for look in self._looks.values()),
            self._store(),
            asyncio.to_thread(_disk, self._settings.store.recordings),
        )
        return web.json_response({"bridge": self._bridge(), **dict(zip(names, found, strict=True))})

    def _bridge(self) -> dict[str, Any]:
        draining = self._registry.draining
        return {
            "ok": not draining,
            "status": "draining" if draining else "ready",
            "version": VERSION,
            "python": ".".join(map(str, sys.version_info[:3])),
            "uptime_s": int(time.monotonic() - self._began),
            "live_calls": self._live(),
        }

    async def show_settings(self, _: web.Request) -> web.Response:
        """Answer the settings."""
        return web.json_response(settings_view(self._settings))

    async def numbers(self, _: web.Request) -> web.Response:
        """Answer the numbers."""
        return web.json_response({"items": numbers_view(self._settings)})

    async def audit(self, request: web.Request) -> web.Response:
        """Answer a part of the audit."""
        asked = query(request, Paged)
        try:
            rows, after = await self._audit.page(asked.cursor, asked.limit)
        except BridgeError as error:
            raise of_cursor(error) from None
        items = [
            AuditItem(at=moment(row.at), who=row.who, what=row.what, call_id=row.call_id, detail=row.detail)
            for row in rows
        ]
        return web.json_response(text=AuditPage(items=items, next=after).model_dump_json())


class _Look:
    """What was last seen of one thing that the bridge needs."""

    def __init__(self, name: str, look: Look) -> None:
        self._name = name
        self._look = look
        self._seen_at = float("-inf")
        self._seen: dict[str, Any] = {"ok": True, "status": "ok", "message": "it is being looked at"}
        self._looking: asyncio.Task[None] | None = None

    async def answer(self, settings: Settings) -> dict[str, Any]:
        """Return what was seen; what is older is looked at again, and waited for a little."""
        if time.monotonic() - self._seen_at > _FRESH_S and self._looking is None:
            self._looking = spawn(self._look_again(settings), name=f"look-at-{self._name}")
        if self._looking is not None:
            await asyncio.wait([self._looking], timeout=_WAITS_S)
        return self._seen

    async def _look_again(self, settings: Settings) -> None:
        try:
            found = await self._look(settings)
            worst = max((one.status for one in found), key=["ok", "warning", "failed"].index, default="ok")
            # They name the addresses that were asked, which may hold a password or a key.
            messages = {one.check: without_secrets(one.message) for one in found}
            self._seen = {"ok": worst != "failed", "status": worst, **messages}
        except Exception:
            log.exception("look_failed", what=self._name)
            self._seen = {"ok": False, "status": "failed", "message": "it could not be looked at; the log says why"}
        finally:
            self._seen_at, self._looking = time.monotonic(), None


def _disk(folder: Path) -> dict[str, Any]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return {"ok": False, "status": "failed", "folder": str(folder), "message": error.strerror or str(error)}
    low = usage.free < _LOW_DISK_BYTES
    figures = {"folder": str(folder), "free_bytes": usage.free, "total_bytes": usage.total}
    return {"ok": not low, "status": "warning" if low else "ok", **figures}
