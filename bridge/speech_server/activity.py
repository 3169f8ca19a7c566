"""Speech scores of single windows → where speech begins and ends. Pure; time is the audio received.

A voice activity detector scores every 32 ms of audio. One loud window may be a click and one quiet window may be
the closure of a `p`, so neither decides alone.
"""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_MS: Final = 32
"""Milliseconds of audio that one score stands for."""

_ONSET_WINDOWS: Final = 4
"""How many windows are looked at for an onset."""
_ONSET_HITS: Final = 3
"""How many of them must be speech."""
_GAP_WINDOWS: Final = 3
"""Windows below the lower limit after which speech counts as interrupted."""
_HYSTERESIS: Final = 0.15
"""How far a score may fall below the limit of an onset before a window counts as silent."""


class SpeechActivity:
    """Follows one stream of audio. Times are ms since its beginning."""

    def __init__(self, limit: float) -> None:
        """`limit` is the score at and above which a window is speech, 0 to 1."""
        self.limit = limit
        self.now_ms = 0
        """Audio heard so far."""
        self.speaking = False
        """Whether speech is going on; short gaps belong to it."""
        self.onset_ms = 0
        """Beginning of the stretch of speech that was confirmed last."""
        self.last_speech_ms = 0
        """End of the last window that belonged to confirmed speech."""
        self.voiced_ms = 0
        """How much of the audio was speech in all: windows at or above the limit, confirmed or not."""
        self._recent: deque[bool] = deque(maxlen=_ONSET_WINDOWS)
        self._quiet = 0

    @property
    def silence_ms(self) -> int:
        """Audio since the end of confirmed speech."""
        return self.now_ms - self.last_speech_ms

    @property
    def maybe_speech(self) -> bool:
        """Whether the newest window sounds like speech, which need not be confirmed yet."""
        return bool(self._recent) and self._recent[-1]

    def hear(self, score: float) -> None:
        """Take the score of the next window."""
        self.now_ms += WINDOW_MS
        loud = score >= self.limit
        self._recent.append(loud)
        if loud:
            self.voiced_ms += WINDOW_MS
        if self.speaking:
            self._go_on(score)
        elif sum(self._recent) >= _ONSET_HITS:
            self._begin()

    def _begin(self) -> None:
        self.speaking = True
        self._quiet = 0
        first = next(index for index, loud in enumerate(self._recent) if loud)
        self.onset_ms = self.now_ms - (len(self._recent) - first) * WINDOW_MS
        self.last_speech_ms = self.now_ms

    def _go_on(self, score: float) -> None:
        if score >= self.limit - _HYSTERESIS:
            self._quiet = 0
            self.last_speech_ms = self.now_ms
            return
        self._quiet += 1
        if self._quiet >= _GAP_WINDOWS:
            self.speaking = False
            # What was heard before the gap must not help to confirm the next onset.
            self._recent.clear()
