"""What answers people and their programs: the API, the console, the softphone, and what operators' machines ask."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from bridge.agents import schema
from bridge.api.access import Access
from bridge.api.addresses import from_this_machine
from bridge.api.door import Door
from bridge.api.log_routes import LogRoutes
from bridge.api.openapi import OpenApiRoutes
from bridge.api.operations import Operation
from bridge.api.session import SessionRoutes
from bridge.api.softphone_routes import SoftphoneRoutes
from bridge.api_parts import open_record
from bridge.call.registry import Registry
from bridge.console.files import read_files
from bridge.console.routes import ConsoleRoutes
from bridge.health import HealthRoutes
from bridge.keeping import Keeping
from bridge.live_parts import open_live
from bridge.metrics import Metrics
from bridge.outbound.dialer import Dialer
from bridge.parts import make_access, stream_addresses
from bridge.profiles import Profiles
from bridge.settings import Settings
from bridge.twilio.rest import TwilioRest
from bridge.twilio.routes import TwilioRoutes
from bridge.twilio.tokens import StreamTokens
from bridge.workers.alone import Alone


@dataclass(frozen=True, slots=True)
class House:
    """What the doors lead to."""

    settings: Settings
    metrics: Metrics
    keeping: Keeping
    profiles: Profiles
    registry: Registry
    dialer: Dialer
    rest: TwilioRest | None
    tokens: StreamTokens
    twilio: TwilioRoutes
    port: Callable[[], int]
    """Where we listen; known only after that."""
    worker: Alone


async def add_doors(app: web.Application, house: House) -> Callable[[Settings], None]:
    """Put everything that is not Twilio's at its address. Returns what is to be told of changed settings."""
    settings, registry, worker = house.settings, house.registry, house.worker
    access = make_access(settings)
    door = Door(access, worker.asked)
    live = lambda: worker.live(len(registry.sessions))  # noqa: E731  It is one expression.
    SessionRoutes(access).add_to(app, door)
    take = open_record(app, door, settings, registry, house.keeping, house.dialer, live)
    addresses = lambda: stream_addresses(settings, house.port(), worker.stream_path)  # noqa: E731  It is one expression.
    listener = LogRoutes(registry, house.rest, house.tokens, addresses)
    listener.add_to(app, door)
    house.twilio.logs.restart = None if house.rest is None else listener.restart
    SoftphoneRoutes(registry, house.twilio, lambda: house.profiles.numbers).add_to(app, door)
    calls = open_live(app, door, settings, registry, house.keeping, house.rest)
    worker.orders(house.dialer, house.twilio.outbound)
    worker.show(calls, house.keeping.store.recording, house.metrics)
    figures = functools.partial(worker.figures, house.metrics)
    speech_is_up = lambda: worker.speech.up  # noqa: E731  It is one expression.
    database = house.keeping.database
    HealthRoutes(registry, access, database, live, figures, speech_is_up, worker.health).add_to(app)
    about = "Tell what a webhook agent is sent and may answer"
    answers = {200: "application/schema+json"}
    door.add(app, "GET", schema.ADDRESS, _schema, Operation(about, open=True, tag="system", answers=answers))
    OpenApiRoutes().add_to(app, door)
    await _add_pages(app, settings, access)
    return take


async def _add_pages(app: web.Application, settings: Settings, access: Access) -> None:
    """Put the console there, unless it is off: with a token for everybody, to log in; without for who may ask."""
    if not settings.api.console:
        return
    files = await asyncio.to_thread(read_files)
    ConsoleRoutes(files, lambda request: access.needed or from_this_machine(request)).add_to(app)


async def _schema(_: web.Request) -> web.Response:
    """Answer what a webhook agent is sent and may answer, as a JSON Schema."""
    return web.Response(text=schema.text(), content_type="application/schema+json")
