"""What the speech server needs of recognition, voice activity and synthesis, and who provides it.

Three contracts, and loaders by name. An engine is loaded when the server starts and never during a call; what is
not installed is a `MissingExtraError`, what cannot be loaded a `SettingsError`. To add an engine write a file in
`engines/` and name it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from bridge.errors import MissingExtraError, SettingsError

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono audio, -1 to 1."""

RECOGNITION_RATE: Final = 16000
"""Hz of the audio a recogniser gets."""


class SpeechRecognition(Protocol):
    """Turns an utterance into text. One object is used by one thread at a time."""

    name: str
    languages: frozenset[str] | None
    """ISO 639-1 codes; None: whatever the model knows."""

    def transcribe(self, audio: Samples, language: str) -> str:
        """The words of `audio` (16000 Hz, up to about 30 s), without spaces at its ends. Blocks."""


class SpeechDetector(Protocol):
    """Says how much a piece of audio sounds like speech. One object per stream: it remembers what it heard."""

    window_samples: int
    """Samples of one window: 32 ms."""

    def score(self, window: Samples) -> float:
        """0 to 1 for the next window. Quick enough for an event loop: well under a millisecond."""

    def reset(self) -> None:
        """Forget what was heard: another stream begins."""


class SpeechSynthesis(Protocol):
    """Speaks text. One object is used by one thread at a time."""

    name: str
    sample_rate: int
    """Hz of what `speak` returns."""
    voices: tuple[str, ...]
    """Ids of the voices; the first is the default."""

    def speak(self, text: str, *, voice: str, speed: float, volume: float) -> bytes:
        """One sentence as 16-bit little-endian mono PCM. `speed` and `volume` are factors around 1. Blocks."""


RECOGNIZERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "moonshine": "bridge.speech_server.engines.moonshine:Moonshine",
        "whisper": "bridge.speech_server.engines.whisper:Whisper",
    }
)
VOICE_ENGINES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nanotts": "bridge.speech_server.engines.nanotts:NanoVoice",
        "piper": "bridge.speech_server.engines.piper:PiperVoices",
    }
)


def load_recognizer(name: str, model: str | None = None) -> SpeechRecognition:
    """Load a recogniser by name; `model` is a name or folder that it understands, None its default."""
    engine: SpeechRecognition = _named(RECOGNIZERS, name, "speech recogniser")(model)
    return engine


def load_voice_engine(name: str, model: str | None = None) -> SpeechSynthesis:
    """Load a voice engine by name; `model` is a path that it understands, None its default."""
    engine: SpeechSynthesis = _named(VOICE_ENGINES, name, "voice engine")(model)
    return engine


def optional(module: str, extra: str, what: str) -> Any:
    """Import a module that an extra brings. Raises `MissingExtraError` if it is not there or cannot be loaded."""
    try:
        return import_module(module)
    except (ImportError, OSError) as error:
        raise MissingExtraError(extra, what) from error


def load_detector(sample_rate: int) -> SpeechDetector:
    """A fresh detector for one stream of 8000 or 16000 Hz."""
    detector: SpeechDetector = _factory("bridge.speech_server.engines.silero:Silero")(sample_rate)
    return detector


def _named(table: Mapping[str, str], name: str, what: str) -> Callable[..., Any]:
    target = table.get(name)
    if target is None:
        raise SettingsError(f"{what} {name!r} is not known: choose one of {', '.join(sorted(table))}")
    return _factory(target)


def _factory(target: str) -> Callable[..., Any]:
    module, _, attribute = target.partition(":")
    factory: Callable[..., Any] = getattr(import_module(module), attribute)
    return factory
