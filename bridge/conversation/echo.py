"""Telling the agent's own voice, come back through the caller's loudspeaker, from a caller who speaks.

An echo says the words that sound at that very moment. A caller who repeats something on purpose says what sounded
a while ago: so only the words around the beginning of the turn count, and those that could still sound after it.
"""

from __future__ import annotations

from math import ceil

from bridge.conversation.caller import bare

WINDOW_S = 1.2
"""An echo is noticed this soon after its first word sounded: the way there and back, and the service's own time."""
_WORDS_AFTER = 4
"""How many words may have sounded beyond those that are certain to have."""
_SHORT = 2
"""So few words can be an answer that only happens to be the same."""
_ALIKE = 0.8
"""Which share of the words must be the same: a recogniser mishears the echo of a telephone."""


def is_echo(turn: str, sounded: str, following: str, *, cut: bool) -> bool:
    """Tell whether the words of `turn` are those that sounded, in their order and without a gap.

    `sounded` is what the agent said since shortly before the turn began, up to where it was `cut` or has come to;
    `following` what comes next in its speech. An echo goes on until the speech is cut, so its last word is then one
    of the last that sounded; while the speech goes on, the text of its echo is behind it. Of a word or two that can
    as well be an answer ("yes or no?") only what stands exactly at the cut counts, and nothing at the end of the
    speech, where answers come.
    """
    said, heard, next_words = _words(turn), _words(sounded), _words(following)
    short = len(said) <= _SHORT
    if not said or (short and len(next_words) <= _SHORT):
        return False
    candidates = heard + next_words[:_WORDS_AFTER]
    wanted = ceil(len(said) * _ALIKE)
    first, last = (len(heard), len(heard) + len(said)) if short else (len(heard) - 1 if cut else 0, len(candidates))
    ends = range(first, min(last, len(candidates)) + 1)
    return any(end >= len(said) and _matches(said, candidates[end - len(said) : end]) >= wanted for end in ends)


def _matches(said: list[str], sounded: list[str]) -> int:
    last = len(said) - 1
    count = 0
    for index, (one, other) in enumerate(zip(said, sounded, strict=True)):
        # The first and the last word of an echo may be cut in half.
        half = (index == 0 and other.endswith(one)) or (index == last and other.startswith(one))
        count += one == other or (half and len(one) > 1)
    return count


def _words(text: str) -> list[str]:
    return [word for word in map(bare, text.split()) if word]
