"""Webhooks as authors write them: one that does everything right, and many that do one thing wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer
from standardwebhooks import Webhook, WebhookVerificationError

from bridge.agent_check.exchanges import Exchange, call
from bridge.agent_check.findings import Finding
from bridge.agent_check.probe import Probe

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Start = Callable[[Handler], Awaitable[str]]


async def careful(request: web.Request) -> web.StreamResponse:
    """Checks signatures, knows its events and streams its answers."""
    body = await request.read()
    try:
        event = Webhook(SECRET).verify(body, dict(request.headers))
    except WebhookVerificationError:
        return web.Response(status=401)
    return await answered(request, event)


async def plain(request: web.Request) -> web.StreamResponse:
    """The same for anybody who asks."""
    return await answered(request, await request.json())


async def answered(request: web.Request, event: dict[str, Any]) -> web.StreamResponse:
    if event["type"] == "call.started":
        return web.json_response({"say": "Hello!"})
    if event["type"] != "turn.ended":
        return web.Response(status=204)
    response = web.StreamResponse(headers={"content-type": "text/plain; charset=utf-8"})
    await response.prepare(request)
    for sentence in ("You said: ", event["turn"]["transcript"], " Anything else?"):
        await response.write(sentence.encode())
        await asyncio.sleep(0.01)
    return response


def always(body: bytes | str = b"", *, status: int = 200, content_type: str = "application/json") -> Handler:
    """An agent that answers everything the same."""
    content = body.encode() if isinstance(body, str) else body

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, body=content, headers={"content-type": content_type})

    return handler


def starter(aiohttp_server: AiohttpServer) -> Start:
    async def start(handler: Handler) -> str:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/", handler)
        server = await aiohttp_server(app)
        return str(server.make_url("/"))

    return start


@asynccontextmanager
async def probing(
    url: str, *, secret: str = "", timeout_s: float = 2.0, whole_s: float = 5.0
) -> AsyncIterator[Probe]:
    async with Probe(url, secret=secret, timeout_s=timeout_s, whole_s=whole_s) as probe:
        yield probe


async def tried(exchange: Exchange, url: str, **options: Any) -> list[Finding]:
    """Play one exchange."""
    async with probing(url, **options) as probe:
        return await exchange(probe, call(1))
