"""The live side of a bridge, put together: what people see of the calls that go on, and do to them."""

from __future__ import annotations

from aiohttp import web

from bridge.api.control_routes import ControlRoutes
from bridge.api.door import Door
from bridge.api.live_routes import LiveRoutes
from bridge.call.registry import Registry
from bridge.live.calls import LiveCalls
from bridge.twilio.rest import TwilioRest


def open_live(app: web.Application, door: Door, registry: Registry, rest: TwilioRest | None) -> LiveCalls:
    """Look at every call that comes from now on, and answer for them."""
    calls = LiveCalls(registry)
    LiveRoutes(calls).add_to(app, door)
    ControlRoutes(calls, None if rest is None else rest.hang_up).add_to(app, door)

    async def end_feed(_: web.Application) -> None:
        calls.feed.close()  # The calls are over by then, and everybody was told of it.

    app.on_shutdown.append(end_feed)
    return calls
