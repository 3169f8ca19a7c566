"""The API of a bridge, put together. `bridge.app` calls this."""

from __future__ import annotations

from aiohttp import web

from bridge.agents import schema
from bridge.api.access import Access, Token
from bridge.api.door import Door
from bridge.api.openapi import OpenApiRoutes
from bridge.api.operations import Operation, Principal
from bridge.api.session import SessionRoutes
from bridge.settings import Settings


def make_access(settings: Settings) -> Access:
    """Make what tells who may ask the API."""
    api = settings.api
    further = [Token(Principal(one.name, one.scope), one.token.get_secret_value()) for one in api.tokens]
    return Access(
        api.token.get_secret_value(),
        further,
        public_url=settings.server.public_url,
        requests_per_second=api.requests_per_second,
    )


def open_door(app: web.Application, access: Access) -> Door:
    """Return the way into the API, with the addresses that let people in."""
    door = Door(access)
    SessionRoutes(access).add_to(app, door)
    return door


def describe_api(app: web.Application, door: Door) -> None:
    """Let the bridge tell what its API is, and what it says to agents."""
    about = "Tell what a webhook agent is sent and may answer"
    answers = {200: "application/schema+json"}
    door.add(app, "GET", schema.ADDRESS, _schema, Operation(about, open=True, tag="system", answers=answers))
    OpenApiRoutes().add_to(app, door)


async def _schema(_: web.Request) -> web.Response:
    """Answer what a webhook agent is sent and may answer, as a JSON Schema."""
    return web.Response(text=schema.text(), content_type="application/schema+json")
