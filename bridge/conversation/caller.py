"""The caller's turn, and how its words are judged."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Scripts that are written without spaces between words."""

_REPEATED_S = 1.0
"""Nobody says the same again within this time: it is the service that does."""


@dataclass(slots=True)
class CallerTurn:
    """The caller's turn: idle, speaking, or perhaps done (an eager end came)."""

    number: int = 0
    speaking: bool = False
    eager: bool = False
    transcript: str = ""
    started_at: float = 0.0
    touched_at: float = 0.0
    """When the service last told anything of it."""
    ended_at: float = 0.0
    eager_at: float | None = None
    dismissed: bool = False
    """No word came within the limit: it no longer keeps the agent silent."""
    known: str = ""
    """What the service's text begins with, and an earlier turn has: the turn that we ended too early goes on."""
    given_up: str | None = None
    """The text with which we ended a turn ourselves, in case its end comes after all."""
    over_reply: int | None = None
    """The reply that sounded when the turn began."""
    over_from: int = 0
    """The first character of that reply that the turn can be an echo of."""
    over_text: str | None = None
    """All that was heard of it from there on; None while the reply is open."""
    cut: bool = False
    """That reply was silenced for it."""
    insisted: bool = False
    """It took the floor by its length, before it had words."""

    def begin(self, now: float, *, known: str = "") -> None:
        """Start the next turn. `known` is text that the service goes on to repeat, but that was kept before."""
        self.number += 1
        self.known = known
        self.speaking, self.eager, self.dismissed = True, False, False
        self.transcript, self.eager_at, self.given_up, self.over_reply = "", None, None, None
        self.over_text, self.insisted, self.cut = None, False, False
        self.started_at = self.touched_at = now

    def hear(self, transcript: str, now: float) -> None:
        """Take the text of the turn so far. It only grows: an empty one does not unsay words."""
        transcript = transcript.removeprefix(self.known)
        if transcript != self.transcript and (transcript.strip() or not self.worded):
            # A service that only repeats itself tells nothing: such a turn must be able to stall.
            self.transcript, self.touched_at = transcript, now

    @property
    def worded(self) -> bool:
        """Tell whether the turn has words."""
        return bool(self.transcript.strip())

    def repeats(self, transcript: str, now: float, *, end: bool) -> bool:
        """Tell whether this comes after the end of the turn and adds nothing: an `end` told twice, or late."""
        if self.speaking:
            return False
        if not end and not transcript.strip():
            return True
        if self.given_up is not None:
            return not transcript.strip() or same_words(self.given_up, transcript)
        recent = not end or now < self.ended_at + _REPEATED_S
        return self.number > 0 and recent and same_words(self.transcript, transcript)


def same_words(one: str, other: str) -> bool:
    """Tell whether two transcripts say the same, ignoring case, punctuation and spacing."""
    return bare(one) == bare(other)


def is_backchannel(transcript: str, listed: tuple[str, ...]) -> bool:
    """Tell whether the transcript is nothing but one of the listed backchannels."""
    said = bare(transcript)
    return bool(said) and said in _bare_of(listed)


@lru_cache(maxsize=64)
def _bare_of(listed: tuple[str, ...]) -> frozenset[str]:
    """The same few words for each turn of a number's calls."""
    return frozenset(map(bare, listed))


def bare(text: str) -> str:
    """Return a copy of the text fit for comparing: its letters, their marks, and digits, without case."""
    if text.isascii() and text.isalnum():
        return text.lower()
    return "".join(c for c in text.casefold() if c.isalnum() or unicodedata.category(c).startswith("M"))


def count_words(text: str) -> int:
    """Return how many words a text has; where a script has no spaces, two signs count as one."""
    signs = len(UNSPACED.findall(text))
    return len(UNSPACED.sub(" ", text).split()) + (signs + 1) // 2


def joined(texts: Iterable[str]) -> str:
    """Join texts verbatim, with a space only where two words would become one."""
    whole = ""
    for text in texts:
        fused = whole[-1:].isalnum() and text[:1].isalnum() and not UNSPACED.match(text[:1])
        whole += f" {text}" if fused else text
    return whole
