"""Piper: natural voices by the path of a model. Under the GPL-3.0, so it stays an extra of the user's choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.errors import SettingsError
from bridge.speech_server.engine import optional


class PiperVoices:
    """One Piper voice: the `.onnx` file named, or the only one in the folder named."""

    name = "piper"

    def __init__(self, model: str | None = None) -> None:
        self._library = optional("piper", "piper", "the voice piper")
        path = _find(model)
        try:
            self._voice: Any = self._library.PiperVoice.load(str(path))
        except Exception as error:
            raise SettingsError(f"piper cannot load the voice {path}: {error}") from error
        self.voices: tuple[str, ...] = (path.stem,)
        self.sample_rate: int = self._voice.config.sample_rate

    def speak(self, text: str, *, voice: str, speed: float, volume: float) -> bytes:
        """See `SpeechSynthesis`."""
        del voice  # there is one
        config = self._library.SynthesisConfig(length_scale=1 / speed, volume=volume)
        return b"".join(chunk.audio_int16_bytes for chunk in self._voice.synthesize(text, syn_config=config))


def _find(model: str | None) -> Path:
    if model is None:
        raise SettingsError("the voice engine piper needs the path of a voice (a .onnx file or its folder)")
    path = Path(model)
    if path.is_dir():
        found = sorted(path.glob("*.onnx"))
        if len(found) != 1:
            raise SettingsError(f"the folder {model!r} holds {len(found)} .onnx files: name one of them")
        return found[0]
    if not path.is_file():
        raise SettingsError(f"there is no piper voice at {model!r}: name a .onnx file or its folder")
    return path
