"""Which of several choices a caller means, by words that a recogniser may have misheard. Pure.

Only a copy of the transcript is looked at: without case and punctuation, word by word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rapidfuzz import fuzz

from bridge.agents.flow.model import Choice
from bridge.agents.flow.text import words_of

ALIKE: Final = 80.0
"""From here on (of 100) words are taken for misheard ones: `sails` for `sales` has 80, `sport` for `support` 83."""
_SHORTEST: Final = 4
"""Shorter words have too many neighbours: `two` is not `too` by its letters."""
_MOST_WORDS: Final = 60
"""Of a transcript; nobody chooses in a longer speech, and each costs time."""

YES: Final = (
    *("yes", "yeah", "yep", "yup", "sure", "okay", "ok", "correct", "right", "exactly", "absolutely", "of course"),
    *("yes please", "please do", "that's right", "that's correct", "that is right", "that is correct", "it is"),
)
NO: Final = (
    *("no", "nope", "nah", "wrong", "incorrect", "not", "never", "no thanks", "no thank you", "don't", "do not"),
    *("that's wrong", "that is wrong", "not right", "not correct", "it's not", "it is not", "that's not right"),
)
"""What people say for yes and for no, in English."""


def by_words(choices: Sequence[Choice], transcript: str) -> Choice | None:
    """Return the choice that was said; None: none was, or more than one.

    The longest phrase that occurs decides (`not right` before `right`), and only when none occurs as it stands, the
    one that sounds most alike.
    """
    words = words_of(transcript)[:_MOST_WORDS]
    exact = [(float(size), choice) for choice in choices for size in _occurring(choice, words, transcript)]
    if exact:
        return _best(exact)
    return _best([(score, choice) for choice in choices for score in _alike(choice, words)])


def by_keys(choices: Sequence[Choice], keys: str) -> tuple[Choice, str] | None:
    """Return the choice that was pressed, and the keys behind it, which were pressed ahead; None: there is none."""
    for size in range(len(keys), 0, -1):
        for choice in choices:
            if keys[:size] in choice.keys:
                return choice, keys[size:]
    return None


def _occurring(choice: Choice, words: list[str], transcript: str) -> Iterator[int]:
    """Sizes of what of the choice occurs as it stands, in words."""
    for phrase in choice.phrases:
        wanted = words_of(phrase)
        if wanted and any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1)):
            yield len(wanted)
    if choice.pattern is not None and (found := choice.pattern.search(transcript)) is not None:
        yield max(1, len(words_of(found)))


def _alike(choice: Choice, words: list[str]) -> Iterator[float]:
    for phrase in choice.phrases:
        wanted = words_of(phrase)
        text = " ".join(wanted)
        if len(text) < _SHORTEST:
            continue
        for size in {max(1, len(wanted) - 1), len(wanted), len(wanted) + 1}:
            for at in range(max(1, len(words) - size + 1)):
                score = fuzz.ratio(text, " ".join(words[at : at + size]), score_cutoff=ALIKE)
                if score:
                    yield score


def _best(scored: list[tuple[float, Choice]]) -> Choice | None:
    """The choice with the highest score, unless another has it as well."""
    if not scored:
        return None
    highest = max(score for score, _ in scored)
    best = [choice for score, choice in scored if score == highest]
    return best[0] if all(choice is best[0] for choice in best) else None
