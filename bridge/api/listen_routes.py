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
from bridge.live.ear import Ear
from bridge.live.listening import Elsewhere, Here, Listening, TooManyEarsError
from bridge.tasks import spawn

LISTEN: Final = "/api/v1/calls/{call}/listen"

_TAKEN_WITHIN_S: Final = 10.0
"""How long a listener may leave what was sent untaken."""
_FOLLOWED_WITHIN_S: Final = 15.0
"""How long a call is looked for that another process is to go on with."""
_LOOK_S: Final = 0.2
_BEAT_S: Final = 20.0
_ABOUT: Final = """A WebSocket. Binary messages are sound as it is kept: one byte for the side (0 the caller; 1 the
agent, or the person whom the caller is connected with), four bytes for `at_ms` (unsigned, big-endian: ms since the
call began), and then mu-law, 8000 Hz, mono, 8 bytes a millisecond. Text messages are JSON objects:

- `{"type": "clear", "at_ms": …}`: what side 1 was handed before and has not sounded yet is dropped;
- `{"type": "paused", "at_ms": …}` and `{"type": "resumed", "at_ms": …}`: the recording is paused, and so is this;
- `{"type": "moved"}`: the call goes on in another process, or who holds it cannot be reached: what side 1 was
  handed before is dropped, and the sound goes on as soon as the call is found again;
- `{"type": "lost"}`: it was not found within 15 s, and the socket is closed (close code 1012);
- `{"type": "ended"}`: the call is over, and the socket is closed.

The agent's sound comes faster than it sounds: `at_ms` tells when it was handed to the phone, which plays each piece
behind the one before. A player keeps a queue of side 1 and empties it at `clear`. The caller's sound comes as it is
said; where a secret is gathered it is silence. Nothing that is sent to the bridge is looked at. Who does not take
what comes is let go (close code 1013); the call never waits. At most 20 listen to a call at the same time; further
ones get 429. Each listener leaves a line in the audit. Of many nodes any can be asked: what another one holds comes
by the bus, a tenth of a second later. One that stops closes the socket (close code 1001)."""

log = structlog.get_logger()


class ListenRoutes:
    """The handler."""

    def __init__(
        self, here: Here, elsewhere: Elsewhere | None, audit: Callable[[str, str, str], Awaitable[None]]
    ) -> None:
        """`elsewhere`: the calls that other nodes hold; None: there are none.

        `audit` is told who does what to which call; it raises BridgeError where that cannot be kept.
        """
        self._here = here
        self._elsewhere = elsewhere
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
            problems=(404, 426, 503, 504),
        )
        door.add(app, "GET", LISTEN, self.listen, listen)

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Send the sound of a call until it is over, or the listener goes."""
        socket = web.WebSocketResponse(heartbeat=_BEAT_S, compress=False, max_msg_size=4096)
        if not socket.can_prepare(request):  # Whoever cannot hear anything takes nobody's place.
            raise Problem(426, "websocket_wanted", "Listening takes a WebSocket.", headers={"Upgrade": "websocket"})
        try:
            listening = await self._open(request.match_info["call"])
        except TooManyEarsError as error:
            raise Problem(429, error.code, error.message, headers={"Retry-After": "5"}) from None
        if listening is None:
            raise Problem(404, "call_unknown", "There is no such live call.")
        try:
            await self._let_hear(request, socket, listening)
        finally:
            listening.leave()  # Also where the task that sends was cancelled before it ran at all.
        return socket

    async def _let_hear(self, request: web.Request, socket: web.WebSocketResponse, listening: Listening) -> None:
        """Send what is heard, once it is noted who listens."""
        who = asker(request).name
        log.info("listening", call=listening.call, who=who)
        try:
            await self._audit(who, "listened", listening.call)  # Before anything is heard.
        except BridgeError as error:
            raise Problem(503, error.code, f"{error.message}.") from None
        await socket.prepare(request)
        sending = spawn(self._send(socket, listening), name=f"listener-{listening.call}")
        assert self._door is not None  # noqa: S101  The request came by it.
        try:
            with self._door.until_over(request, functools.partial(_sign_off, socket)):
                async for _ in socket:
                    pass  # Nothing is wanted of who listens but that they are there.
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def _open(self, call: str) -> Listening | None:
        """Begin to listen to a call, wherever it is; None: it is nowhere."""
        here = self._here.open(call)
        return await self._elsewhere.open(call) if here is None and self._elsewhere is not None else here

    async def _send(self, socket: web.WebSocketResponse, listening: Listening | None) -> None:
        """Send what is heard of a call, wherever it goes."""
        try:
            while listening is not None:
                try:
                    await _send_ear(socket, listening.ear)
                finally:
                    listening.leave()
                if listening.ear.too_slow:
                    raise TimeoutError  # noqa: TRY301  As below.
                if listening.ear.over == "ended" or self._elsewhere is None:
                    await socket.send_json({"type": "ended"})
                    await socket.close()
                    return
                listening = await self._follow(socket, listening.call)
            if self._stops:
                await socket.close(code=WSCloseCode.GOING_AWAY, message=b"this node stops")
                return
            await socket.send_json({"type": "lost"})
            await socket.close(code=WSCloseCode.SERVICE_RESTART, message=b"the call cannot be found")
        except TimeoutError:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")
        except ConnectionError:
            await socket.close()

    async def _follow(self, socket: web.WebSocketResponse, call: str) -> Listening | None:
        """Look for a call that is not any more where it was; None: it is nowhere."""
        if not self._stops:
            await socket.send_json({"type": "moved"})
        ends = asyncio.get_running_loop().time() + _FOLLOWED_WITHIN_S
        while not self._stops and asyncio.get_running_loop().time() < ends:
            try:
                if (found := await self._open(call)) is not None:
                    log.info("listener_followed", call=call)
                    return found
            except (Problem, TooManyEarsError, BridgeError):
                pass  # It is between two nodes, or whoever holds it cannot be reached yet.
            await asyncio.sleep(_LOOK_S)
        return None

    @property
    def _stops(self) -> bool:
        return self._elsewhere is not None and self._elsewhere.closed


def _sign_off(socket: web.WebSocketResponse) -> None:
    """Whoever listens is not believed any more."""
    spawn(socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"signed out"), name="listener-signed-out")


async def _send_ear(socket: web.WebSocketResponse, ear: Ear) -> None:
    """Send what an ear hears, until nothing more comes. Raises TimeoutError where it is not taken."""
    async for frame in ear.frames():
        async with asyncio.timeout(_TAKEN_WITHIN_S):
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
