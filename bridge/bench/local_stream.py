"""One caller of a speech server, in real time: what it says when, and what comes back when."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

import aiohttp

from bridge.audio import codec
from bridge.bench.local_material import Utterance, line_noise, speak
from bridge.bench.local_words import Heard, TurnSeen
from bridge.errors import ProtocolError
from bridge.stt import cartesia_wire as wire
from bridge.tasks import spawn

PIECE_MS: Final = 60
_SHORTEST_GAP_MS, _LONGEST_GAP_MS = 1300, 3000
_TAIL_MS: Final = 1600
"""Silence after the last utterance: its turn ends by itself."""
_ANSWER: Final = "I have found your booking. What can I do for you?"
_DONE_WITHIN_S: Final = 60.0


def script(utterances: Sequence[Utterance], dice: random.Random) -> tuple[bytes, list[tuple[int, int]]]:
    """The audio of a stream, and where in it each utterance is, in ms."""
    audio = line_noise(dice.randrange(300, _LONGEST_GAP_MS), dice)
    spans = []
    for utterance in utterances:
        start = len(audio) // codec.BYTES_PER_MS
        audio += utterance.audio
        spans.append((start, len(audio) // codec.BYTES_PER_MS))
        audio += line_noise(dice.randrange(_SHORTEST_GAP_MS, _LONGEST_GAP_MS), dice)
    return audio + line_noise(_TAIL_MS, dice), spans


class Stream:
    """A caller on one socket. After each turn it has an answer spoken, as a call would."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, said: Sequence[Utterance], dice: random.Random
    ) -> None:
        self._session = session
        self._url = url
        self._audio, self._spans = script(said, dice)
        self.heard = Heard([utterance.text for utterance in said])
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Say everything and hear everything. Cancelling leaves the line."""
        query = {"model": "ink-2", "encoding": "pcm_mulaw", "sample_rate": str(codec.SAMPLE_RATE)}
        try:
            async with self._session.ws_connect(self._url + wire.TURNS_PATH, params=query, compress=0) as socket:
                hearing = spawn(self._hear(socket), name="bench-hear")
                try:
                    await self._say(socket)
                    async with asyncio.timeout(_DONE_WITHIN_S):
                        await hearing
                except (TimeoutError, ConnectionError):
                    self.heard.broken = True
                finally:
                    hearing.cancel()
        except aiohttp.WSServerHandshakeError:
            self.heard.refused = True
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _say(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        began = time.monotonic()
        self.heard.spans = [(began + start / 1000, began + end / 1000) for start, end in self._spans]
        size = PIECE_MS * codec.BYTES_PER_MS
        for number, at in enumerate(range(0, len(self._audio), size), start=1):
            # A piece can go out when all of it was said.
            wait = began + number * PIECE_MS / 1000 - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.heard.late = max(self.heard.late, -wait)
            await socket.send_bytes(self._audio[at : at + size])
        await socket.send_str('{"type":"close"}')

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        turns = self.heard.turns
        async for message in socket:
            now = time.monotonic()
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            try:
                said = wire.parse_from_service(message.data)
            except ProtocolError:
                self.heard.broken = True
                return
            match said:
                case wire.TurnStart():
                    turns.append(TurnSeen(now))
                case wire.TurnUpdate():
                    turns[-1].updates.append(now)
                case wire.TurnEnd():
                    turns[-1].ended, turns[-1].text = now, said.transcript
                    task = spawn(self._answer(), name="bench-answer")
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
        self.heard.broken |= bool(turns and not turns[-1].ended) or socket.close_code != aiohttp.WSCloseCode.OK

    async def _answer(self) -> None:
        asked = time.monotonic()
        await speak(self._session, self._url, _ANSWER, "en-US")
        self.heard.answers.append(time.monotonic() - asked)
