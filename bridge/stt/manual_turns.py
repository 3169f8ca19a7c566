"""Voice activity and the messages of the manual socket → the turn events that the turns socket would send. Pure.

Protocol: `/stt/websocket`. The service only transcribes; when a turn begins and ends is decided here, from the
speech scores of the audio that was sent. Time is audio: ms of it sent on this connection. While a turn is open,
audio never stops, because a gap is filled with silence, so it is as good as a clock.

- Speech begins → `TurnStarted`. It pauses → `Finalize`, which is to be sent to the service. When the answer is in →
  `TurnEagerlyEnded`. It goes on → `TurnResumed`. It does not → `TurnEnded`; empty if there were no words.
- The answer is in with `flush_done` and the final texts, in either order: where the finals came first, at once;
  where they did not, or this service has been seen to send some later, `_SETTLE_MS` after. A service that does not
  answer is waited for, for `_ANSWER_LIMIT_MS`.
- Final texts are appended verbatim, whoever asked for them. Interim ones replace each other and are told behind the
  finals, but only if that makes the text longer: a text once told is taken back by a final text alone, when the
  service has changed its mind.
- Final texts that arrive while no turn is open are not lost: the next turn begins with them, or, if nobody speaks,
  they are a turn of their own. That is how speech that the detector missed is heard nevertheless.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from msgspec import Struct

from bridge.audio.vad import SpeechActivity
from bridge.conversation.events import TurnEagerlyEnded, TurnEnded, TurnResumed, TurnStarted, TurnUpdated

_ANSWER_LIMIT_MS: Final = 3000
"""How long the answer to a `finalize` is waited for."""
_SETTLE_MS: Final = 250
"""How long after `flush_done` a final text may still come."""
_NEXT_PART_MS: Final = 100
"""How long after a late final text another part of it may still come."""
_STRAY_MS: Final = 300
"""How long a text that belongs to no turn waits for speech, or for more of it."""


class Finalize(Struct, frozen=True):
    """To be sent to the service: the speaker has paused, so transcribe what is there."""


Output: TypeAlias = TurnStarted | TurnUpdated | TurnEagerlyEnded | TurnResumed | TurnEnded | Finalize


class ManualTurns:
    """The turns of one connection."""

    def __init__(self, *, pause_ms: int, eager_pause_ms: int) -> None:
        """Silences, in ms: `pause_ms` ends a turn, `eager_pause_ms` may end it."""
        self._pause_ms = pause_ms
        self._eager_pause_ms = eager_pause_ms
        self._activity = SpeechActivity()
        self._open = False
        self._finals = ""
        """Of the open turn; else what came since the last one."""
        self._finals_ms = 0
        """When the last of them came."""
        self._interim = ""
        self._told = ""
        """The text of the open turn as it was told last."""
        self._eager = False
        """The turn was said to be over, perhaps."""
        self._asked = False
        """This pause has its `Finalize`."""
        self._asked_ms = 0
        self._unanswered = 0
        self._final_first = False
        """A final text has come since the last `Finalize`."""
        self._finals_follow = False
        """This service has sent final texts behind a `flush_done`."""
        self._settled_ms = 0
        """When no more final texts are to be expected."""
        self._guess = ""
        """The interim text that the last turn ended with, because its final text had not come."""

    def hear(self, score: float, *, more: bool = False) -> list[Output]:
        """Take the speech score (0 to 1) of the next window of audio. `more`: the service has later ones already.

        `Finalize` counts for all audio that the service has. It comes only where that does not end in what may be
        the beginning of a word, because half a word is misheard, and so is its other half.
        """
        activity = self._activity
        activity.hear(score)
        if activity.speaking:
            return self._go_on() if self._open else self._begin()
        if not self._open:
            waited_ms = activity.now_ms - self._finals_ms
            has_words = any(map(str.isalnum, self._finals))
            return self._stray_turn() if has_words and waited_ms >= _STRAY_MS else []
        outputs: list[Output] = []
        paused = activity.silence_ms >= min(self._eager_pause_ms, self._pause_ms)
        if not self._asked and paused and not more and not activity.maybe_speech:
            self._asked = True
            self._asked_ms = activity.now_ms
            self._unanswered += 1
            self._final_first = False
            outputs.append(Finalize())
        return outputs + self._judge()

    def transcript(self, text: str, *, is_final: bool) -> list[Output]:
        """Take a text of the service."""
        if not is_final:
            self._interim = text
            return self._tell(revised=False) if self._open and not self._eager else []
        text = self._unless_guessed(text)
        now = self._activity.now_ms
        self._finals += text
        self._finals_ms = now
        self._interim = ""
        if not self._open:
            return []
        outputs: list[Output] = []
        if self._unanswered:
            self._final_first = True
        elif self._asked and text:
            self._finals_follow = True
            self._settled_ms = max(self._settled_ms, now + _NEXT_PART_MS)
        if self._eager and self._text != self._told:
            self._eager = False
            outputs.append(TurnResumed())
        return outputs + self._tell(revised=True) + self._judge()

    def flushed(self) -> list[Output]:
        """Take a `flush_done`; one that nobody asked for is no harm."""
        if not self._unanswered:
            return []
        self._unanswered -= 1
        if not self._unanswered:
            complete = self._final_first and not self._finals_follow
            self._settled_ms = self._activity.now_ms + (0 if complete else _SETTLE_MS)
        return self._judge()

    def finish(self) -> list[Output]:
        """The service has said all it had to say. More calls return nothing new."""
        if self._open:
            return self._end()
        return self._stray_turn() if self._finals.strip() else []

    @property
    def _text(self) -> str:
        return self._finals + self._interim

    def _begin(self) -> list[Output]:
        self._open = True
        self._told = self._guess = ""
        self._asked = False
        return [TurnStarted(), *self._tell(revised=False)]

    def _go_on(self) -> list[Output]:
        """There is speech in the open turn."""
        self._asked = False
        if not self._eager:
            return []
        self._eager = False
        return [TurnResumed(), *self._tell(revised=False)]

    def _judge(self) -> list[Output]:
        """Whether the turn is over, or may be. It is neither before this pause has its `Finalize`."""
        if not self._open or not self._asked or not self._is_answered():
            return []
        if self._activity.silence_ms >= self._pause_ms:
            return self._end()
        if self._eager or not self._text:
            return []
        self._eager = True
        self._told = self._text
        return [TurnEagerlyEnded(self._text)]

    def _is_answered(self) -> bool:
        now = self._activity.now_ms
        if self._unanswered and now - self._asked_ms >= _ANSWER_LIMIT_MS:
            self._unanswered = 0
            self._settled_ms = now
        return not self._unanswered and now >= self._settled_ms

    def _end(self) -> list[Output]:
        text, self._guess = self._text, self._interim
        self._open = self._eager = False
        self._finals = self._interim = ""
        return [TurnEnded(text)]

    def _stray_turn(self) -> list[Output]:
        text, self._finals = self._finals, ""
        return [TurnStarted(), TurnUpdated(text), TurnEnded(text)]

    def _tell(self, *, revised: bool) -> list[Output]:
        """Report the text if there is more of it, or, with `revised`, if it is another."""
        text, told = self._text, self._told
        # A final text that is a mere beginning of what was told takes nothing back: the rest is still to come.
        if text == told or told.startswith(text) or not (revised or text.startswith(told)):
            return []
        self._told = text
        return [TurnUpdated(text)]

    def _unless_guessed(self, final: str) -> str:
        """What of a final text has not been said already, as the interim text at the end of the last turn."""
        guess, self._guess = self._guess, ""
        said = [_plain(word) for word in guess.split()]
        words = list(re.finditer(r"\S+", final))
        if not said or [_plain(word[0]) for word in words[: len(said)]] != said:
            return final
        return final[words[len(said) - 1].end() :]


def _plain(word: str) -> str:
    return "".join(filter(str.isalnum, word.casefold()))
