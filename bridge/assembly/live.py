"""The live side of a bridge, put together: what people see and hear of the calls that go on, and do to them."""

from __future__ import annotations

from aiohttp import web

from bridge.agents.base import CallInfo
from bridge.assembly.parts import make_redactor
from bridge.call.registry import Registry
from bridge.live.calls import LiveCalls
from bridge.live.watch import Hide
from bridge.privacy.call import CallRedaction
from bridge.settings import Settings


def watch_calls(app: web.Application, settings: Settings, registry: Registry) -> LiveCalls:
    """Look at every call that comes from now on, until the application shuts down."""
    redactor = make_redactor(settings)

    def hide(_: CallInfo) -> Hide:
        if not redactor.active:
            return Hide()
        redaction = CallRedaction(redactor)
        # Of a text that goes on, nobody knows what its last digits begin: no longer number stays.
        return Hide(entry=redaction.entry, partial=redactor.log)

    calls = LiveCalls(registry, hide)

    async def end_feed(_: web.Application) -> None:
        calls.feed.close()  # The calls are over by then, and everybody was told of it.

    app.on_shutdown.append(end_feed)
    return calls
