"""Which part of something is asked for: the header `Range` (RFC 9110, 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE = re.compile(r"[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII)
_MOST_DIGITS = 18


class NothingThereError(Exception):
    """What is asked for lies behind the end: 416."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `start` on, `length` of them; at least one."""

    start: int
    length: int

    def content_range(self, size: int) -> str:
        """Return the header `Content-Range` of an answer with this part of `size` bytes."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def part_asked_for(header: str | None, size: int) -> Part | None:
    """Return the part of `size` bytes that `Range` asks for; None: all of it.

    A header that is not understood counts for nothing, as the RFC wants it; so does one that asks for several
    parts, as it allows. Raises `NothingThereError`.
    """
    unit, _, asked = (header or "").partition("=")
    found = _ONE.fullmatch(asked)
    if unit.strip().lower() != "bytes" or found is None:
        return None
    first, last = (_number(digits) for digits in found.groups())
    if first is None:
        if last is None:
            return None
        if not min(last, size):
            raise NothingThereError
        return Part(size - min(last, size), min(last, size))
    if last is not None and last < first:
        return None
    if first >= size:
        raise NothingThereError
    return Part(first, min(size - 1 if last is None else last, size - 1) - first + 1)


def _number(digits: str) -> int | None:
    """Return the number; one that is longer than anything could be is only very large."""
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
