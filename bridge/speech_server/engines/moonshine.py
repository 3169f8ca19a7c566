"""Moonshine: recognition of English, model inside the publisher's own wheel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bridge.errors import SettingsError
from bridge.speech_server.engine import RECOGNITION_RATE, Samples, optional

# The library reads this once, when it loads its first model: one thread for each model, so that a worker is a core.
os.environ.setdefault("MOONSHINE_ORT_SINGLE_THREAD", "1")

_FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
_OPTIONS = {
    # Its own voice activity detector cuts lines at the pauses of phone speech and invents words between them.
    "vad_threshold": "0.0",
    "return_audio_data": "false",
}
_SHORTEST = RECOGNITION_RATE // 10


class Moonshine:
    """The `moonshine-voice` library with a model of its tiny architecture, or the one named."""

    name = "moonshine"
    languages: frozenset[str] | None = frozenset({"en"})

    def __init__(self, model: str | None = None) -> None:
        """`model`: None for the one in the wheel, a folder, or an architecture's name (`base`, `small_streaming`).

        A name is fetched by the library from its publisher, now; the folder and the default need no network.
        """
        library = optional("moonshine_voice", "local", "speech recognition by moonshine")
        folder, arch = _locate(library, model)
        try:
            self._transcriber: Any = library.Transcriber(folder, arch, options=_OPTIONS)
        except Exception as error:
            raise SettingsError(f"moonshine cannot load its model from {folder}: {error}") from error

    def transcribe(self, audio: Samples, language: str) -> str:
        """See `SpeechRecognition`."""
        del language  # English only
        if len(audio) < _SHORTEST:
            return ""
        # The library copies item by item; a list of floats is the quickest thing to give it.
        transcript = self._transcriber.transcribe_without_streaming(audio.tolist(), RECOGNITION_RATE)
        return " ".join(line.text.strip() for line in transcript.lines).strip()


def _locate(library: Any, model: str | None) -> tuple[str, Any]:
    """The model's folder and architecture. Downloads only what was named and is no folder."""
    archs = library.ModelArch
    packaged = Path(library.__file__).parent / "assets" / "tiny-en"
    if model is None and all((packaged / name).is_file() for name in _FILES):
        return str(packaged), archs.TINY
    if model is not None and Path(model).is_dir():
        return model, _architecture(Path(model).name, archs)
    arch = archs.TINY if model is None else _architecture(model, archs, strict=True)
    try:
        folder, found = library.get_model_for_language("en", arch)
    except Exception as error:
        raise SettingsError(
            f"moonshine cannot fetch the model {model or 'tiny'!r} ({error}); name a folder that holds it"
        ) from error
    return str(folder), found


def _architecture(name: str, archs: Any, *, strict: bool = False) -> Any:
    """`tiny-en`, `base`, `small_streaming` … → the library's constant; a folder of another name means tiny."""
    wanted = name.lower().replace("-", "_").removesuffix("_en").upper()
    known: dict[str, Any] = {arch.name: arch for arch in archs}
    if wanted in known:
        return known[wanted]
    if strict:
        raise SettingsError(
            f"moonshine model {name!r} is neither a folder nor one of {', '.join(sorted(known)).lower()}"
        )
    return known["TINY"]
