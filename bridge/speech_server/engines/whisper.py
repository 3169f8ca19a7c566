"""Whisper by `faster-whisper`: larger, slower, more languages. A model by name (fetched once) or by folder."""

from __future__ import annotations

from typing import Any, Final

from bridge.errors import SettingsError
from bridge.speech_server.engine import Samples, optional

_DEFAULT: Final = "tiny.en"
_NO_SPEECH: Final = 0.6
_UNLIKELY: Final = -1.0


class Whisper:
    """A Whisper model on one core, 8-bit."""

    name = "whisper"

    def __init__(self, model: str | None = None) -> None:
        """`model`: a name such as `base.en`, which the library fetches now if it must, or a folder."""
        library = optional("faster_whisper", "whisper", "speech recognition by whisper")
        chosen = model or _DEFAULT
        try:
            self._model: Any = library.WhisperModel(chosen, device="cpu", compute_type="int8", cpu_threads=1)
        except Exception as error:
            raise SettingsError(
                f"whisper cannot load the model {chosen!r} ({error}); name a folder that holds one"
            ) from error
        self.languages: frozenset[str] | None = None if self._model.model.is_multilingual else frozenset({"en"})

    def transcribe(self, audio: Samples, language: str) -> str:
        """See `SpeechRecognition`."""
        segments, _ = self._model.transcribe(
            audio,
            language=language,
            beam_size=2,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        heard = (
            segment.text.strip()
            for segment in segments
            if not (segment.no_speech_prob > _NO_SPEECH and segment.avg_logprob < _UNLIKELY)
        )
        return " ".join(heard).strip()
