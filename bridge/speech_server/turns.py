"""Speech activity and transcriptions → the events of a turn. Pure: no clock, no audio, no model.

`Turns` hears one score per window of audio and answers with what happened (`Started` … `Ended`) and with what has
to be transcribed (`Transcribe`); whoever holds the audio and the recogniser does that and reports the text. Time is
the audio received: without audio nothing happens, and so a turn stays open when the audio stops, as it does at
the real service ("dangling turns").

Thresholds. The service's thresholds are scores of "the user is speaking". Here such a score falls with the silence
since the last speech, and a threshold is the silence at which the score has fallen that low:

    silence in ms = 800 · (0.2 / threshold) ^ 1.415

so that the defaults mean 300 ms (eager end, 0.4) and 800 ms (end, 0.2), and 0.5, 0.1 and 0.05 mean 219, 2134 and
5690 ms: a lower threshold is more patient. `end_timeout_ms` is the longest silence whatever the threshold. The
start threshold is in proportion the limit of the detector's score: 0.8 means 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from bridge.audio.vad import WINDOW_MS, SpeechActivity
from bridge.speech_server.turn_text import TurnText
from bridge.stt.cartesia_wire import TurnThresholds

_END_THRESHOLD: Final = 0.2
_END_SILENCE_MS: Final = 800.0
_STEEPNESS: Final = 1.415
_DETECTOR_PER_START: Final = 0.5 / 0.8


def silence_ms(threshold: float) -> float:
    """The silence after which the score of "the user is speaking" is down at `threshold`."""
    return float(_END_SILENCE_MS * (_END_THRESHOLD / threshold) ** _STEEPNESS)


@dataclass(frozen=True, slots=True)
class Habits:
    """How `Turns` works. All in ms of audio."""

    pre_roll_ms: int = 350
    """Audio before the detected onset that is transcribed too: soft onsets are detected late."""
    least_voiced_ms: int = 250
    """A turn with less speech than this is noise: its text is empty."""
    settle_ms: int = 240
    """Silence after which the text is asked for, so that it is there when the turn may be over."""
    first_preview_ms: int = 400
    """Time from the start to the first preview."""
    preview_ms: int = 320
    """Shortest time between two previews."""
    preview_share: float = 0.3
    """Time between previews as a share of the audio they cover, if that is longer: long ones cost more."""
    freeze_ms: int = 5000
    """From this length on the text is frozen at a pause: what is transcribed at the end of the turn stays short."""
    hurry_ms: int = 6000
    """From this length on a pause of `short_pause_ms` will do."""
    short_pause_ms: int = 160
    longest_ms: int = 14000
    """At this length the text is frozen without a pause, at the quietest window of the last `search_ms`."""
    search_ms: int = 4000


class Purpose(Enum):
    """What a transcription is for. Later ones matter more."""

    PREVIEW = auto()
    FREEZE = auto()
    PAUSE = auto()


@dataclass(frozen=True, slots=True)
class Started:
    """The user began to speak (`turn.start`)."""


@dataclass(frozen=True, slots=True)
class Updated:
    """The turn's text grew (`turn.update`)."""

    text: str


@dataclass(frozen=True, slots=True)
class EagerEnded:
    """The user may be done (`turn.eager_end`)."""

    text: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The user goes on after all (`turn.resume`)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The user is done (`turn.end`). The text is empty if it was no speech."""

    text: str


@dataclass(frozen=True, slots=True)
class Transcribe:
    """To be done by the caller: transcribe the audio from `start_ms` to `end_ms` and report it under `job`.

    It replaces an earlier one that is not done yet: that one's text is not wanted any more.
    """

    job: int
    start_ms: int
    end_ms: int
    voiced_ms: int
    """How much of it is speech."""
    purpose: Purpose


Output: TypeAlias = Started | Updated | EagerEnded | Resumed | Ended | Transcribe


@dataclass(slots=True)
class _Turn:
    """The open turn."""

    text: TurnText
    start_ms: int
    """Where the unfrozen audio begins."""
    voiced_before: int
    """The detector's count of speech when the unfrozen part began."""
    scores: list[float]
    """Of the windows since `start_ms`, roughly: for finding a quiet place."""
    next_preview_ms: int
    heard: str | None = None
    """The text of everything up to the present pause, once it is known."""
    heard_to_ms: int = 0
    """Where the audio of that text ends: in the pause, `Habits.short_pause_ms` or more behind the speech."""
    eager: bool = False
    """`EagerEnded` was reported and not taken back."""


class Turns:
    """The turns of one stream."""

    def __init__(self, thresholds: TurnThresholds | None = None, habits: Habits | None = None) -> None:
        """Raises `ProtocolError` (code `bad_parameter`) for thresholds out of their range or order."""
        self._given = thresholds or TurnThresholds()
        self._habits = habits or Habits()
        self._activity = SpeechActivity(0.5)
        self._turn: _Turn | None = None
        self._job: Transcribe | None = None
        self._jobs = 0
        self._floor_ms = 0
        self._spoken = False
        self._finishing = False
        self.configure(TurnThresholds())

    def configure(self, change: TurnThresholds) -> None:
        """Set what `change` gives; the rest stays. Holds from the next window on. Raises as `__init__`."""
        updated = self._given.updated(change)
        updated.check()
        self._given = updated
        full = updated.filled()
        # `filled` leaves no None; the fallbacks are for the type checker and equal the service's defaults.
        timeout = full.end_timeout_ms or 5600
        self._eager_ms = silence_ms(full.eager_end_threshold or 0.4)
        self._end_ms = min(silence_ms(full.end_threshold or 0.2), timeout)
        self._settle_ms = min(self._habits.settle_ms, self._eager_ms)
        self._activity.limit = (full.start_threshold or 0.8) * _DETECTOR_PER_START

    @property
    def idle(self) -> bool:
        """No turn is open."""
        return self._turn is None

    @property
    def keep_from_ms(self) -> int:
        """Audio before this is never asked for again."""
        if self._job is not None:
            return self._job.start_ms
        if self._turn is not None:
            return self._turn.start_ms
        return max(self._floor_ms, self._activity.now_ms - self._habits.pre_roll_ms - 8 * WINDOW_MS)

    def hear(self, score: float) -> list[Output]:
        """Take the speech score (0 to 1) of the next window."""
        activity = self._activity
        was_speaking = activity.speaking
        activity.hear(score)
        begins = activity.speaking and not was_speaking
        turn = self._turn
        if turn is None:
            return self._begin() if begins else []
        turn.scores.append(score)
        outputs: list[Output] = []
        if begins:
            outputs += self._go_on(turn)
        if not activity.speaking and turn.heard is not None:
            return outputs + self._pause(turn, turn.heard)
        return outputs + self._ask(turn)

    def transcribed(self, job: int, text: str | None) -> list[Output]:
        """Take the text of a `Transcribe`; None if it failed. Texts of replaced jobs are ignored."""
        done, turn = self._job, self._turn
        if done is None or turn is None or job != done.job:
            return []
        self._job = None
        if done.purpose is Purpose.PREVIEW:
            return [*self._preview(turn, text), *self._ask(turn)]
        if done.purpose is Purpose.FREEZE:
            grew = turn.text.settle(text or "")
            turn.text.freeze()
            return [*([Updated(turn.text.text)] if grew else []), *self._ask(turn)]
        if done.end_ms < self._activity.last_speech_ms:
            # There was more speech meanwhile.
            return [*self._short_pause(turn, text or "", done.end_ms), *self._ask(turn)]
        turn.heard_to_ms = done.end_ms
        return self._settled(turn, text or "")

    def finish(self) -> list[Output]:
        """No more audio comes: an open turn is brought to its end as soon as its text is there."""
        self._finishing = True
        turn = self._turn
        if turn is None:
            return []
        return self._ask(turn) if turn.heard is None else self._end(turn, turn.heard)

    def _begin(self) -> list[Output]:
        activity, habits = self._activity, self._habits
        start = max(self._floor_ms, activity.onset_ms - habits.pre_roll_ms, 0)
        self._turn = _Turn(
            text=TurnText(" " if self._spoken else ""),
            start_ms=start,
            voiced_before=activity.voiced_ms - (activity.now_ms - activity.onset_ms),
            scores=[],
            next_preview_ms=activity.now_ms + habits.first_preview_ms,
        )
        return [Started()]

    def _go_on(self, turn: _Turn) -> list[Output]:
        """Speech is back inside a turn."""
        heard, turn.heard = turn.heard, None
        if not turn.eager:
            return [] if heard is None else self._short_pause(turn, heard, turn.heard_to_ms)
        turn.eager = False
        if turn.heard_to_ms - turn.start_ms >= self._habits.freeze_ms:
            self._freeze(turn, turn.heard_to_ms)
        return [Resumed()]

    def _short_pause(self, turn: _Turn, heard: str, to_ms: int) -> list[Output]:
        """A pause is over that was too short for an eager end: its text counts no more than any preview, unless
        there is so much of it that it is time to freeze it."""
        if to_ms - turn.start_ms < self._habits.freeze_ms:
            return self._preview(turn, heard)
        grew = turn.text.settle(heard)
        self._freeze(turn, to_ms)
        return [Updated(turn.text.text)] if grew else []

    def _freeze(self, turn: _Turn, to_ms: int) -> None:
        """Freeze the text of the audio up to a moment in a pause, a little behind the speech."""
        turn.text.freeze()
        self._move(turn, to_ms - self._habits.short_pause_ms // 2)

    def _preview(self, turn: _Turn, text: str | None) -> list[Output]:
        grew = text is not None and turn.text.preview(text)
        return [Updated(turn.text.text)] if grew and not turn.eager else []

    def _pause(self, turn: _Turn, heard: str) -> list[Output]:
        """What the silence means by now; a window that sounds like speech puts the answer off."""
        silence = self._activity.silence_ms
        if self._activity.maybe_speech:
            return []
        if silence >= self._end_ms:
            return self._end(turn, heard)
        if turn.eager or silence < self._eager_ms:
            return []
        turn.text.settle(heard)
        turn.eager = bool(turn.text.text)
        return [EagerEnded(turn.text.text)] if turn.eager else []

    def _ask(self, turn: _Turn) -> list[Output]:
        """What has to be transcribed now, if anything."""
        activity, running = self._activity, self._job
        if turn.heard is not None:
            return []
        if running is not None and running.purpose is not Purpose.PREVIEW:
            return []
        length = activity.now_ms - turn.start_ms
        pause = self._settle_ms if length < self._habits.hurry_ms else self._habits.short_pause_ms
        if self._finishing or (not activity.speaking and activity.silence_ms >= pause):
            return self._ask_pause(turn)
        if length >= self._habits.longest_ms:
            return self._ask_freeze(turn)
        if running is None and activity.speaking and activity.now_ms >= turn.next_preview_ms:
            wait = max(self._habits.preview_ms, int(length * self._habits.preview_share))
            turn.next_preview_ms = activity.now_ms + wait
            return [self._transcribe(turn, activity.now_ms, Purpose.PREVIEW)]
        return []

    def _ask_pause(self, turn: _Turn) -> list[Output]:
        if self._voiced(turn) < self._habits.least_voiced_ms:
            # Too little for speech: a cough, a knock. Words would be made up.
            self._job = None
            return self._settled(turn, "")
        return [self._transcribe(turn, self._activity.now_ms, Purpose.PAUSE)]

    def _ask_freeze(self, turn: _Turn) -> list[Output]:
        windows = min(self._habits.search_ms // WINDOW_MS, len(turn.scores) - 1)
        tail = turn.scores[-windows:]
        quietest = min(range(windows), key=lambda index: tail[index])
        cut = self._activity.now_ms - (windows - quietest) * WINDOW_MS
        job = self._transcribe(turn, cut, Purpose.FREEZE)
        self._move(turn, cut)
        return [job]

    def _settled(self, turn: _Turn, heard: str) -> list[Output]:
        """The text up to the present pause is there."""
        turn.heard = heard
        return self._end(turn, heard) if self._finishing else self._pause(turn, heard)

    def _end(self, turn: _Turn, heard: str) -> list[Output]:
        turn.text.settle(heard)
        text = turn.text.text
        self._turn = self._job = None
        self._floor_ms = self._activity.last_speech_ms + min(self._activity.silence_ms, int(self._eager_ms))
        self._spoken = self._spoken or bool(text)
        return [Ended(text)]

    def _transcribe(self, turn: _Turn, end_ms: int, purpose: Purpose) -> Transcribe:
        self._jobs += 1
        self._job = Transcribe(self._jobs, turn.start_ms, end_ms, self._voiced(turn), purpose)
        return self._job

    def _voiced(self, turn: _Turn) -> int:
        return self._activity.voiced_ms - turn.voiced_before

    def _move(self, turn: _Turn, start_ms: int) -> None:
        """Begin a new unfrozen part at `start_ms`."""
        behind = (self._activity.now_ms - start_ms) // WINDOW_MS
        turn.scores = turn.scores[-behind:] if behind else []
        turn.start_ms = start_ms
        loud = sum(score >= self._activity.limit for score in turn.scores)
        turn.voiced_before = self._activity.voiced_ms - loud * WINDOW_MS
