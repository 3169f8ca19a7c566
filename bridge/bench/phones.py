"""Many phones at once, as the carrier's end of their media streams: signed webhook, TwiML, token, stream.

One timer serves all of them in turn, so that fifty phones cost this process fewer wake-ups than one bridge has to
answer: the frames of a phone are 20 ms apart, those of different phones are spread over that time. Marks are
returned when the audio before them would have sounded, so that the bridge paces its speech as on a real line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp

from bridge.audio.codec import BYTES_PER_MS
from bridge.bench.agent import call_sid
from bridge.bench.figures import BARGE_IN, LATENESS, PLAY, RELEASE
from bridge.bench.speech import TAG_BYTES, tag
from bridge.bench.talk import Talk, clock
from bridge.simulator.line import CallError, Line
from bridge.simulator.twiml_reader import Connect
from bridge.simulator.webhooks import Webhooks
from bridge.tasks import spawn
from bridge.twilio import media_stream as wire

_FRAME_MS: Final = 20
_SLOTS: Final = 5
"""Wake-ups in 20 ms: each serves the phones of one slot."""
_RESYNC_S: Final = 1.0
"""Frames that are later than this are left out, as after a suspended machine."""


class Handset:
    """One phone. Its talk is told when audio and clears arrive."""

    def __init__(self, talk: Talk, line: Line) -> None:
        self.open = False
        self._talk = talk
        self._line = line
        self._sid = call_sid(talk.number)
        self._stream_sid = f"MZ{talk.number:032d}"
        self._messages = wire.CarrierStream(
            stream_sid=self._stream_sid, call_sid=self._sid, account_sid=line.account_sid
        )
        self._audio = tag(talk.number) * (_FRAME_MS * BYTES_PER_MS // TAG_BYTES)
        self._frames = 0
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._marks: deque[tuple[float, str]] = deque()
        self._plays_until = 0.0

    async def call(self, session: aiohttp.ClientSession) -> None:
        """Call the bridge and open the stream that it asks for. Raises `CallError`."""
        webhooks = Webhooks(self._line, session)
        url = self._line.origin + self._line.voice_path
        _, verbs = await webhooks.ask(url, "POST", self._line.form(self._sid, "ringing"))
        connect = next((verb for verb in verbs if isinstance(verb, Connect)), None)
        if connect is None:
            raise CallError("the bridge did not answer the call with a media stream", code="bridge_answer")
        self._socket = await webhooks.upgrade(connect.stream.url)
        await self._socket.send_str(self._messages.connected())
        await self._socket.send_str(self._messages.start(connect.stream.parameters))
        self.open = True
        self._reader = spawn(self._read(self._socket), name=f"bench-phone-{self._talk.number}")

    async def serve(self, now: float) -> None:
        """Return the marks that are due, and send the next frame."""
        if not self.open or self._socket is None:
            return
        try:
            while self._marks and self._marks[0][0] <= now:
                await self._socket.send_str(self._messages.mark(self._marks.popleft()[1]))
            await self._socket.send_str(self._messages.media(self._audio, self._frames * _FRAME_MS))
        except ConnectionError:
            self.open = False
        self._frames += 1

    async def hang_up(self) -> None:
        """Stop the stream as a carrier does, and close it."""
        if self._socket is not None and self.open:
            self.open = False
            try:
                await self._socket.send_str(self._messages.stop())
                await self._socket.close()
            except ConnectionError:
                pass  # The bridge was quicker.
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            at = clock()
            match wire.parse_from_bridge(message.data, self._stream_sid):
                case wire.PlayMedia(audio):
                    self._talk.reached(PLAY, at)
                    self._talk.reached(RELEASE, at)
                    self._plays_until = max(self._plays_until, at) + len(audio) / BYTES_PER_MS / 1000
                case wire.PlayMark(name):
                    self._marks.append((max(self._plays_until, at), name))
                case wire.PlayClear():
                    self._talk.reached(BARGE_IN, at)
                    self._plays_until = at
                    self._marks = deque((at, name) for _, name in self._marks)
                case wire.Invalid():
                    self._talk.tally.refused_frames += 1
        self.open = False
        self._talk.lost()


class Phones:
    """All handsets, and the timer that serves them."""

    def __init__(self, handsets: Sequence[Handset], add: Callable[[str, float], None]) -> None:
        """`add` is given samples of how late the timer is."""
        self._slots = [handsets[slot::_SLOTS] for slot in range(_SLOTS)]
        self._add = add

    async def run(self) -> None:
        """Serve every handset each 20 ms, until cancelled."""
        step = _FRAME_MS / 1000 / _SLOTS
        due, slot = clock(), 0
        while True:
            due += step
            await asyncio.sleep(max(0.0, due - clock()))
            late = max(0.0, clock() - due)
            self._add(LATENESS, late)
            if late > _RESYNC_S:
                due = clock()
            for handset in self._slots[slot]:
                await handset.serve(clock())
            slot = (slot + 1) % _SLOTS
