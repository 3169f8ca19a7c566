"""A speech service that follows a script: Cartesia's turns and text-to-speech sockets, without any speech in them.

What a caller says on the turns socket is written by `talk.Talk`; every text is spoken as cells that name call and
utterance, with word times, a few times faster than real time. It takes and gives `pcm_mulaw` and `pcm_s16le`, both
at 8000 Hz.
"""

from __future__ import annotations

import asyncio
import binascii
import re
from collections.abc import Callable
from typing import Final

from bridge.audio import codec
from bridge.bench.figures import SYNTHESIZE
from bridge.bench.load_call import CHUNK_BYTES, CHUNK_S, LoadCall, Utterance
from bridge.bench.peer_server import Routes, Session, Socket
from bridge.errors import ProtocolError
from bridge.simulator.load import frames
from bridge.simulator.load.cells import caller_of
from bridge.stt import cartesia_wire as stt
from bridge.tts import cartesia_wire as tts

_LINE: Final = re.compile(r"\bline (\d+)\b")
_PACE: Final = 4.0
"""How many times faster than real time the speech comes."""
_STRANGERS_CHUNKS: Final = 8
"""Length of a text of the system's own, such as a filler."""
_LINEAR: Final = "pcm_s16le"

Find = Callable[[int], LoadCall | None]


def line_of(text: str) -> int | None:
    """The number of the call that a text of the script is from; the last one, if it holds several."""
    found = _LINE.findall(text)
    return int(found[-1]) if found else None


class ScriptedSpeech:
    """The service's sockets; `find` gives the call of a number."""

    def __init__(self, find: Find) -> None:
        self._find = find

    def add_to(self, routes: Routes) -> None:
        """Serve both sockets under their own paths."""
        routes.sockets[stt.TURNS_PATH] = lambda socket: _Listening(socket, self._find)
        routes.sockets[tts.TTS_PATH] = lambda socket: _Speaking(socket, self._find)


class _Listening(Session):
    """One speech-to-text session."""

    def __init__(self, socket: Socket, find: Find) -> None:
        self._socket = socket
        self._find = find
        self._linear = socket.query.get("encoding") == _LINEAR
        self._call: LoadCall | None = None
        socket.send(stt.encode(stt.Connected("bench")).encode())

    def binary(self, at: float, payload: bytes) -> None:
        if self._linear:
            payload = codec.linear16_to_mulaw(payload)
        if self._call is None:
            number = caller_of(payload)
            self._call = None if number is None else self._find(number)
            if self._call is None:
                return
            self._call.talk.listened_to(self._tell)
        self._call.heard(at, payload)

    def text(self, at: float, payload: bytes) -> None:  # noqa: ARG002  (see `Session`)
        if payload == b"close" or b'"close"' in payload:
            self._socket.close()

    def closed(self) -> None:
        pass

    def _tell(self, message: stt.ServiceMessage) -> None:
        self._socket.send(stt.encode(message).encode())


class _Speaking(Session):
    """One text-to-speech socket, with any number of contexts."""

    def __init__(self, socket: Socket, find: Find) -> None:
        self._socket = socket
        self._find = find
        self._contexts: dict[str, _Context] = {}

    def text(self, at: float, payload: bytes) -> None:
        try:
            asked = tts.parse_from_client(payload)
        except ProtocolError:
            return  # The utterance stays silent, and is counted as unanswered.
        if isinstance(asked, tts.Cancel):
            if (context := self._contexts.pop(asked.context_id, None)) is not None:
                context.stop()
        elif asked.context_id not in self._contexts and asked.transcript.strip():
            number = line_of(asked.transcript)
            call = None if number is None else self._find(number)
            if call is not None:
                call.talk.reached(SYNTHESIZE, at)
            context = _Context(self._socket, asked, call, lambda: self._contexts.pop(asked.context_id, None))
            self._contexts[asked.context_id] = context
            context.step()

    def binary(self, at: float, payload: bytes) -> None:
        pass

    def closed(self) -> None:
        for context in self._contexts.values():
            context.stop()


class _Context:
    """One utterance, as it is sent."""

    def __init__(
        self, socket: Socket, asked: tts.Generate, call: LoadCall | None, done: Callable[[], object]
    ) -> None:
        self._socket = socket
        self._id = asked.context_id
        self._times = bool(asked.add_timestamps)
        self._linear = asked.output_format.encoding == _LINEAR
        self._words = asked.transcript.split()
        self._call = call
        self._utterance = Utterance(0, 0, _STRANGERS_CHUNKS) if call is None else call.utterance()
        self._done = done
        self._timer: asyncio.TimerHandle | None = None
        self._sent = 0

    def step(self) -> None:
        """Send the next chunk, and see to it that one more follows in time."""
        number = self._sent
        if number >= self._utterance.chunks:
            self._socket.send(tts.encode(tts.Done(self._id)).encode())
            self._done()
            return
        self._sent += 1
        audio = self._utterance.cells.span(number * CHUNK_BYTES, CHUNK_BYTES)
        data = frames.server_frame(self._chunk(codec.mulaw_to_linear16(audio) if self._linear else audio))
        if self._times:
            begin, own = number * CHUNK_S, self._words[number : number + 1]
            times = tts.WordTimes(own, [begin] * len(own), [begin + CHUNK_S] * len(own))
            data += frames.server_frame(tts.encode(tts.Timestamps(self._id, times)).encode())
        if self._call is not None:
            self._call.chunk_sent(self._utterance)
        self._socket.send_frames(data)
        self._timer = asyncio.get_running_loop().call_later(CHUNK_S / _PACE, self.step)

    def stop(self) -> None:
        """Send no more of it, as the service does when it is cancelled."""
        if self._timer is not None:
            self._timer.cancel()

    def _chunk(self, audio: bytes) -> bytes:
        # The same text as `tts.encode(tts.Chunk(…))`, without encoding the audio twice.
        return b'{"type":"chunk","context_id":"%b","data":"%b","done":false,"status_code":206,"step_time":0.0}' % (
            self._id.encode(),
            binascii.b2a_base64(audio, newline=False),
        )
