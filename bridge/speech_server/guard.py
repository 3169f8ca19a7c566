"""Text that a recogniser made up. Pure.

Small recognisers answer with words to every sound. Asking them only about speech (`turns`) removes most of it; this
removes what is left, by marks that hold whatever the model.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SIGNS: Final = re.compile(r"[^\w\s']+")
_MUSIC: Final = re.compile(
    r"[♩♪♫♬♭♮♯]|\[[^\]]*\]|\([^)]*(?:music|applause|laughter|noise|silence)[^)]*\)", re.IGNORECASE
)

PHANTOMS: Final = frozenset(
    {
        "a",
        "ah",
        "ha",
        "hm",
        "hmm",
        "i",
        "mm",
        "thank you for watching",
        "thank you so much for watching",
        "thanks for watching",
        "the",
        "the end",
        "uh",
        "um",
        "you",
    }
)  # fmt: skip - a list of texts reads better in lines than one by one
"""What the models say to noise, without signs and in lower case."""

_QUIET_DB: Final = -50.0
"""Loudest tenth of a second, dB of full scale: below this it is no telephone speech."""
_SHORT_MS: Final = 400
_WORDS_PER_SECOND: Final = 6.0
"""More than even a hurried speaker reaches."""
_LONGEST_REPEAT: Final = 12


def guarded(text: str, *, seconds: float, voiced_ms: float, level_db: float, latin: bool = True) -> str:
    """`text` without what cannot have been said; empty if nothing is left.

    `seconds` is the length of the audio, `voiced_ms` how much of it the detector took for speech, `level_db` the
    loudness of its loudest tenth of a second. `latin` says that the language is written in Latin letters.
    """
    text = " ".join(_MUSIC.sub(" ", text).split())
    if latin:
        text = _without_foreign(text)
    text = _without_repeats(text, limit=int(seconds * _WORDS_PER_SECOND) + 2)
    if not any(character.isalnum() for character in text):
        return ""
    doubtful = voiced_ms < _SHORT_MS or level_db < _QUIET_DB
    return "" if doubtful and _SIGNS.sub("", text).replace("'", "").strip().lower() in PHANTOMS else text


def _without_foreign(text: str) -> str:
    """Nothing, if most letters are of another script; else the text without its foreign words."""
    words = text.split()
    kept = [word for word in words if not any(_is_foreign(character) for character in word)]
    return " ".join(kept) if len(kept) * 2 > len(words) else ""


def _is_foreign(character: str) -> bool:
    if ord(character) < 0x250:
        return False
    category = unicodedata.category(character)
    return category[0] in "LM" and not unicodedata.name(character, "").startswith(("LATIN", "COMBINING"))


def _without_repeats(text: str, *, limit: int) -> str:
    """A model in a loop says the same words until it is stopped. One round of them is kept.

    People do say `no no no` and `five five`: a repeat counts as a loop only if it comes round four times, or if
    there are more words than `limit`, the most that fit the audio.
    """
    words = text.split()
    rounds = 2 if len(words) > limit else 4
    for size in range(1, _LONGEST_REPEAT + 1):
        words = _collapsed(words, size, rounds if size > 1 else rounds + 2)
    return " ".join(words)


def _collapsed(words: list[str], size: int, rounds: int) -> list[str]:
    bare = [_SIGNS.sub("", word).lower() for word in words]
    kept: list[str] = []
    at = 0
    while at < len(words):
        end = at + size
        while bare[end : end + size] == bare[at : at + size] and end + size <= len(words):
            end += size
        kept += words[at : at + size] if end - at >= rounds * size else words[at : at + 1]
        at = end if end - at >= rounds * size else at + 1
    return kept
