"""One context of the text-to-speech socket: what is to be spoken when, from text that comes in pieces. Pure.

Protocol: "/tts/websocket". Transcripts are joined verbatim. Whole sentences are spoken at once; the rest waits for
more text, for a flush, for the end, or until it has waited `max_buffer_delay_ms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from bridge.errors import ProtocolError
from bridge.speech_server.samples import HIGHEST_RATE, LOWEST_RATE, OUTPUT_ENCODINGS
from bridge.speech_server.sentences import SentenceBuffer
from bridge.tts.cartesia_wire import Generate, GenerationConfig, OutputFormat

DEFAULT_DELAY_MS: Final = 3000
_LONGEST_DELAY_MS: Final = 5000
_SPEEDS: Final = {"slow": 0.8, "slowest": 0.6, "normal": 1.0, "fast": 1.25, "fastest": 1.5}


@dataclass(frozen=True, slots=True)
class Say:
    """Speak this sentence."""

    text: str
    flush_id: int


@dataclass(frozen=True, slots=True)
class FlushMark:
    """Everything before this is spoken: say so."""

    flush_id: int


@dataclass(frozen=True, slots=True)
class End:
    """The context is over."""


Step: TypeAlias = Say | FlushMark | End


class SpeechContext:
    """Fixed by its first request: voice, format and the rest must not change, and what later requests say of them
    is not looked at."""

    def __init__(self, first: Generate) -> None:
        """Does not take the text yet. Raises `ProtocolError` (code `bad_parameter`) for forbidden values."""
        check_format(first.output_format)
        delay = DEFAULT_DELAY_MS if first.max_buffer_delay_ms is None else first.max_buffer_delay_ms
        if not 0 <= delay <= _LONGEST_DELAY_MS:
            raise _bad(f"max_buffer_delay_ms is {delay}: it must be from 0 to {_LONGEST_DELAY_MS}")
        self.request = first
        self.speed = speed_of(first.generation_config, first.speed)
        self.volume = volume_of(first.generation_config)
        self.delay_ms = delay
        self.ended = False
        self._buffer = SentenceBuffer()
        self._flush_id = 1

    @property
    def waiting(self) -> bool:
        """Whether text waits, so that `overdue` has to be called `delay_ms` after it came."""
        return self._buffer.waiting and not self.ended

    def add(self, request: Generate) -> list[Step]:
        """Take a request of this context. Raises `ProtocolError` if the context is over."""
        if self.ended:
            raise _bad(f"the context {request.context_id[:80]!r} is finished: use a new context_id")
        self._buffer.add(request.transcript)
        if not request.continue_:
            self.ended = True
            return [*self._say(self._buffer.take_all()), End()]
        if request.flush or (self.delay_ms == 0 and request.transcript):
            return self._flush()
        return self._say(self._buffer.take_ready())

    def overdue(self) -> list[Step]:
        """The text has waited long enough."""
        return [] if self.ended else self._say(self._buffer.take_all())

    def _flush(self) -> list[Step]:
        steps: list[Step] = [*self._say(self._buffer.take_all()), FlushMark(self._flush_id)]
        self._flush_id += 1
        return steps

    def _say(self, sentences: list[str]) -> list[Step]:
        return [Say(sentence, self._flush_id) for sentence in sentences]


def check_format(wanted: OutputFormat, *, containers: frozenset[str] = frozenset({"raw"})) -> None:
    """Raise `ProtocolError` for audio that is not served."""
    if wanted.container not in containers:
        raise _bad(
            f"output_format.container is {wanted.container[:40]!r}: it must be {' or '.join(sorted(containers))}"
        )
    if wanted.encoding not in OUTPUT_ENCODINGS:
        known = ", ".join(sorted(OUTPUT_ENCODINGS))
        raise _bad(f"output_format.encoding is {wanted.encoding[:40]!r}: it must be one of {known}")
    if not LOWEST_RATE <= wanted.sample_rate <= HIGHEST_RATE:
        raise _bad(
            f"output_format.sample_rate is {wanted.sample_rate}: it must be from {LOWEST_RATE} to {HIGHEST_RATE}"
        )


def speed_of(config: GenerationConfig | None, name: str | None) -> float:
    """The factor of the pace. Raises `ProtocolError`."""
    speed = config.speed if config is not None else None
    if speed is None:
        if name is not None and name not in _SPEEDS:
            raise _bad(f"speed is {name[:40]!r}: it must be one of {', '.join(_SPEEDS)}")
        return _SPEEDS[name or "normal"]
    if not 0.6 <= speed <= 1.5:
        raise _bad(f"generation_config.speed is {speed}: it must be from 0.6 to 1.5")
    return speed


def volume_of(config: GenerationConfig | None) -> float:
    """The factor of the loudness. Raises `ProtocolError`."""
    volume = 1.0 if config is None or config.volume is None else config.volume
    if not 0.5 <= volume <= 2.0:
        raise _bad(f"generation_config.volume is {volume}: it must be from 0.5 to 2")
    return volume


def _bad(message: str) -> ProtocolError:
    return ProtocolError(message, code="bad_parameter")
