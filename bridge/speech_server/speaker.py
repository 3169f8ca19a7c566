"""Sentences → audio: which voice, how long to pause between sentences, where words lie in the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from bridge.errors import SettingsError
from bridge.speech_server.jobs import Speak
from bridge.speech_server.samples import SAMPLE_BYTES
from bridge.speech_server.word_times import SpokenWord
from bridge.speech_server.worker import InferencePool
from bridge.tts.cartesia_wire import OutputFormat

_log = structlog.get_logger()

CHUNK_MS: Final = 200
"""Length of the pieces in which audio is handed out."""
_FULL_STOP_PAUSE: Final = 0.28
_COMMA_PAUSE: Final = 0.12
_MOST_NOTED: Final = 100


class Voices:
    """Chooses a voice for a request's id."""

    def __init__(self, pool: InferencePool, default: str | None) -> None:
        """`default` speaks for ids that are not known; None: the engine's first. Raises `SettingsError`."""
        self.ids = tuple(pool.ready.voices)
        if default is not None and default not in self.ids:
            raise SettingsError(f"voice is {default!r}: the engine {pool.ready.engine} has {', '.join(self.ids)}")
        self._default = default or self.ids[0]
        self._noted: set[str] = set()

    def choose(self, voice_id: str, language: str | None) -> str:
        """The voice of that id; for an unknown id one that speaks `language`, or the default."""
        if voice_id in self.ids:
            return voice_id
        wanted = (language or "").lower()
        chosen = self._default
        if wanted and not chosen.lower().startswith(wanted):
            chosen = next((known for known in self.ids if known.lower().startswith(wanted)), chosen)
        if voice_id not in self._noted and len(self._noted) < _MOST_NOTED:
            self._noted.add(voice_id)
            _log.info("voice_unknown_here", voice=voice_id[:80], speaks=chosen)
        return chosen


@dataclass(frozen=True, slots=True)
class Manner:
    """How a stretch of speech is spoken."""

    voice: str
    language: str | None
    format: OutputFormat
    speed: float = 1.0
    volume: float = 1.0


@dataclass(frozen=True, slots=True)
class Sound:
    """A spoken sentence."""

    audio: bytes
    """In the format asked for."""
    words: tuple[SpokenWord, ...]
    """Times from the beginning of the whole stretch of speech."""


class Speaker:
    """Speaks one stretch of speech, sentence after sentence."""

    def __init__(self, pool: InferencePool, manner: Manner) -> None:
        self._pool = pool
        self._manner = manner
        self._seconds = 0.0
        self._last = ""

    async def say(self, sentence: str) -> Sound:
        """Speak a sentence. Raises `SpeechError`; cancelling drops it."""
        manner = self._manner
        job = Speak(
            0,
            sentence,
            manner.voice,
            manner.language,
            manner.format.encoding,
            manner.format.sample_rate,
            manner.speed,
            manner.volume,
            self._pause(),
        )
        spoken = await self._pool.speak(job)
        words = tuple(
            SpokenWord(word, round(start + self._seconds, 3), round(end + self._seconds, 3))
            for word, start, end in spoken.words
        )
        self._seconds += spoken.seconds
        self._last = sentence.rstrip()
        return Sound(spoken.audio, words)

    def _pause(self) -> float:
        if not self._last:
            return 0.0
        if self._last[-1] in ",;:–—":
            return _COMMA_PAUSE
        return _FULL_STOP_PAUSE if self._last.rstrip("'\"”’)]")[-1:] in {*".!?…。！？"} else 0.0


def chunks(audio: bytes, wanted: OutputFormat) -> Iterator[bytes]:
    """Audio in pieces of `CHUNK_MS`."""
    size = wanted.sample_rate * CHUNK_MS // 1000 * SAMPLE_BYTES[wanted.encoding]
    for start in range(0, len(audio), size):
        yield audio[start : start + size]
