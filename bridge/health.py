"""What operators and load balancers ask: alive, taking new calls, and the figures."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets

from aiohttp import web

from bridge.call.registry import Registry
from bridge.metrics import Metrics

_OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via", "CF-Connecting-IP")


class HealthRoutes:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, registry: Registry, metrics: Metrics, api_token: str) -> None:
        self._registry = registry
        self._metrics = metrics
        self._api_token = api_token

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        app.router.add_get("/healthz", self.alive)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/metrics", self.metrics)

    async def alive(self, _: web.Request) -> web.Response:
        """Answer 200 as long as the event loop turns."""
        return web.json_response({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 while new calls are taken, else 503."""
        draining = self._registry.draining
        body = {"status": "draining" if draining else "ready", "live_calls": len(self._registry.sessions)}
        return web.json_response(body, status=503 if draining else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer Prometheus; with the API token, or without one on loopback only."""
        if not self._may_read(request):
            raise web.HTTPUnauthorized(
                text="Give the API token as a bearer token; without BRIDGE_API__TOKEN only loopback is answered.\n",
                headers={"WWW-Authenticate": "Bearer"},
            )
        body, content_type = await asyncio.to_thread(self._metrics.render)  # It reads files of /proc.
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _may_read(self, request: web.Request) -> bool:
        if self._api_token:
            given = request.headers.get("Authorization", "")
            return secrets.compare_digest(
                given.encode("utf-8", "surrogateescape"), f"Bearer {self._api_token}".encode()
            )
        # A tunnel or proxy on this machine also connects from loopback, but says for whom it asks.
        return not any(name in request.headers for name in _OF_PROXIES) and _is_loopback(request.remote)


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False
