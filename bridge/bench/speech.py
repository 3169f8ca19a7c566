"""A speech service that follows a script: Cartesia's turns and text-to-speech sockets, without any speech in them.

What a caller says on the turns socket is written by `talk.Talk`; every text is spoken as the same prepared noise,
with word times, a few times faster than real time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from aiohttp import WSMsgType, web

from bridge.audio.codec import BYTES_PER_MS
from bridge.bench.figures import PLAY, SYNTHESIZE
from bridge.bench.talk import Talk, clock
from bridge.errors import ProtocolError
from bridge.stt import cartesia_wire as stt
from bridge.tasks import spawn
from bridge.tts import cartesia_wire as tts

TAG_BYTES: Final = 4
_TAG: Final = re.compile(rb"\x5a([\x00-\x7f][\x00-\x7f])\xa5", re.DOTALL)
_CALL: Final = re.compile(r"\bline (\d+)\b")

_CHUNK_MS: Final = 250
_CHUNKS: Final = 24
"""Six seconds of speech: longer than any caller listens."""
_PACE: Final = 4.0
"""How many times faster than real time the speech comes."""
_NOISE: Final = bytes(range(256)) * (_CHUNK_MS * BYTES_PER_MS // 256 + 1)
_WORDS_PER_CHUNK: Final = 1


def tag(number: int) -> bytes:
    """The pattern of which a caller's audio is made: it tells which call a speech-to-text socket belongs to."""
    return bytes([0x5A, number >> 7, number & 0x7F, 0xA5])


def answer(number: int, turn: int) -> str:
    """What the agent of a call says: as many words as the speech has chunks, and among them the call's number."""
    words = f"This is line {number} with answer {turn}".split()
    return " ".join([*words, *["and"] * (_CHUNKS * _WORDS_PER_CHUNK - len(words) - 1), "on."])


class ScriptedSpeech:
    """The service's sockets; `talks` are the calls by number."""

    def __init__(self, talks: Mapping[int, Talk]) -> None:
        self._talks = talks

    def add_to(self, app: web.Application) -> None:
        """Serve both sockets under their own paths."""
        app.router.add_get(stt.TURNS_PATH, self._listen)
        app.router.add_get(tts.TTS_PATH, self._speak)

    # --- speech to text ---

    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        socket = await _accept(request)
        await socket.send_str(stt.encode(stt.Connected("bench")))
        known = False
        async for message in socket:
            if message.type is WSMsgType.BINARY and not known:
                known = self._find_caller(message.data, socket)
            elif message.type is WSMsgType.TEXT and isinstance(stt.parse_turns_command(message.data), stt.Close):
                break
        await socket.close()
        return socket

    def _find_caller(self, audio: bytes, socket: web.WebSocketResponse) -> bool:
        """Learn from the audio which call this is. False: there was only silence in it."""
        found = _TAG.search(audio)
        if found is None:
            return False
        high, low = found[1]
        if (talk := self._talks.get(high << 7 | low)) is None:
            return False

        async def tell(message: stt.ServiceMessage) -> None:
            await socket.send_str(stt.encode(message))

        talk.listened_to(tell)
        return True

    # --- text to speech ---

    async def _speak(self, request: web.Request) -> web.WebSocketResponse:
        socket = await _accept(request)
        speaking: dict[str, asyncio.Task[None]] = {}
        try:
            async for message in socket:
                at = clock()
                if message.type is not WSMsgType.TEXT:
                    continue
                try:
                    asked = tts.parse_from_client(message.data)
                except ProtocolError:
                    continue  # The utterance stays silent, and is counted as unanswered.
                if isinstance(asked, tts.Cancel):
                    if (task := speaking.pop(asked.context_id, None)) is not None:
                        task.cancel()
                elif asked.context_id not in speaking and asked.transcript.strip():
                    talk = self._talk_of(asked.transcript)
                    if talk is not None:
                        talk.reached(SYNTHESIZE, at)
                    work = self._say(socket, asked.context_id, asked.transcript.split(), talk)
                    speaking[asked.context_id] = spawn(work, name=f"bench-speech-{asked.context_id}")
        finally:
            for task in speaking.values():
                task.cancel()
        return socket

    def _talk_of(self, text: str) -> Talk | None:
        """The call that a text is spoken in; None for texts of the bridge's own."""
        found = _CALL.search(text)
        return None if found is None else self._talks.get(int(found[1]))

    async def _say(self, socket: web.WebSocketResponse, context: str, words: list[str], talk: Talk | None) -> None:
        """Send one utterance. Cancelling stops it, as the service does."""
        for number in range(_CHUNKS):
            begin = number * _CHUNK_MS / 1000
            own = words[number : number + 1]
            times = tts.WordTimes(own, [begin] * len(own), [begin + _CHUNK_MS / 1000] * len(own))
            if number == 0 and talk is not None and not talk.held:
                talk.begin(PLAY)
            try:
                await socket.send_str(tts.encode(tts.Chunk(context, _NOISE[: _CHUNK_MS * BYTES_PER_MS])))
                await socket.send_str(tts.encode(tts.Timestamps(context, times)))
            except ConnectionError:
                return
            await asyncio.sleep(_CHUNK_MS / 1000 / _PACE)
        await socket.send_str(tts.encode(tts.Done(context)))


async def _accept(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    return socket
