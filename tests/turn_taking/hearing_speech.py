"""A scripted speech service that recognises: it knows each word by the bytes of its sound, and only by them.

What it reports of a connection comes from the audio of that connection alone, as with a real one: connected to anew
in mid-sentence it begins a turn of its own, with the first word of which it hears the better half.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from wsproto import WSConnection
from wsproto.events import BytesMessage, Event, Request, TextMessage

from tests.scripted_speech import Peer, ScriptedSpeech

BYTES_PER_S = 8000
WORD_BYTES = 2000
"""A quarter of a second for each word, of which the last 40 ms are quiet."""
_SOUND = 1680
_LAG = 9600
"""The text is 1.2 s behind the sound, until the speaker pauses."""
_REPORT = 3200
"""Updates come every 400 ms."""
_ONSET, _EAGER, _END = 800, 3200, 6400


def sound_of_words(count: int) -> bytes:
    """Return the sound of the first `count` words (64 at most); each has bytes of its own."""
    words = (bytes([number] * 8 + [128 + number] * 8) * (_SOUND // 16) for number in range(count))
    return b"".join(word.ljust(WORD_BYTES, b"\xff") for word in words)


@dataclass
class Ear:
    """What the service hears on one connection."""

    words: Sequence[str]
    peer: Peer
    turn: int | None = None
    """Where in the connection's audio the open turn begins."""
    eager: bool = False
    text: str = ""
    reported: int = 0
    heard: bytearray = field(default_factory=bytearray)

    async def hear(self, audio: bytes) -> None:
        """Take audio, 20 ms at a time, and report what a service would."""
        for begin in range(0, len(audio), 160):
            self.heard += audio[begin : begin + 160]
            await self._look()

    async def _look(self) -> None:
        recent = bytes(self.heard[-_END:])
        silence = len(recent) - len(recent.rstrip(b"\xff"))
        if self.turn is None:
            if len(recent[-2 * _ONSET :].replace(b"\xff", b"")) >= _ONSET // 2:
                self.turn, self.text, self.eager = max(0, len(self.heard) - 2 * _ONSET), "", False
                self.reported = len(self.heard)
                await self.peer.turn("start")
            return
        if silence >= _END:
            self.turn = None
            await self.peer.turn("end", self._words(self.turn_audio(0)))
            self.heard.clear()
        elif silence >= _EAGER and not self.eager:
            self.eager = True
            await self.peer.turn("eager_end", self._words(self.turn_audio(0)))
        elif silence == 0 and self.eager:
            self.eager = False
            await self.peer.turn("resume")
        elif len(self.heard) - self.reported >= _REPORT and not self.eager:
            self.reported = len(self.heard)
            text = self._words(self.turn_audio(_LAG))
            if text and text != self.text:
                self.text = text
                await self.peer.turn("update", text)

    def turn_audio(self, behind: int) -> bytes:
        return bytes(self.heard[self.turn or 0 : len(self.heard) - behind])

    async def close(self) -> None:
        """Report what is left."""
        if self.turn is not None:
            await self.peer.turn("end", self._words(self.turn_audio(0)))
            self.turn = None

    def _words(self, audio: bytes) -> str:
        times = np.bincount(np.frombuffer(audio, np.uint8) & 127, minlength=128)
        known = [number for number in range(64) if times[number] > _SOUND // 2]
        return " ".join(self.words[number] for number in known if number < len(self.words))


class HearingSpeech(ScriptedSpeech):
    """Recognises `words`, in the order of their sounds; breaks off when it is told to."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self._words = words
        self._ears: dict[int, Ear] = {}
        self._down_until = 0.0
        self.refused = 0
        """Connections that were refused while it was down."""

    def cut(self, seconds: float) -> None:
        """Break all connections, as a network does, and take no new one for so long."""
        self._down_until = asyncio.get_running_loop().time() + seconds
        for peer in self.stt:
            peer.drop()

    async def _open(self, request: Request, writer: asyncio.StreamWriter, wire: WSConnection) -> Peer | None:
        if asyncio.get_running_loop().time() < self._down_until:
            self.refused += 1
            writer.transport.abort()
            return None
        peer = await super()._open(request, writer, wire)
        if peer is not None:
            self._ears[id(peer)] = Ear(self._words, peer)
        return peer

    async def _take(self, peer: Peer, event: Event) -> None:
        ear = self._ears[id(peer)]
        match event:
            case BytesMessage(data=data):
                await ear.hear(bytes(data))
            case TextMessage(data=text) if '"close"' in text:
                await ear.close()
            case _:
                pass
        await super()._take(peer, event)
