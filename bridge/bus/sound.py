"""Listening in to calls that another node holds: their sound, over the bus.

Whoever is listened to sends what has come since in one message, and the next only when that was taken: what waits
meanwhile waits in the listener's own queue, at the node that holds the call. A message that nobody takes ends it,
so nothing is sent for a listener who is gone, or whose node is. While nobody listens nothing of this is there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from bridge.bus.connection import Bus, BusError
from bridge.live.ear import Ear, Frame, Over
from bridge.live.listening import Listening, TooManyEarsError
from bridge.tasks import spawn, stopped

LISTEN: Final = b"listen "
"""Asks whoever holds a call for its sound; the subject at which it is awaited follows. The answer is `Begun`.

Behind that, and a space, a node is told which call is meant where it is not asked at a name of the call's.
"""
_LEFT: Final = b"-"
"""The answer to sound that is not wanted any more; that to what is taken is empty."""
_GATHER_S: Final = 0.1
"""How long sound is gathered before it is sent."""
_MOST_BYTES: Final = 128 * 1024
"""Of one message: servers take a million, where nobody has set less."""
_BEAT_S: Final = 2.0
"""How often something is sent at least: who hears nothing for longer than `_SILENT_S` has lost the other node."""
_SILENT_S: Final = 6.0
_TAKEN_WITHIN_S: Final = 5.0
_TEXT: Final = b"{"
"""What a frame that is text begins with; one of sound begins with its side."""

log = structlog.get_logger()


class Begun(msgspec.Struct):
    """Who asked listens to a call from now on."""

    call: str = ""
    """The bridge's id of it; empty: it is not here, or as many listen as may."""
    full: bool = False
    """As many listen as may."""


NOT_HERE: Final = msgspec.msgpack.encode(Begun())
"""The answer of who does not hold the call."""


class Sound(msgspec.Struct):
    """What has come since the message before."""

    frames: list[bytes]
    over: Over | None = None
    """Why this is the last; None: it is not."""
    too_slow: bool = False
    """This is the last, as too much was left untaken."""


class SoundGiven:
    """Sends the sound of calls that are held here to other nodes' listeners."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.open: Callable[[str], Listening | None] = lambda _: None
        """Begins to listen to a call of this process; as `bridge.live.listening.Here.open`."""
        self._sending: set[asyncio.Task[None]] = set()

    async def take(self, message: Any, call: str) -> None:
        """Begin to send a call's sound to whoever asks for it; `call` is what is meant where they name none."""
        inbox, _, name = bytes(message.data).removeprefix(LISTEN).decode(errors="replace").partition(" ")
        try:
            listening = self.open(name or call)
        except TooManyEarsError:
            await message.respond(msgspec.msgpack.encode(Begun(full=True)))
            return
        if listening is not None:
            task = spawn(self._send(listening, inbox), name=f"sound-{listening.call}")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        await message.respond(msgspec.msgpack.encode(Begun("" if listening is None else listening.call)))

    async def close(self) -> None:
        """Send nothing more."""
        await asyncio.gather(*(stopped(task) for task in [*self._sending]))

    async def _send(self, listening: Listening, inbox: str) -> None:
        ear = listening.ear
        most = min(_MOST_BYTES, self._bus.most_bytes // 2)
        try:
            while True:
                frames = await ear.gathered(most_bytes=most, over_s=_GATHER_S, within_s=_BEAT_S)
                over = ear.over if ear.empty else None
                sound = Sound([_packed(frame) for frame in frames], over, ear.too_slow)
                answer = await self._bus.ask(inbox, msgspec.msgpack.encode(sound), _TAKEN_WITHIN_S)
                if answer or over is not None or ear.too_slow:
                    return
        except BusError as error:
            log.info("listener_lost", call=listening.call, code=error.code)
        finally:
            listening.leave()


class SoundAsked:
    """Gets the sound of calls that other nodes hold. A `bridge.live.listening.Elsewhere`."""

    def __init__(self, bus: Bus, subject: str, holder: Callable[[str, bytes], Awaitable[bytes | None]]) -> None:
        """`subject` is what the subjects begin with at which sound is awaited.

        `holder` asks who holds a call, by either of its ids, and returns the answer; None: nobody holds it.
        """
        self._bus = bus
        self._subject = subject
        self._holder = holder
        self._awaited: set[_Awaited] = set()
        self.closed = False
        """Nothing comes any more: this process stops."""

    async def open(self, call: str) -> Listening | None:
        """As `Elsewhere.open`. Being cancelled, it leaves nothing behind."""
        if self.closed:
            return None
        awaited = _Awaited(self._bus, f"{self._subject}.{secrets.token_hex(8)}", self._awaited.discard)
        self._awaited.add(awaited)
        try:
            await awaited.begin()
            answer = await self._holder(call, LISTEN + awaited.inbox.encode())
        except BaseException:
            awaited.leave()
            raise
        begun = Begun() if answer is None else _begun(answer)
        if begun.call:
            return Listening(begun.call, awaited.ear, awaited.leave)
        awaited.leave()
        if begun.full:
            raise TooManyEarsError
        return None

    def close(self) -> None:
        """Listen no longer: this process stops."""
        self.closed = True
        for awaited in [*self._awaited]:
            awaited.ear.end("lost")
            awaited.leave()


class _Awaited:
    """The sound of one call, for one listener."""

    def __init__(self, bus: Bus, inbox: str, left: Callable[[_Awaited], None]) -> None:
        self.ear = Ear()
        self.inbox = inbox
        self._bus = bus
        self._on_left = left
        self._left = False
        self._watching: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        """Take what comes. Once this returns, what is sent is not missed."""
        self._look_again()
        await self._bus.listen_now(self.inbox, self._take)

    def leave(self) -> None:
        """Take nothing more: who sends is told so with the next message. Again, it does nothing."""
        if self._left:
            return
        self._left = True
        if self._watching is not None:
            self._watching.cancel()
        self._bus.leave(self.inbox)
        self._on_left(self)

    async def _take(self, message: Any) -> None:
        if self._left:  # It was on its way already.
            await message.respond(_LEFT)
            return
        try:
            sound = msgspec.msgpack.decode(message.data, type=Sound)
        except msgspec.MsgspecError as error:
            log.warning("sound_not_understood", error=str(error))
            return
        self._look_again()
        for frame in sound.frames:
            self.ear.put(_unpacked(frame))
        if sound.too_slow:
            self.ear.too_slow = True
        if sound.over is not None or sound.too_slow:
            self.ear.end(sound.over or "lost")
        await message.respond(_LEFT if self.ear.too_slow else b"")

    def _look_again(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.get_running_loop().call_later(_SILENT_S, self.ear.end, "lost")


def named(question: bytes, call: str) -> bytes:
    """Return what asks for the sound of a call at a subject that does not name it."""
    return question + b" " + call.encode()


def _begun(answer: bytes) -> Begun:
    try:
        return msgspec.msgpack.decode(answer, type=Begun)
    except msgspec.MsgspecError as error:
        log.warning("sound_not_understood", error=str(error))
        return Begun()


def _packed(frame: Frame) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def _unpacked(frame: bytes) -> Frame:
    return frame.decode() if frame.startswith(_TEXT) else frame
