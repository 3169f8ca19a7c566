"""The little SVG that a picture of a call needs: escaped text, its width, wrapped lines, shapes. Pure.

Lengths are pixels. Widths of text are estimated on the safe side, because nobody knows which font the reader has.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

FONT: Final = '"Helvetica Neue", Helvetica, Arial, "Liberation Sans", "Noto Sans", "DejaVu Sans", sans-serif'

_UNFIT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 does not allow, not even escaped."""
_EMS: Final = {
    character: em
    for em, characters in (
        (0.3, "ijlIJ'"),
        (0.36, " .,:;|f/\\-·"),
        (0.43, 'rt()[]{}!`"'),
        (0.55, "cszL?*_"),
        (0.63, "abdeghknopquvxyEFPSTYZ$"),
        (0.65, "0123456789"),
        (0.71, "ABCKRVX"),
        (0.79, "DGHNOQU&"),
        (0.87, "wM#+<>=~^"),
        (1.0, "mW@%—…→"),
    )
    for character in characters
}
"""Widths in a wide typeface (DejaVu Sans), as parts of its size; the faces asked for are narrower."""

Words: TypeAlias = Sequence[tuple[str, str]]
"""Words of a text, each with the class (a look) it is drawn in."""


def escaped(text: str) -> str:
    """Text for use in XML, in attributes too; what XML cannot hold becomes U+FFFD."""
    return html.escape(_UNFIT.sub("\ufffd", text))


def width(text: str, size: float) -> float:
    """About how wide a text is, rather too wide than too narrow. `size` is the font's."""
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    if (em := _EMS.get(character)) is not None:
        return em
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF" or character > "\uffff":
        return 1.35
    return 0.75


def shortened(text: str, size: float, room: float) -> str:
    """The text, or as much of its beginning as fits with an ellipsis; empty when not even that fits."""
    if width(text, size) <= room:
        return text
    room -= width("…", size)
    if room < 0:
        return ""
    return text[: _fitting(text, size, room)].rstrip() + "…"


def _fitting(text: str, size: float, room: float) -> int:
    """How many characters of a text fit."""
    for count, character in enumerate(text):
        room -= size * _em(character)
        if room < 0:
            return count
    return len(text)


class Run(Struct, frozen=True):
    """A part of a line in one look."""

    look: str
    text: str


def wrapped(words: Words, size: float, room: float, lines: int) -> list[list[Run]]:
    """Set words in at most `lines` lines of width `room`; a longer text ends in an ellipsis.

    A word that is wider than a line is broken. Where not even a letter fits there are no lines.
    """
    if room < width("m…", size):
        return []
    pieces = [(part, look) for word, look in words for part in _broken(word, size, room)]
    done: list[list[tuple[str, str]]] = []
    line: list[tuple[str, str]] = []
    used = 0.0
    for index, (piece, look) in enumerate(pieces):
        needed = width(piece, size) + (width(" ", size) if line else 0.0)
        if line and used + needed > room:
            if len(done) == lines - 1:
                rest = [*line, *pieces[index:]]
                return [*map(_runs, done), _last(rest, size, room)]
            done.append(line)
            line, used, needed = [], 0.0, width(piece, size)
        line.append((piece, look))
        used += needed
    return [_runs(line) for line in (*done, line) if line]


def _broken(word: str, size: float, room: float) -> Iterable[str]:
    while word:
        count = max(1, _fitting(word, size, room))
        yield word[:count]
        word = word[count:]


def _last(words: Words, size: float, room: float) -> list[Run]:
    kept: list[tuple[str, str]] = []
    room -= width("…", size)
    for word, look in words:
        room -= width(word, size) + (width(" ", size) if kept else 0.0)
        if room < 0:
            break
        kept.append((word, look))
    if not kept:
        word, look = words[0]
        return [Run(look, word[: max(1, _fitting(word, size, room + width(word, size)))] + "…")]
    runs = _runs(kept)
    return [*runs[:-1], Run(runs[-1].look, runs[-1].text + "…")]


def _runs(words: Words) -> list[Run]:
    runs: list[Run] = []
    for word, look in words:
        if runs:
            # The space belongs to what stands before it, so that a line through the next word begins at the word.
            runs[-1] = Run(runs[-1].look, runs[-1].text + " ")
        if runs and runs[-1].look == look:
            runs[-1] = Run(look, runs[-1].text + word)
        else:
            runs.append(Run(look, word))
    return runs


# --- elements ----------------------------------------------------------------------------------------------


def text(x: float, y: float, content: str, look: str, *, anchor: str = "start") -> str:
    """One line of text; `y` is its base line."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{look}"{where}>{escaped(content)}</text>'


def rich_text(x: float, y: float, runs: Sequence[Run], look: str, *, anchor: str = "start") -> str:
    """One line of text in several looks."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    spans = "".join(f'<tspan class="{run.look}">{escaped(run.text)}</tspan>' for run in runs)
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{look}"{where} xml:space="preserve">{spans}</text>'


def rect(x: float, y: float, wide: float, high: float, look: str, *, round_by: float = 0) -> str:
    """A box."""
    corners = f' rx="{round_by:g}"' if round_by else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, wide):.1f}" height="{high:.1f}" class="{look}"{corners}/>'
    )


def path(data: str, look: str) -> str:
    """A shape."""
    return f'<path d="{data}" class="{look}"/>'


_LONGEST_TIP: Final = 1000


def group(title: str, elements: Iterable[str]) -> str:
    """Elements with a tip that shows when the pointer rests on them; a very long one ends in an ellipsis."""
    if len(title) > _LONGEST_TIP:
        title = f"{title[:_LONGEST_TIP]}…"
    return f"<g><title>{escaped(title)}</title>{''.join(elements)}</g>"
