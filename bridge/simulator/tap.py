"""A media stream that only listens (`<Start><Stream>`, or made by REST): audio goes out, nothing may come back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import aiohttp

from bridge.simulator.record import CallRecord
from bridge.simulator.verbs import Stream
from bridge.tasks import spawn
from bridge.twilio.media_stream import CarrierStream

_MOST_FRAMES: Final = 3000
"""A minute of audio that the bridge does not read; more is thrown away (Twilio's warning 31930)."""
_STOP_S: Final = 3.0


class Tap:
    """One such stream, from its `start` to its end."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        messages: CarrierStream,
        wanted: Stream,
        record: CallRecord,
    ) -> None:
        self.wanted = wanted
        self.stream_sid = messages.stream_sid
        self.name = wanted.name or messages.stream_sid
        self._socket = socket
        self._messages = messages
        self._record = record
        self._zero_s: float | None = None
        self._now_s = 0.0
        self._frames: asyncio.Queue[tuple[float, bytes, bytes] | None] = asyncio.Queue()

    def feed(self, start_s: float, inbound: bytes, outbound: bytes) -> None:
        """What the leg said, and what it heard, in the 20 ms from call time `start_s` on."""
        if self._zero_s is None:
            self._zero_s = start_s
        self._now_s = start_s
        if self._frames.qsize() < _MOST_FRAMES:
            self._frames.put_nowait((start_s, inbound, outbound))
        else:
            self._record.problem(start_s, "31930", "the bridge reads a stream too slowly: the call's audio is lost")

    def stop(self) -> None:
        """Send what is waiting, then `stop`, and close. `run` ends when that is done."""
        self._frames.put_nowait(None)

    async def run(self) -> None:
        """Send until either side ends the stream. Cancelling cuts the connection."""
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(self._messages.connected())
            await self._socket.send_str(self._messages.start(dict(self.wanted.parameters)))
        sender = spawn(self._send(), name="simulated_tap_send")
        try:
            async for frame in self._socket:
                if frame.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    text = "the bridge sent a message on a stream that only listens"
                    self._record.problem(self._now_s, "31924", text)
        finally:
            if not sender.done() and self._socket.closed:
                sender.cancel()
            await asyncio.wait({sender}, timeout=_STOP_S)
            sender.cancel()

    async def _send(self) -> None:
        try:
            while (taken := await self._frames.get()) is not None:
                start_s, inbound, outbound = taken
                at_ms = round((start_s - (self._zero_s or 0.0)) * 1000)
                for track in self._messages.tracks:
                    audio = inbound if track == "inbound" else outbound
                    await self._socket.send_str(self._messages.media(audio, at_ms, track))
            await self._socket.send_str(self._messages.stop())
        except ConnectionError:
            return  # the reader sees the end of the connection too
        await self._socket.close()
