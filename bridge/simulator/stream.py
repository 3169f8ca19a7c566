"""One media stream from the carrier's end: sends the caller's frames on time and plays what the bridge sends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import aiohttp

from bridge.simulator.phone import PassedMark, Phone
from bridge.simulator.voice import FRAME_S, CallerVoice
from bridge.tasks import spawn
from bridge.twilio import media_stream as wire

StreamEnd: TypeAlias = Literal["stopped", "closed_by_bridge", "dropped"]
"""`stopped`: the carrier ended it; `dropped`: the connection was cut on purpose, without `stop`."""
_INFINITE: Final = float("inf")
_STOP_S: Final = 3.0
"""How long stopping may take before the connection is cut."""


@dataclass(frozen=True, slots=True)
class StreamObserver:
    """Whom a stream tells what happens; all are called on the event loop and must not take time."""

    sent: Callable[[float, bytes], None]
    """(call time, frame) for every frame of the caller."""
    mark: Callable[[PassedMark], None]
    """A mark has gone back to the bridge."""
    clear: Callable[[], None]
    """The bridge sent `clear`."""
    problem: Callable[[str, str], None]
    """(code, text): the bridge sent something Twilio would refuse."""
    tick: Callable[[float], None]
    """Call time, about 50 times a second."""


class CallStream:
    """A media stream that is open. `run` lasts as long as the stream."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        messages: wire.CarrierStream,
        *,
        phone: Phone,
        voice: CallerVoice,
        clock: Callable[[], float],
        observer: StreamObserver,
    ) -> None:
        self.phone = phone
        self.messages = messages
        self._socket = socket
        self._voice = voice
        self._clock = clock
        self._tell = observer
        self._lag_s = phone.traits.up_s
        self._digits: deque[str] = deque()
        self._end: StreamEnd | None = None
        self._wake: asyncio.Future[None] | None = None
        self._last_resort: asyncio.TimerHandle | None = None
        self._overflowed = False

    async def start(self, parameters: dict[str, str]) -> None:
        """Send `connected` and `start`. If the bridge has closed already, `run` will see it."""
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(self.messages.connected())
            await self._socket.send_str(self.messages.start(parameters))

    async def run(self) -> StreamEnd:
        """Send and play until either side ends the stream; says who did. Cancelling cuts the connection."""
        sender = spawn(self._send(), name="simulated_stream_send")
        try:
            async for frame in self._socket:
                if frame.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    self._take(frame.data)
        finally:
            if self._end != "stopped":  # a sender that stops the stream is still closing it
                sender.cancel()
            await asyncio.wait({sender})
            if self._last_resort is not None:
                self._last_resort.cancel()
            self.phone.end(self._clock())
            self._tell.tick(self._clock())
            if not self._socket.closed:
                self._cut()
        return self._end or "closed_by_bridge"

    def press(self, digits: str) -> None:
        """Send the keys with the next frame, in order."""
        self._digits.extend(digits)

    def stop(self) -> None:
        """End the stream as a carrier does: `stop`, then close."""
        self._end = self._end or "stopped"
        self._wake_up()
        # A bridge that reads no more would hold up the sender for ever.
        self._last_resort = asyncio.get_running_loop().call_later(_STOP_S, self._cut)

    def drop(self) -> None:
        """Cut the connection, without `stop` and without a WebSocket close: as a network does."""
        self._end = self._end or "dropped"
        self._cut()

    def _cut(self) -> None:
        # Neither aiohttp nor every event loop lets the socket itself be shut down, but a second handle of it does.
        if (own := self._socket.get_extra_info("socket")) is not None:
            with socket.socket(fileno=os.dup(own.fileno())) as twin, contextlib.suppress(OSError):
                twin.shutdown(socket.SHUT_RDWR)

    # --- from the bridge ---

    def _take(self, frame: str | bytes) -> None:
        now = self._clock()
        match wire.parse_from_bridge(frame, self.messages.stream_sid):
            case wire.PlayMedia(audio):
                if audio.startswith(b"RIFF"):
                    self._tell.problem("wav_header", "media begins with a WAV header, which is heard as noise")
                self.phone.media(now, audio)
            case wire.PlayMark(name):
                self.phone.mark(now, name)
                self._wake_up()
            case wire.PlayClear():
                self.phone.clear(now)
                self._tell.clear()
                self._wake_up()
            case wire.Invalid(code, reason):
                self._tell.problem(str(code), reason)
        if self.phone.overflow_bytes and not self._overflowed:
            self._overflowed = True
            self._tell.problem("31931", "more than 10 minutes of audio are waiting to be played; the rest is lost")

    # --- to the bridge: one task writes, so the sequence numbers are in order ---

    async def _send(self) -> None:
        begin, count = self._clock(), 0
        try:
            while self._end is None:
                now = self._clock()
                for mark in self.phone.advance(now):
                    await self._socket.send_str(self.messages.mark(mark.name))
                    self._tell.mark(mark)
                # A frame is sent when its 20 ms are over. Counted from the beginning: lateness does not add up.
                while (due := begin + (count + 1) * FRAME_S + self._lag_s) <= now:
                    await self._send_frame(begin + count * FRAME_S, count)
                    count += 1
                self._tell.tick(now)
                await self._sleep_until(min(due, self.phone.due_s or _INFINITE))
            if self._end == "stopped":
                await self._socket.send_str(self.messages.stop())
                await self._socket.close()
        except ConnectionError:
            return  # the reader sees the end of the connection too, and is the one to tell

    async def _send_frame(self, start_s: float, count: int) -> None:
        while self._digits:
            await self._socket.send_str(self.messages.dtmf(self._digits.popleft()))
        audio = self._voice.frame(start_s)
        await self._socket.send_str(self.messages.media(audio, round(count * FRAME_S * 1000)))
        self._tell.sent(start_s, audio)

    async def _sleep_until(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = loop.call_later(max(0.0, due - self._clock()), self._wake_up)
        try:
            await self._wake
        finally:
            timer.cancel()
            self._wake = None

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
