"""Text that comes in pieces → sentences to be spoken one by one. Pure.

A voice speaks whole sentences with the right melody, and the first of them can sound while the rest is still being
written. Tags of the protocol ("SSML-like tags") are understood as far as a plain voice can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 240
"""Characters of a piece; longer sentences are cut at a clause or a space, so that sound comes soon."""
# A client may send a megabyte of anything: each pattern looks at a place once (the possessive `++`, and the look
# behind that keeps a run of signs from being tried at each of its signs), and the rest looks at a few letters only.
_END: Final = re.compile(r"(?<![.!?…])[.!?…]++['\"”’)\]]*+(?=\s)|[。！？\n]++")
_CLAUSE: Final = re.compile(r"[,;:–—](?=\s)")
_ABBREVIATIONS: Final = frozenset(
    {
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "no",
        "vs",
        "etc",
        "inc",
        "ltd",
        "co",
        "jr",
        "sr",
        "approx",
        "dept",
        "ext",
    }
    | {"e.g", "i.e", "a.m", "p.m"}
)
_LAST_WORD: Final = re.compile(r"([\w.]+)\.['\"”’)\]]*$")
_SURE_END: Final = re.compile(r"(?:[!?…]|[^\W\d]{2,}\.)['\"”’)\]]*\s*$")
_BREAK: Final = re.compile(r"<break\s+time=[\"'](\d+(?:\.\d+)?)(ms|s)[\"']\s*/?>", re.IGNORECASE)
_SPELL: Final = re.compile(r"<spell>(.*?)</spell>", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"</?(?:speed|volume|emotion|spell|break)\b[^>]*>", re.IGNORECASE)
_LONGEST_BREAK: Final = 5.0
_LOOK_BACK: Final = 24
"""Characters at the end of a text that show whether it ends a sentence."""
_MOST_WAITING: Final = 2000
"""Characters that wait for the end of their sentence."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a voice speaks in one go."""

    text: str
    """Cleaned for the voice: no tags, no signs that voices take for markup. May be empty."""
    words: tuple[str, ...]
    """As the client wrote them, without tags."""
    pause: float
    """Silence before it, seconds, that the client asked for."""


class SentenceBuffer:
    """Collects the text of one context, joined verbatim, and gives it out in sentences."""

    def __init__(self) -> None:
        self._text = ""

    @property
    def waiting(self) -> bool:
        """Whether there is text that was not taken yet."""
        return bool(self._text.strip())

    def add(self, text: str) -> None:
        """Append `text` as it is."""
        self._text += text

    def take_ready(self) -> list[str]:
        """The sentences that are certainly whole; the rest waits."""
        if len(self._text) > _MOST_WAITING:
            return self.take_all()
        end = _last_end(self._text)
        tail = self._text[-_LOOK_BACK:]
        if _SURE_END.search(tail) and not _is_abbreviation(tail.rstrip()):
            end = len(self._text)
        if self._text.count("<spell>", 0, end) > self._text.count("</spell>", 0, end):
            end = 0
        return self._take(end)

    def take_all(self) -> list[str]:
        """Everything, whole or not."""
        return self._take(len(self._text))

    def _take(self, end: int) -> list[str]:
        taken, self._text = self._text[:end], self._text[end:]
        return [piece for sentence in _sentences(taken) for piece in _not_too_long(sentence)]


def pieces(text: str) -> Iterator[Piece]:
    """Read the tags of a sentence. Breaks divide it; what a plain voice cannot do (emotion …) is left out."""
    position, pause = 0, 0.0
    for match in _BREAK.finditer(text):
        yield from _piece(text[position : match.start()], pause)
        pause = 0.0 if text[position : match.start()].strip() else pause
        pause = min(pause + float(match[1]) / (1000 if match[2].lower() == "ms" else 1), _LONGEST_BREAK)
        position = match.end()
    rest = list(_piece(text[position:], pause))
    yield from rest
    if not rest and pause:
        yield Piece("", (), pause)


def _piece(text: str, pause: float) -> Iterator[Piece]:
    written = tuple(_TAG.sub("", text).split())
    spelled = _SPELL.sub(lambda match: " " + ", ".join(match[1].replace(" ", "")) + " ", text)
    clean = _TAG.sub("", spelled).replace("&", " and ").translate({ord(sign): " " for sign in "<>{}|\\^~`"})
    if written:
        yield Piece(" ".join(clean.split()), written, pause)


def _ends(text: str) -> Iterator[int]:
    """Where sentences certainly end."""
    for match in _END.finditer(text):
        if not _is_abbreviation(text[max(0, match.end() - _LOOK_BACK) : match.end()]):
            yield match.end()


def _last_end(text: str) -> int:
    return max(_ends(text), default=0)


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in [*_ends(text), len(text)]:
        if sentence := text[start:end]:
            yield sentence
        start = end


def _not_too_long(sentence: str) -> Iterator[str]:
    start = 0
    while len(sentence) - start > _LONGEST:
        head = sentence[start : start + _LONGEST]
        clauses = [match.end() for match in _CLAUSE.finditer(head)]
        cut = clauses[-1] if clauses and clauses[-1] > _LONGEST // 3 else head.rfind(" ")
        cut = cut if cut > 0 else _LONGEST
        yield sentence[start : start + cut]
        start += cut
    if sentence[start:].strip():
        yield sentence[start:]


def _is_abbreviation(head: str) -> bool:
    word = _LAST_WORD.search(head)
    if word is None:
        return False
    last = word[1].lower()
    return last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last != "i")
