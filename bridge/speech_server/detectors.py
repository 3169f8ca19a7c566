"""Speech detectors at hand: loading one takes 40 ms, which no event loop shall stand still for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bridge.speech_server.engine import SpeechDetector, load_detector

_MOST_KEPT: Final = 16
"""Unused detectors of each rate; one holds about 10 MB."""


class Detectors:
    """Lends a detector to each stream and takes it back for the next one."""

    def __init__(self) -> None:
        self._free: dict[int, list[SpeechDetector]] = {}

    async def prepare(self) -> None:
        """Load one for telephone audio, and with it the library."""
        async with self.lent(8000):
            pass

    @asynccontextmanager
    async def lent(self, sample_rate: int) -> AsyncIterator[SpeechDetector]:
        """A detector that has heard nothing yet."""
        free = self._free.setdefault(sample_rate, [])
        detector = free.pop() if free else await asyncio.to_thread(load_detector, sample_rate)
        try:
            yield detector
        finally:
            detector.reset()
            if len(free) < _MOST_KEPT:
                free.append(detector)
