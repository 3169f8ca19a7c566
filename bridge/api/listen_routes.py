"""`/api/v1/calls/{call}/listen`: listen in to a live call, by a WebSocket."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import WSCloseCode, web

from bridge.api.door import Door, asker
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.errors import BridgeError
from bridge.live.calls import LiveCalls
from bridge.live.taps import MOST_EARS, Ear, Taps
from bridge.tasks import spawn

LISTEN: Final = "/api/v1/calls/{call}/listen"

_TAKEN_WITHIN_S: Final = 10.0
"""How long a listener may leave what was sent untaken."""
_BEAT_S: Final = 20.0
_ABOUT: Final = """A WebSocket. Binary messages are sound as it is kept: one byte for the side (0 the caller; 1 the
agent, or the person whom the caller is connected with), four bytes for `at_ms` (unsigned, big-endian: ms since the
call began), and then mu-law, 8000 Hz, mono, 8 bytes a millisecond. Text messages are JSON objects:

- `{"type": "clear", "at_ms": …}`: what side 1 was handed before and has not sounded yet is dropped;
- `{"type": "paused", "at_ms": …}` and `{"type": "resumed", "at_ms": …}`: the recording is paused, and so is this;
- `{"type": "ended"}`: the call is over, and the socket is closed.

The agent's sound comes faster than it sounds: `at_ms` tells when it was handed to the phone, which plays each piece
behind the one before. A player keeps a queue of side 1 and empties it at `clear`. The caller's sound comes as it is
said; where a secret is gathered it is silence. Nothing that is sent to the bridge is looked at. Who does not take
what comes is let go (close code 1013); the call never waits. At most 20 listen to a call at the same time; further
ones get 429. Each listener leaves a line in the audit."""

log = structlog.get_logger()


class ListenRoutes:
    """The handler."""

    def __init__(self, calls: LiveCalls, taps: Taps, audit: Callable[[str, str, str], Awaitable[None]]) -> None:
        """`audit` is told who does what to which call; it raises BridgeError where that cannot be kept."""
        self._calls = calls
        self._taps = taps
        self._audit = audit
        self._door: Door | None = None

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handler at its address."""
        self._door = door
        listen = Operation(
            "Listen in to a live call",
            tag="live",
            about=_ABOUT,
            answers={101: None},
            problems=(404, 426, 503),
        )
        door.add(app, "GET", LISTEN, self.listen, listen)

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Send the sound of a call until it is over, or the listener goes."""
        call = self._calls.find(request.match_info["call"])
        if call is None:
            raise Problem(404, "call_unknown", "There is no such live call.")
        socket = web.WebSocketResponse(heartbeat=_BEAT_S, compress=False, max_msg_size=4096)
        if not socket.can_prepare(request):
            raise Problem(426, "websocket_wanted", "Listening takes a WebSocket.", headers={"Upgrade": "websocket"})
        if self._taps.full(call.id):
            again = {"Retry-After": "5"}
            raise Problem(429, "too_many_listeners", f"{MOST_EARS} listen to this call already.", headers=again)
        who = asker(request).name
        log.info("listening", call=call.id, who=who)
        try:
            await self._audit(who, "listened", call.id)  # Before anything is heard.
        except BridgeError as error:
            raise Problem(503, error.code, f"{error.message}.") from None
        await socket.prepare(request)
        if (ear := self._taps.listen(call.id)) is None:
            await socket.send_json({"type": "ended"})  # It has ended this very moment.
            await socket.close()
            return socket
        sending = spawn(_send(socket, ear), name=f"listener-{call.id}")
        assert self._door is not None  # noqa: S101  The request came by it.
        try:
            with self._door.until_over(request, functools.partial(_sign_off, socket)):
                async for _ in socket:
                    pass  # Nothing is wanted of who listens but that they are there.
        finally:
            self._taps.leave(call.id, ear)
            sending.cancel()
            await asyncio.wait([sending])
        return socket


def _sign_off(socket: web.WebSocketResponse) -> None:
    """Whoever listens is not believed any more."""
    spawn(socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"signed out"), name="listener-signed-out")


async def _send(socket: web.WebSocketResponse, ear: Ear) -> None:
    try:
        async for frame in ear.frames():
            async with asyncio.timeout(_TAKEN_WITHIN_S):
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
    except (ConnectionError, TimeoutError):
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")
        return
    if ear.too_slow:
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")
    else:
        await socket.close()
