"""What operators and load balancers ask: alive, taking new calls, and the figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bridge.api.access import REFUSAL, Access
from bridge.call.admission import Reason
from bridge.call.registry import Registry
from bridge.store.sql.database import Database


@dataclass(frozen=True, slots=True)
class Signs:
    """How a bridge is, asked anew each time."""

    live: Callable[[], int]
    """How many calls go on."""
    figures: Callable[[], Awaitable[tuple[bytes, str]]]
    """What Prometheus is told: page and content type."""
    speech_is_up: Callable[[], bool] = lambda: True
    """Whether the local speech server is there; True where speech comes from elsewhere."""
    more: Callable[[], Mapping[str, str]] = dict
    """What else is to be shown; it keeps no call from being taken."""
    full: Callable[[], Reason | None] = lambda: None
    """Why no more calls are taken at this moment; None: they are."""
    ready_when_full: Callable[[], bool] = lambda: True
    """Whether that counts as ready: callers are answered all the same, and live calls need their callbacks."""


class HealthRoutes:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, registry: Registry, access: Access, database: Database, signs: Signs) -> None:
        self._registry = registry
        self._access = access
        self._database = database
        self._signs = signs

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        app.router.add_get("/healthz", self.alive)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/metrics", self.metrics)

    async def alive(self, _: web.Request) -> web.Response:
        """Answer 200 as long as the event loop turns."""
        return web.json_response({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 while calls are answered, else 503.

        `full`, with its reason, says that callers get `admission.overflow` at this moment.

        A database that is away keeps no call from being taken or recorded: it only shows. Without the local speech
        server a call would be deaf and dumb, and so until it has been started again others had better take them.
        """
        speech, full = self._signs.speech_is_up(), self._signs.full()
        status = "draining" if self._registry.draining else "full" if full else "ready" if speech else "no_speech"
        ready = status == "ready" or (status == "full" and speech and self._signs.ready_when_full())
        body: dict[str, Any] = {
            "status": status,
            "live_calls": self._signs.live(),
            "store": "up" if self._database.up else "down",
            "speech": "up" if speech else "down",
            **self._signs.more(),
        }
        if status == "full":
            body["reason"] = full
        return web.json_response(body, status=200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer Prometheus; with the API token, or without one on loopback only."""
        if not self._access.granted(request):
            raise web.HTTPUnauthorized(text=REFUSAL + "\n", headers={"WWW-Authenticate": "Bearer"})
        body, content_type = await self._signs.figures()
        return web.Response(body=body, headers={"Content-Type": content_type})
