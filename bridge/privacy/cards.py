"""Card numbers among digits: 13 to 19 of them, right by their check digit (Luhn). Pure.

One in ten numbers has a right check digit by chance. So digits that stand alone, as one group or in the groups that
people use, are a card number when the check digit is right; digits out of a longer row must also begin as the cards
of a known brand do, and have their length.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

from bridge.privacy.numbers import Run

LEAST: Final = 13
MOST: Final = 19

_BRANDS: Final[tuple[tuple[int, int, frozenset[int]], ...]] = (
    # First and last number that begins one, and the lengths. (13 digits of Visa are no longer given out.)
    (4, 4, frozenset({16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),
    (6011, 6011, frozenset({16, 19})),  # Discover
    (644, 659, frozenset({16, 19})),  # and RuPay
    (62, 62, frozenset({16, 17, 18, 19})),  # UnionPay
    (3528, 3589, frozenset({16, 17, 18, 19})),  # JCB
    (300, 305, frozenset({14, 16})),  # Diners Club
    (36, 36, frozenset({14, 16})),
    (38, 39, frozenset({14, 16})),
    (5018, 5018, frozenset(range(13, 20))),  # Maestro
    (5020, 5020, frozenset(range(13, 20))),
    (5038, 5038, frozenset(range(13, 20))),
    (5893, 5893, frozenset(range(13, 20))),
    (6304, 6304, frozenset(range(13, 20))),
    (6759, 6763, frozenset(range(13, 20))),
    (2200, 2204, frozenset({16, 17, 18, 19})),  # Mir
    (508, 508, frozenset({16})),  # RuPay
    (81, 82, frozenset({16})),
    (1946, 1946, frozenset({16})),  # GiroCard of some banks
)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_GLUED: Final = 17
"""From so many digits on, a written group may hold a card number with something behind it."""

Window: TypeAlias = tuple[int, int]
"""From which digit of a run, up to but not including which."""


def is_valid(digits: str) -> bool:
    """Tell whether the check digit is right (Luhn)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if place % 2 else int(digit)
    return total % 10 == 0


def is_branded(digits: str) -> bool:
    """Tell whether a card of a known brand begins so and is so long."""
    return any(
        first <= int(digits[: len(str(first))]) <= last and len(digits) in lengths
        for first, last, lengths in _BRANDS
    )


def may_begin(digits: str) -> bool:
    """Tell whether a card of a known brand may begin with these digits and go on."""
    for first, last, lengths in _BRANDS:
        longest = max(lengths & {14, 15, 16}, default=16)
        size = min(len(str(first)), len(digits))
        cut = 10 ** (len(str(first)) - size)
        if len(digits) < longest and first // cut <= int(digits[:size] or 0) <= last // cut:
            return True
    return False


def windows(run: Run) -> Iterator[Window]:
    """Yield where card numbers stand among the digits of a run; they may overlap."""
    digits, edges = run.digits, run.edges
    size = len(digits)
    if size < LEAST:
        return
    glued = _within_glued(run)
    places = [place for place in range(size + 1) if edges[place] or place in glued]
    known = set(places)
    # Sums of the digits up to each place, once with every even place doubled, once with every odd one.
    sums = [
        list(accumulate((_DOUBLED[int(d)] if at % 2 == odd else int(d) for at, d in enumerate(digits)), initial=0))
        for odd in (0, 1)
    ]
    for start in places:
        for stop in range(start + LEAST, min(start + MOST, size) + 1):
            if stop not in known or (sums[stop % 2][stop] - sums[stop % 2][start]) % 10:
                continue
            if _stands_alone(run, start, stop) or is_branded(digits[start:stop]):
                yield start, stop


def _stands_alone(run: Run, start: int, stop: int) -> bool:
    """Tell whether these digits are one number by how they are written, and not years, times or a list."""
    edges = run.edges
    if edges[start] != 2 or edges[stop] != 2 or 2 in edges[start + 1 : stop]:
        return False
    cuts = [place for place in range(start, stop + 1) if edges[place]]
    groups = [run.digits[first:last] for first, last in pairwise(cuts)]
    years = all(len(group) == 4 and "1900" <= group < "2100" for group in groups)
    return not years and not all(len(group) == 2 for group in groups)


def _within_glued(run: Run) -> set[int]:
    """The places within written groups that are too long for most cards."""
    places: set[int] = set()
    at = 0
    for group in run.groups:
        if group >= _GLUED:
            places.update(range(at + 1, at + group))
        at += group
    return places
