"""Two transcripts of the same speech against each other, word by word. Pure.

Words are compared without case and without the punctuation around them; what is told of them is verbatim.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rapidfuzz.distance import Levenshtein

Kind: TypeAlias = Literal["equal", "insert", "delete", "replace"]
_AROUND: Final = re.compile(r"^[^\w]+|[^\w]+$")


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch of words in which both are the same, or in which they differ."""

    kind: Kind
    """What was done to the live words: `insert` has none of them, `delete` none of the new ones."""
    live: tuple[int, int]
    """Which of the live words: from, up to."""
    new: tuple[int, int]
    live_text: str = ""
    """The words, with blanks between; empty where both are equal."""
    new_text: str = ""


def compare(live: Sequence[str], new: Sequence[str]) -> list[Difference]:
    """Return how the words of a live transcript and of another one differ, in their order, without a gap."""
    live_keys, new_keys = [*map(_key, live)], [*map(_key, new)]
    steps = Levenshtein.opcodes(live_keys, new_keys)
    found: list[Difference] = []
    run: list[int] | None = None
    for step in steps:
        span = [step.src_start, step.src_end, step.dest_start, step.dest_end]
        if step.tag == "equal":
            if run is not None:
                found.append(_differing(run, live, new))
                run = None
            found.append(Difference("equal", (span[0], span[1]), (span[2], span[3])))
        elif run is None:
            run = span
        else:
            run = [run[0], span[1], run[2], span[3]]
    if run is not None:
        found.append(_differing(run, live, new))
    return found


def changed_words(differences: Sequence[Difference]) -> int:
    """How many words differ: of each stretch the longer side."""
    return sum(
        max(one.live[1] - one.live[0], one.new[1] - one.new[0]) for one in differences if one.kind != "equal"
    )


def _differing(run: Sequence[int], live: Sequence[str], new: Sequence[str]) -> Difference:
    live_from, live_to, new_from, new_to = run
    kind: Kind = "insert" if live_from == live_to else "delete" if new_from == new_to else "replace"
    return Difference(
        kind,
        (live_from, live_to),
        (new_from, new_to),
        " ".join(live[live_from:live_to]),
        " ".join(new[new_from:new_to]),
    )


def _key(word: str) -> str:
    bare = _AROUND.sub("", word.casefold())
    return bare or word
