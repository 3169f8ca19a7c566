"""Speech activity and `finalize` commands → the transcripts of the manual endpoint. Pure, as `turns`.

The client says when the speaker is done (`finalize`); if it does not, a silence does. Finals are deltas in the
order of the audio and are transcribed one after the other; while one is in work the next can be asked for. Silence
around speech is not transcribed, and audio without speech yields no text.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from bridge.audio.vad import WINDOW_MS, SpeechActivity
from bridge.speech_server.turns import Purpose, Transcribe
from bridge.speech_server.word_times import Span

DEFAULT_SILENCE_MS: Final = 1000.0
"""Silence after speech at which a final is made without being asked for."""
_PRE_ROLL_MS: Final = 350
_AFTER_MS: Final = 350
_LEAST_VOICED_MS: Final = 150
_PREVIEW_MS: Final = 960
_LONGEST_MS: Final = 18000
_SEARCH_MS: Final = 4000


@dataclass(frozen=True, slots=True)
class Preview:
    """What is heard since the last final; the next message replaces it."""

    text: str


@dataclass(frozen=True, slots=True)
class Finalized:
    """What was said since the last final."""

    text: str
    """To be appended verbatim: with the space that parts it from the text before."""
    duration: float
    """Seconds of audio."""
    speech: tuple[Span, ...]
    """Where in it there was speech."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """All audio before a `finalize` has been dealt with."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All audio has been dealt with, and no more comes."""


Output: TypeAlias = Preview | Finalized | Flushed | Finished | Transcribe


@dataclass(slots=True)
class _Stretch:
    """Audio that belongs to one final."""

    start_ms: int
    scores: list[float] = field(default_factory=list)
    end_ms: int = 0
    after: tuple[Flushed | Finished, ...] = ()
    """What to say when it is done."""


class ManualFinals:
    """The finals of one stream."""

    def __init__(self, *, silence_ms: float = DEFAULT_SILENCE_MS, limit: float = 0.5) -> None:
        """`silence_ms`: see `DEFAULT_SILENCE_MS`. `limit`: the detector's score from which a window is speech."""
        self._silence_ms = silence_ms
        self._activity = SpeechActivity(limit)
        self._open = _Stretch(0)
        self._waiting: deque[_Stretch] = deque()
        self._job: Transcribe | None = None
        self._jobs = 0
        self._spoken = False
        self._finished = False
        self._next_preview_ms = 0

    @property
    def idle(self) -> bool:
        """Nothing is being transcribed or waits for it."""
        return self._job is None and not self._waiting

    @property
    def keep_from_ms(self) -> int:
        """Audio before this is never asked for again."""
        return self._waiting[0].start_ms if self._waiting else self._open.start_ms

    def hear(self, score: float) -> list[Output]:
        """Take the speech score (0 to 1) of the next window."""
        activity, stretch = self._activity, self._open
        activity.hear(score)
        stretch.scores.append(score)
        now = activity.now_ms
        if not self._has_speech(stretch):
            self._drop_silence(stretch)
            self._next_preview_ms = now + _PREVIEW_MS
            return []
        if not activity.speaking and activity.silence_ms >= self._silence_ms:
            return self._close_stretch(now)
        if now - stretch.start_ms >= _LONGEST_MS:
            return self._close_stretch(now - self._windows_since_quietest(stretch) * WINDOW_MS)
        if self.idle and activity.speaking and now >= self._next_preview_ms:
            self._next_preview_ms = now + max(_PREVIEW_MS, (now - stretch.start_ms) // 5)
            return [self._transcribe(stretch, now, Purpose.PREVIEW)]
        return []

    def finalize(self) -> list[Output]:
        """The client wants what was said up to here; ends in `Flushed`."""
        return self._close_stretch(self._activity.now_ms, Flushed())

    def finish(self) -> list[Output]:
        """No more audio comes; ends in `Finished`."""
        if self._finished:
            return []
        self._finished = True
        return self._close_stretch(self._activity.now_ms, Finished())

    def transcribed(self, job: int, text: str | None) -> list[Output]:
        """Take the text of a `Transcribe`; None if it failed. Texts of replaced jobs are ignored."""
        done = self._job
        if done is None or done.job != job:
            return []
        self._job = None
        lead = " " if self._spoken else ""
        if done.purpose is Purpose.PREVIEW:
            return [Preview(lead + text)] if text else []
        stretch = self._waiting.popleft()
        outputs: list[Output] = []
        if text:
            self._spoken = True
            seconds = (done.end_ms - done.start_ms) / 1000
            outputs.append(Finalized(lead + text, seconds, tuple(self._speech(stretch, done.start_ms))))
        return [*outputs, *stretch.after, *self._next()]

    def _close_stretch(self, end_ms: int, *after: Flushed | Finished) -> list[Output]:
        stretch, behind = self._open, (self._activity.now_ms - end_ms) // WINDOW_MS
        split = len(stretch.scores) - behind
        self._open = _Stretch(end_ms, stretch.scores[split:])
        stretch.scores = stretch.scores[:split]
        stretch.end_ms, stretch.after = end_ms, after
        self._waiting.append(stretch)
        return self._next()

    def _next(self) -> list[Output]:
        """Start the next transcription; stretches without speech are done at once."""
        if self._job is not None and self._job.purpose is not Purpose.PREVIEW:
            return []
        self._job = None
        outputs: list[Output] = []
        while self._waiting:
            stretch = self._waiting[0]
            if self._voiced_ms(stretch) >= _LEAST_VOICED_MS:
                spans = self._speech(stretch, 0)
                end = min(stretch.end_ms, int(spans[-1][1] * 1000) + _AFTER_MS)
                return [*outputs, self._transcribe(stretch, end, Purpose.PAUSE)]
            outputs += self._waiting.popleft().after
        return outputs

    def _transcribe(self, stretch: _Stretch, end_ms: int, purpose: Purpose) -> Transcribe:
        self._jobs += 1
        self._job = Transcribe(self._jobs, stretch.start_ms, end_ms, self._voiced_ms(stretch), purpose)
        return self._job

    def _has_speech(self, stretch: _Stretch) -> bool:
        return self._activity.speaking or self._activity.last_speech_ms > stretch.start_ms

    def _drop_silence(self, stretch: _Stretch) -> None:
        extra = len(stretch.scores) - _PRE_ROLL_MS // WINDOW_MS - 4
        if extra > 0:
            del stretch.scores[:extra]
            stretch.start_ms += extra * WINDOW_MS

    def _voiced_ms(self, stretch: _Stretch) -> int:
        return sum(score >= self._activity.limit for score in stretch.scores) * WINDOW_MS

    def _speech(self, stretch: _Stretch, origin_ms: int) -> list[Span]:
        """Runs of windows with speech, in seconds from `origin_ms`."""
        spans: list[Span] = []
        for index, score in enumerate(stretch.scores):
            if score < self._activity.limit:
                continue
            start = (stretch.start_ms + index * WINDOW_MS - origin_ms) / 1000
            end = start + WINDOW_MS / 1000
            if spans and start - spans[-1][1] < 1e-6:
                spans[-1] = spans[-1][0], end
            else:
                spans.append((start, end))
        return spans

    @staticmethod
    def _windows_since_quietest(stretch: _Stretch) -> int:
        tail = stretch.scores[-(_SEARCH_MS // WINDOW_MS) :]
        return len(tail) - min(range(len(tail)), key=lambda index: tail[index])
