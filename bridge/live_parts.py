"""The live side of a bridge, put together: what people see and hear of the calls that go on, and do to them."""

from __future__ import annotations

from aiohttp import web

from bridge.agents.base import CallInfo
from bridge.api.control_routes import ControlRoutes
from bridge.api.door import Door
from bridge.api.listen_routes import ListenRoutes
from bridge.api.live_routes import LiveRoutes
from bridge.call.registry import Registry
from bridge.keeping import Keeping
from bridge.live.calls import LiveCalls
from bridge.live.watch import Hide
from bridge.parts import make_redactor
from bridge.privacy.call import CallRedaction
from bridge.settings import Settings
from bridge.twilio.rest import TwilioRest


def open_live(
    app: web.Application,
    door: Door,
    settings: Settings,
    registry: Registry,
    keeping: Keeping,
    rest: TwilioRest | None,
) -> LiveCalls:
    """Look at every call that comes from now on, and answer for them."""
    redactor, taps = make_redactor(settings), keeping.store

    def hide(_: CallInfo) -> Hide:
        if not redactor.active:
            return Hide()
        redaction = CallRedaction(redactor)
        # Of a text that goes on, nobody knows what its last digits begin: no longer number stays.
        return Hide(entry=redaction.entry, partial=redactor.log)

    calls = LiveCalls(registry, hide)
    LiveRoutes(calls, taps.recording).add_to(app, door)
    ControlRoutes(calls, taps.recording, None if rest is None else rest.hang_up).add_to(app, door)
    ListenRoutes(calls, taps, keeping.audit.write).add_to(app, door)

    async def end_feed(_: web.Application) -> None:
        calls.feed.close()  # The calls are over by then, and everybody was told of it.

    app.on_shutdown.append(end_feed)
    return calls
