"""E-mail addresses, phone numbers and US social security numbers, written or spoken. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bridge.privacy.cards import Window
from bridge.privacy.numbers import Run, Span

_WRITTEN: Final = re.compile(
    r"[^\W_][\w.!#$%&'*+/=?^`{|}~-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}", re.IGNORECASE
)
_JOIN: Final = (
    r"(?:\s*\.\s*|\s*[-_+]\s*|\s+(?:dot|point|period|dash|hyphen|minus|underscore|under\s+score|plus)\s+)"
)
_DIGIT: Final = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|\d+|double|[^\W\d_])"
_SPOKEN: Final = re.compile(
    # Letters and digits one by one, names, and what joins them; then "at"; then a domain whose dots may be said.
    rf"(?<![\w'’])(?:{_DIGIT}\s+){{0,24}}\w{{1,40}}(?:{_JOIN}\w{{1,40}}){{0,6}}(?:\s+{_DIGIT}){{0,8}}"
    rf"(?:\s+at\s+|\s*@\s*)"
    rf"(?:\w{{1,40}}\s+){{0,2}}\w{{1,40}}(?:\s*-\s*\w{{1,40}}|\s+(?:dash|hyphen)\s+\w{{1,40}}){{0,3}}"
    rf"(?:(?:\s*\.|\s+dot)\s*[^\W\d_]{{2,24}}){{1,3}}(?!\w)",
    re.IGNORECASE,
)
_HINT: Final = re.compile(r"@|(?<!\w)at\s", re.IGNORECASE)
_DOT: Final = re.compile(r"\.\w|(?<!\w)dot(?!\w)", re.IGNORECASE)

_AREAS: Final = range(1, 900)
"""What a social security number may begin with; 666 was never given out."""


def emails(text: str) -> Iterator[Span]:
    """Yield where e-mail addresses stand."""
    if _HINT.search(text) is None or _DOT.search(text) is None:
        return
    if "@" in text:
        yield from (found.span() for found in _WRITTEN.finditer(text))
    yield from (found.span() for found in _SPOKEN.finditer(text))


def social_security(run: Run) -> Iterator[Window]:
    """Yield where social security numbers stand among the digits of a run: nine that stand alone, or 3-2-4."""
    edges = run.edges
    for start in range(len(run.digits) - 8):
        stop = start + 9
        if not edges[start] or not edges[stop] or not _may_be_social(run.digits[start:stop]):
            continue
        inner = [place - start for place in range(start + 1, stop) if edges[place]]
        strong = [place - start for place in range(start + 1, stop) if edges[place] == 2]
        alone = edges[start] == edges[stop] == 2
        if inner == [3, 5] or (alone and strong in ([], [3, 5])):
            yield start, stop


def _may_be_social(digits: str) -> bool:
    area = int(digits[:3])
    return area in _AREAS and area != 666 and digits[3:5] != "00" and digits[5:] != "0000"


def phones(run: Run, text: str) -> Iterator[Window]:
    """Yield where phone numbers stand among the digits of a run.

    Wanted is a plus before 7 to 15 digits, ten digits that may be a number in North America, or a leading zero
    before 8 to 13 more; or seven digits of which three are set apart.
    """
    places = [place for place in range(len(run.digits) + 1) if run.edges[place] == 2]
    for at, start in enumerate(places):
        for stop in places[at + 1 :]:
            strong = [place - start for place in places if start < place < stop]
            size = stop - start
            plus = start < len(run.spans) and has_plus(text, run.spans[start][0])
            if size > 15:
                break
            if strong and strong not in ([3, 6], [1, 4, 7], [3], [4]) and not plus:
                continue
            if (plus and size >= 7) or is_phone(run.digits[start:stop]) or _is_local(run, start, stop):
                yield start, stop


def is_phone(digits: str) -> bool:
    """Tell whether digits without a plus before them may be a phone number of national form."""
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    if len(digits) == 10 and digits[0] in "23456789" and digits[3] in "23456789":
        return True
    if digits.startswith("00"):
        return 10 <= len(digits) <= 15 and digits[2] != "0"
    return digits.startswith("0") and 9 <= len(digits) <= 13


def _is_local(run: Run, start: int, stop: int) -> bool:
    inner = [place - start for place in range(start + 1, stop) if run.edges[place]]
    return stop - start == 7 and inner == [3] and run.digits[start] in "23456789"


def has_plus(text: str, at: int) -> bool:
    """Tell whether a plus, written or said, stands before a place."""
    before = text[max(0, at - 6) : at].rstrip(" (").lower()
    return before.endswith("+") or re.search(r"(?<!\w)plus$", before) is not None
