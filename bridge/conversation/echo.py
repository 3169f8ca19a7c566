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
_ALIKE = 0.8
"""Which share of the words must be the same: a recogniser mishears the echo of a telephone."""


def is_echo(turn: str, sounded: str, following: str) -> bool:
    """Tell whether the words of `turn` are those that sounded, in their order and without a gap.

    `sounded` is what the agent said since shortly before the turn began; `following` what comes next in its speech.
    """
    said = _words(turn)
    candidates = _words(sounded) + _words(following)[:_WORDS_AFTER]
    if not said:
        return False
    wanted = ceil(len(said) * _ALIKE)
    return any(
        _matches(said, candidates[start : start + len(said)]) >= wanted
        for start in range(len(candidates) - len(said) + 1)
    )


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
