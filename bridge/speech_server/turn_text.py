"""The text of one turn as it grows. Pure.

A recogniser that is asked again and again about the same, growing audio changes its mind; a client must never see
that, because text once sent is final. Three rules keep both true:

* from a preview only those words are sent that three successive previews agree on, and never its last word, which
  the end of the audio may have cut (with two, words heard wrong in the first second often were sent and stayed);
* when a later transcription does not begin with the words already sent, those stay, and only what comes after them
  is taken: the words sent are laid on the transcription where they fit best (fewest words changed, added or lost),
  and the rest is appended;
* at a long pause the text is frozen: later transcriptions are about later audio only.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Final

_AGREEING: Final = 3
"""How many previews must agree on a word."""

_SIGNS = re.compile(r"[^\w']+")
_TRAILING = re.compile(r"[^\w']+$")


class TurnText:
    """One turn's text: what was sent, and what may be sent next."""

    def __init__(self, lead: str = "") -> None:
        """`lead` stands before the first word: a space from the second turn of a conversation on."""
        self._lead = lead
        self._frozen = ""
        self._sent = ""
        self._previews: list[list[str]] = []

    @property
    def text(self) -> str:
        """The whole text so far. Every later value begins with every earlier one."""
        words = " ".join(part for part in (self._frozen, self._sent) if part)
        return self._lead + words if words else ""

    def preview(self, transcription: str) -> bool:
        """Take a preview of the unfrozen part. True if `text` grew."""
        words = transcription.split()
        self._previews = [*self._previews, words][-_AGREEING:]
        if len(self._previews) < _AGREEING:
            return False
        columns = zip(words[:-1], *self._previews[:-1], strict=False)
        agreed = len(list(takewhile(lambda column: len({*map(_bare, column)}) == 1, columns)))
        if not agreed:
            return False
        # The sign behind the last agreed word (a full stop, often) depends on what follows.
        words[agreed - 1] = _TRAILING.sub("", words[agreed - 1])
        return self._extend(" ".join(words[:agreed]))

    def settle(self, transcription: str) -> bool:
        """Take a transcription that ends where the speech paused: all of it counts. True if `text` grew."""
        return self._extend(transcription)

    def freeze(self) -> None:
        """Close the part transcribed so far: what comes next is about audio after it."""
        self._frozen = " ".join(part for part in (self._frozen, self._sent) if part)
        self._sent = ""
        self._previews = []

    def _extend(self, transcription: str) -> bool:
        before = self._sent
        self._sent = extended(before, transcription)
        return self._sent != before


def extended(sent: str, transcription: str) -> str:
    """`sent` with the words of `transcription` that come after it. The result always begins with `sent`."""
    if not sent:
        return " ".join(transcription.split())
    old, new = sent.split(), transcription.split()
    taken = _fit([_bare(word) for word in old], [_bare(word) for word in new])
    rest = new[taken:]
    # `like` was sent and has become `like,`: the sign still can be added.
    if taken and new[taken - 1].startswith(old[-1]) and _bare(new[taken - 1]) == _bare(old[-1]):
        sent += new[taken - 1][len(old[-1]) :]
    return " ".join([sent, *rest])


def _fit(old: list[str], new: list[str]) -> int:
    """How many words of `new` correspond to all of `old`: the prefix with the least edit distance."""
    row = list(range(len(new) + 1))
    for count, word in enumerate(old, start=1):
        left_up, row[0] = row[0], count
        for column, other in enumerate(new, start=1):
            cost = min(left_up + (word != other), row[column] + 1, row[column - 1] + 1)
            left_up, row[column] = row[column], cost

    def rank(length: int) -> tuple[int, bool, int]:
        # Among equals one that ends with the same word, else of the same length: a changed word is likelier than
        # a lost one.
        ends_alike = length > 0 and new[length - 1] == old[-1]
        return row[length], not ends_alike, abs(length - len(old))

    return min(range(len(new) + 1), key=rank)


def _bare(word: str) -> str:
    return _SIGNS.sub("", word).lower()
