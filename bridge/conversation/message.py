"""A message that the caller leaves: what was said of it so far, and when it is over."""

from __future__ import annotations

from bridge.conversation.actions import RecordMessage
from bridge.conversation.caller import joined

_TAIL_S = 3.0
"""How long a turn that is open when the message is over may take to end, so that its last words are kept."""


class Message:
    """The message being left, if one is. Times in seconds."""

    def __init__(self) -> None:
        self.wanted: RecordMessage | None = None
        """How the message that is being left is to be taken."""
        self.number = 0
        self.began = 0.0
        self.over_at: float | None = None
        """When it was over: what is still waited for are words that were said before."""
        self._texts: list[str] = []
        self._quiet_since = 0.0

    def begin(self, wanted: RecordMessage, now: float, *, since: float) -> None:
        """Take a message from here on. Its audio begins at `since`: the caller may have begun before the tone."""
        self.wanted, self.over_at = wanted, None
        self.number += 1
        self.began, self._quiet_since = min(since, now), now
        self._texts = []

    def hear(self, transcript: str, now: float) -> None:
        """Take a turn of the caller, which is over now."""
        self._texts.append(transcript)
        self._quiet_since = now

    def press(self, key: str, now: float) -> None:
        """Take a key: one of them ends the message, the others are no part of it."""
        if self.wanted is not None and key == self.wanted.terminator:
            self.stop(now)

    def stop(self, now: float) -> None:
        """The message is over, unless it was before."""
        if self.wanted is not None and self.over_at is None:
            self.over_at = now

    def watch(self, now: float, *, speaking: bool) -> bool:
        """Look at the clock. True: the message is complete, or nobody need wait for more of it."""
        if self.wanted is None:
            return False
        if now >= self._longest or (not speaking and now >= self._patient_until):
            self.stop(now)
        return self.over_at is not None and (not speaking or now >= self.over_at + _TAIL_S)

    def due(self, *, speaking: bool) -> float | None:
        """Return when `watch` has to look again; None while no message is left."""
        if self.wanted is None:
            return None
        if self.over_at is not None:
            return self.over_at + (_TAIL_S if speaking else 0.0)
        return self._longest if speaking else min(self._longest, self._patient_until)

    def take(self) -> str:
        """Return the words of the message, verbatim, and forget it."""
        transcript = joined(self._texts)
        self.wanted, self._texts = None, []
        return transcript

    @property
    def _longest(self) -> float:
        return self.began + (0.0 if self.wanted is None else self.wanted.max_s)

    @property
    def _patient_until(self) -> float:
        return self._quiet_since + (0.0 if self.wanted is None else self.wanted.silence_s)
