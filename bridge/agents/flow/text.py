"""Texts with variables, such as `Hello {name}.`, and numbers as callers say them. Pure.

`{name}` stands for a variable, `{name:digits}` for its characters one by one, to be read out; `{{` and `}}` are
braces. Variables that have no value are empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_FIELD: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\{|\}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[A-Za-z0-9_-]+)?")
_WORD: Final = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*")

_DIGITS: Final[Mapping[str, str]] = {
    "zero": "0",
    "oh": "0",
    "o": "0",
    "nought": "0",
    "one": "1",
    "two": "2",
    "to": "2",
    "too": "2",
    "three": "3",
    "four": "4",
    "for": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "ate": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "thirteen": "13",
    "fourteen": "14",
    "fifteen": "15",
    "sixteen": "16",
    "seventeen": "17",
    "eighteen": "18",
    "nineteen": "19",
}
_TENS: Final = {
    "twenty": "2",
    "thirty": "3",
    "forty": "4",
    "fifty": "5",
    "sixty": "6",
    "seventy": "7",
    "eighty": "8",
    "ninety": "9",
}
_REPEATED: Final = {"double": 2, "triple": 3}


@dataclass(frozen=True, slots=True)
class Text:
    """A text, read: literal pieces, and between them variables with how they are written out."""

    source: str
    pieces: tuple[str | tuple[str, str], ...]
    """A literal, or the name of a variable and its form (`` or `digits`)."""
    line: int = 0

    def fill(self, variables: Mapping[str, str]) -> str:
        """Return the text with the values in their places."""
        return "".join(
            piece if isinstance(piece, str) else _shown(variables.get(piece[0], ""), piece[1])
            for piece in self.pieces
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that it uses."""
        return tuple(piece[0] for piece in self.pieces if not isinstance(piece, str))


def read_text(source: str, line: int = 0) -> Text:
    """Read a text. Raises ValueError that says what is wrong and how it is written."""
    pieces: list[str | tuple[str, str]] = []
    end = 0
    for match in _FIELD.finditer(source):
        pieces.append(source[end : match.start()])
        end = match.end()
        whole = match[0]
        if whole in {"{{", "}}"}:
            pieces.append(whole[0])
        elif match[1] is None:
            raise ValueError(
                f"a lone {whole!r} in a text: write {{name}} for a variable, and {whole * 2} for the sign"
            )
        else:
            pieces.append(_field(match[1]))
    pieces.append(source[end:])
    return Text(source, tuple(piece for piece in pieces if piece), line)


def _field(inside: str) -> tuple[str, str]:
    name, colon, form = inside.strip().partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{{{inside}}} names no variable: wanted lower-case letters, digits and _ such as {{name}}"
        )
    if colon and form != "digits":
        raise ValueError(f"{{{inside}}}: a variable can be written as {{{name}}} or {{{name}:digits}}")
    return name, form


def _shown(value: str, form: str) -> str:
    return " ".join(value.replace(" ", "")) if form == "digits" else value


def words_of(transcript: str) -> list[str]:
    """Return the words of a copy of a transcript: without case and punctuation."""
    return [word.replace("’", "'") for word in _WORD.findall(transcript.casefold())]


def spoken_digits(transcript: str) -> str:
    """Return the digits that were said, one by one, as pairs (`forty two`) or as numerals, and nothing else."""
    digits, times, tens = "", 1, ""
    for word in words_of(transcript):
        if word in _REPEATED:
            times = _REPEATED[word]
            continue
        found = word if word.isdecimal() else _DIGITS.get(word, "")
        if tens and len(found) == 1 and found != "0":
            digits, tens, times = digits + tens + found, "", 1
            continue
        if tens:
            digits, tens = digits + tens + "0", ""
        if word in _TENS:
            tens = _TENS[word]
        else:
            digits += found * times
        times = 1
    return digits + (tens + "0" if tens else "")
