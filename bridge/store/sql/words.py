"""The words of a text as the full-text search sees them. Pure.

SQLite and PostgreSQL each cut text into words in their own way, and neither does it well for scripts without
spaces, nor for numbers such as 555-1234. So words are found here, once, for what is kept as for what is looked for,
and both databases are handed plain ASCII words with a space between, which neither can see differently. A text is
searched alike wherever it is kept, and what was found can be shown in the verbatim text.

Case, accents and the width of letters make no difference. Of scripts that put no space between words (Chinese,
Japanese, Thai, Lao, Khmer, Burmese) each character is a word of its own, as is each symbol and emoji; a run of them
is looked for as a phrase, which finds it anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LONGEST: Final = 100
"""Characters of a word that count; what differs only behind them is the same word."""
_MOST: Final = 20_000
"""Words of one text that are searched: both databases have their limits, and no turn comes near it."""

_ASCII_WORD: Final = re.compile(r"[0-9a-z]+")

_NUL: Final = "\u2400"
"""What stands in a database for a NUL character."""

_WITHOUT_SPACES: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # signs that repeat or stand for a Chinese character
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0x20000, 0x3FFFF),
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: as it is compared, and where it stands (characters of the text)."""

    text: str
    start: int
    end: int
    alone: bool = False
    """It is one character of a script without spaces, or a symbol."""


def words(text: str) -> list[Word]:
    """The words of a text in their order, 20,000 at most."""
    found: list[Word] = []
    letters: list[str] = []
    start = end = 0
    alone = False

    def close() -> None:
        if letters:
            found.append(Word("".join(letters[:LONGEST]), start, end, alone))
            letters.clear()

    for position, character in enumerate(text):
        for kind, letter in _folded(character):
            if kind == "join" and not letters:
                continue  # a mark without a letter that it could stand on
            if kind == "break":
                close()
            elif kind == "join" or (kind == "letter" and letters and not alone):
                letters.append(letter)
                end = position + 1
            else:
                close()
                start, end, alone = position, position + 1, kind == "alone"
                letters.append(letter)
        if len(found) >= _MOST:
            return found
    close()
    return found


def search_words(text: str) -> str:
    """What the full-text index is given of a text: its words, each in ASCII, with a space between."""
    found: list[str] = []
    for part in (text,) if text.isascii() else text.split(" "):  # No word goes on behind a space.
        if part.isascii():
            found += [word[:LONGEST].replace("z", "zz") for word in _ASCII_WORD.findall(part.lower())]
        else:
            found += [in_ascii(word.text) for word in words(part)]
    return " ".join(found[:_MOST])


def in_ascii(word: str) -> str:
    """A word in the letters a to z and digits, no two words alike; the start of a word gives the start of it."""
    if word.isascii() and "z" not in word:
        return word
    return "".join(
        "zz" if letter == "z" else letter if letter.isascii() else f"z{ord(letter):05x}" for letter in word
    )


@lru_cache(maxsize=20_000)
def _folded(character: str) -> tuple[tuple[str, str], ...]:
    """What a character is for the search: letters, each with whether it goes on, joins, stands alone or breaks."""
    if character.isascii():
        return (("letter", character.lower()),) if character.isalnum() else (("break", ""),)
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    kinds = [(_kind(letter), letter) for letter in plain]
    return tuple((kind, letter) for kind, letter in kinds if kind != "nothing")


def _kind(letter: str) -> str:
    category = unicodedata.category(letter)
    if category[0] == "M":
        # Accents, and the vowel points of Hebrew and Arabic, make no difference; Indian and Thai vowels do.
        drawn = unicodedata.combining(letter)
        return "nothing" if 10 <= drawn <= 36 or drawn >= 200 or 0xFE00 <= ord(letter) <= 0xFE0F else "join"
    if category == "Cf":
        return "nothing"  # joins letters, or tells where a line may break
    if any(first <= ord(letter) <= last for first, last in _WITHOUT_SPACES) and category[0] in "LN":
        return "alone"
    if category == "So":
        return "break" if letter == _NUL else "alone"
    return "letter" if letter.isalnum() else "break"
