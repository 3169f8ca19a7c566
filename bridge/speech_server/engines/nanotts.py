"""SVOX Pico by `py-nanotts`: small, quick voices inside the wheel."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bridge.errors import SettingsError
from bridge.speech_server.engine import optional


@dataclass(frozen=True, slots=True)
class _Voice:
    speed: float
    pitch: float


_VOICES: Final = MappingProxyType(
    {
        # A little slower than the engine's own pace: over the phone it is understood better.
        "en-US": _Voice(speed=0.9, pitch=1.0),
        # Lowered, so that nobody takes it for the one above.
        "en-GB": _Voice(speed=0.9, pitch=0.8),
        "de-DE": _Voice(speed=1.0, pitch=1.0),
        "es-ES": _Voice(speed=1.0, pitch=1.0),
        "fr-FR": _Voice(speed=1.0, pitch=1.0),
        "it-IT": _Voice(speed=1.0, pitch=1.0),
    }
)
_VOLUME: Final = 0.5
"""The engine's own level clips; this is about -17 dB of full scale, a usual level on the phone."""


class NanoVoice:
    """The voices of Pico: English (US, GB), German, Spanish, French, Italian."""

    name = "nanotts"
    sample_rate = 16000
    voices: tuple[str, ...] = tuple(_VOICES)

    def __init__(self, model: str | None = None) -> None:
        if model is not None:
            raise SettingsError(f"the voice engine nanotts has its voices inside and takes no model, not {model!r}")
        self._engine: Any = optional("py_nanotts", "local", "the voice nanotts").NanoTTS()

    def speak(self, text: str, *, voice: str, speed: float, volume: float) -> bytes:
        """See `SpeechSynthesis`."""
        if not any(character.isalnum() for character in text):
            return b""
        chosen = _VOICES[voice]
        audio: bytes = self._engine.speak(
            text, voice=voice, speed=chosen.speed * speed, pitch=chosen.pitch, volume=_VOLUME * volume
        )
        return audio
