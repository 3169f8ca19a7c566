"""The API, the console and the softphone. `bridge.assembly.doors` imports it with the first request for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bridge.agents import schema
from bridge.api.access import Access
from bridge.api.addresses import from_this_machine
from bridge.api.door import Door
from bridge.api.log_routes import LogRoutes
from bridge.api.openapi import OpenApiRoutes
from bridge.api.operations import Operation
from bridge.api.own_calls import OwnCalls
from bridge.api.session import SessionRoutes
from bridge.api.softphone_routes import SoftphoneRoutes
from bridge.assembly.api import open_live, open_record
from bridge.assembly.doors import House
from bridge.assembly.parts import stream_addresses
from bridge.call.log_session import LogSession
from bridge.console.files import read_files
from bridge.console.routes import ConsoleRoutes
from bridge.live.calls import LiveCalls
from bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class LateDoors:
    """What the rest of the bridge needs of them."""

    take: Callable[[Settings], None]
    """Goes by changed settings."""
    restart: Callable[[LogSession], Coroutine[Any, Any, None]]
    """Lets another stream listen to a call whose stream broke."""


async def open_doors(
    app: web.Application, house: House, access: Access, own: OwnCalls, calls: LiveCalls
) -> LateDoors:
    """Put up the API and its pages. `own` are the calls of this process, `calls` those that go on."""
    settings, registry, worker = house.settings, house.registry, house.worker
    door = Door(access, worker.asked, house.entrance.proven)
    SessionRoutes(access).add_to(app, door)
    take = open_record(app, door, house, own)
    addresses = lambda: stream_addresses(settings, house.port(), worker.stream_path)  # noqa: E731  It is one expression.
    listener = LogRoutes(registry, house.rest, house.tokens, addresses)
    listener.add_to(app, door)
    SoftphoneRoutes(registry, house.twilio, lambda: house.profiles.numbers).add_to(app, door)
    open_live(app, door, house, calls)
    about = "Tell what a webhook agent is sent and may answer"
    answers = {200: "application/schema+json"}
    door.add(app, "GET", schema.ADDRESS, _schema, Operation(about, open=True, tag="system", answers=answers))
    OpenApiRoutes().add_to(app, door)
    await _add_pages(app, settings, access)
    return LateDoors(take, listener.restart)


async def _add_pages(app: web.Application, settings: Settings, access: Access) -> None:
    """Put the console there, unless it is off: with a token for everybody, to log in; without for who may ask."""
    if not settings.api.console:
        return
    files = await asyncio.to_thread(read_files)
    ConsoleRoutes(files, lambda request: access.needed or from_this_machine(request)).add_to(app)


async def _schema(_: web.Request) -> web.Response:
    """Answer what a webhook agent is sent and may answer, as a JSON Schema."""
    return web.Response(text=schema.text(), content_type="application/schema+json")
