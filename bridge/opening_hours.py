"""Opening hours: texts such as `mon-fri 09:00-17:30`, a time zone, and a moment make open or closed.

A text begins with days: weekdays (`mon`, `mon-fri`, `sat,sun`, `daily`) or dates (`2026-12-24`, each year `12-25`,
a range `12-24..01-01`). Behind them stand times, several of them where there is a break (`09:00-12:30
13:30-18:00`), or `closed`. Hours that end at or before their beginning go on over midnight, and belong to the day
on which they begin. A date replaces the weekday's hours on that day, and a date with its year one without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from msgspec import Struct

Span: TypeAlias = tuple[int, int]
"""Minutes since the day's midnight by the wall clock: from, and up to but not including. Over 1440: a day later."""

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_MINUTES: Final = 24 * 60
_EXAMPLE: Final = "wanted days and times such as mon-fri 09:00-17:30, sat 10:00-14:00, or 2026-12-25 closed"
_DATE: Final = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})$")
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})$")
_BLANKS: Final = re.compile(r"\s*(-|–|,|\.\.)\s*")
"""Around the signs of a text, where people may write them."""
_LEAP: Final = 2000
"""A year that has every date."""


class _Line(Struct, frozen=True):
    """One text, read. It is about weekdays, or about dates."""

    spans: tuple[Span, ...]
    weekdays: frozenset[int] = frozenset()
    """0 is Monday."""
    first: tuple[int, int, int] | None = None
    """Year (0: every year), month and day of the first date."""
    last: tuple[int, int, int] | None = None

    def covers(self, day: date) -> bool:
        """Tell whether the text is about a day."""
        if self.first is None or self.last is None:
            return day.weekday() in self.weekdays
        if self.first[0]:
            return self.first <= (day.year, day.month, day.day) <= self.last
        first, last, this = self.first[1:], self.last[1:], (day.month, day.day)
        return first <= this <= last if first <= last else this >= first or this <= last

    @property
    def rank(self) -> int:
        """What replaces what on a day: 2 a date with its year, 1 a date of every year, 0 a weekday."""
        return 0 if self.first is None else 2 if self.first[0] else 1


class OpeningHours(Struct, frozen=True):
    """When somebody is there. Made by `parse`."""

    zone: ZoneInfo
    lines: tuple[_Line, ...]

    def open_at(self, moment: datetime) -> bool:
        """Tell whether it is open at a moment that knows its time zone. Raises ValueError for one that does not.

        The wall clock of the place counts: on the nights when it is put forward or back, hours are as long as it
        says.
        """
        if moment.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        local = moment.astimezone(self.zone)
        today, minute = local.date(), local.hour * 60 + local.minute
        yesterday = today - timedelta(days=1)
        return _within(self.spans(today), minute) or _within(self.spans(yesterday), minute + _DAY_MINUTES)

    def spans(self, day: date) -> tuple[Span, ...]:
        """Return the hours that begin on a day, in minutes since its midnight; empty: it is closed."""
        lines = [line for line in self.lines if line.covers(day)]
        rank = max((line.rank for line in lines), default=0)
        return tuple(span for line in lines if line.rank == rank for span in line.spans)


def parse(texts: Iterable[str], timezone: str) -> OpeningHours:
    """Read opening hours. Raises ValueError, with a sentence that names the text and the remedy."""
    zone, lines = read_zone(timezone), tuple(read_line(text) for text in texts)
    if not lines:
        raise ValueError(f"there are no opening hours: {_EXAMPLE}")
    return OpeningHours(zone, lines)


def read_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name, such as Europe/Berlin. Raises ValueError for one that does not exist."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = {zone.casefold(): zone for zone in available_timezones()}
        folded = name.casefold().replace(" ", "_")
        cities = {zone.rpartition("/")[2]: zone for zone in known}
        if close := get_close_matches(folded, known, n=1):
            raise ValueError(f"{name!r} is no time zone: did you mean {known[close[0]]}?") from None
        if close := get_close_matches(folded, cities, n=1):
            raise ValueError(f"{name!r} is no time zone: did you mean {known[cities[close[0]]]}?") from None
        raise ValueError(f"{name!r} is no time zone: wanted a name such as Europe/Berlin or UTC") from None


def read_line(text: str) -> _Line:
    """Read one text. Raises ValueError, with a sentence that names it and the remedy."""
    days, _, times = _BLANKS.sub(r"\1", text.strip().casefold().replace("–", "-")).partition(" ")
    try:
        spans = _read_times(times.replace(",", " ").split())
        if days[:1].isdigit():
            first, _, last = days.partition("..")
            return _dated(_read_date(first), _read_date(last or first), spans)
        return _Line(spans, weekdays=frozenset(day for part in days.split(",") for day in _read_days(part)))
    except ValueError as error:
        raise ValueError(f"opening hours {text!r}: {error}") from None


def _within(spans: tuple[Span, ...], minute: int) -> bool:
    return any(start <= minute < end for start, end in spans)


def _read_days(text: str) -> Iterable[int]:
    if text == "daily":
        return range(7)
    first, dash, last = text.partition("-")
    start = _read_day(first)
    end = _read_day(last) if dash else start
    return [(start + step) % 7 for step in range((end - start) % 7 + 1)]


def _read_day(text: str) -> int:
    found = [number for number, day in enumerate(_DAYS) if len(text) >= 3 and day.startswith(text)]
    if not found:
        close = get_close_matches(text, [*_DAYS, *(day[:3] for day in _DAYS)], n=1)
        remedy = f"did you mean {close[0][:3]}?" if close else _EXAMPLE
        raise ValueError(f"{text!r} is no day: {remedy}" if text else f"there is no day: {_EXAMPLE}")
    return found[0]


def _read_date(text: str) -> tuple[int, int, int]:
    match = _DATE.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no date: wanted 2026-12-25, or 12-25 for every year")
    year, month, day = int(match[1] or 0), int(match[2]), int(match[3])
    try:
        date(year or _LEAP, month, day)
    except ValueError:
        raise ValueError(f"{text!r} is no date: there is no such day") from None
    return year, month, day


def _dated(first: tuple[int, int, int], last: tuple[int, int, int], spans: tuple[Span, ...]) -> _Line:
    if bool(first[0]) != bool(last[0]):
        raise ValueError("give both dates their year, or neither")
    if first[0] and last < first:
        raise ValueError("the last date lies before the first")
    return _Line(spans, first=first, last=last)


def _read_times(texts: list[str]) -> tuple[Span, ...]:
    if texts == ["closed"]:
        return ()
    if not texts:
        raise ValueError(f"there are no times: {_EXAMPLE}")
    return tuple(_read_span(text) for text in texts)


def _read_span(text: str) -> Span:
    first, dash, last = text.partition("-")
    if not dash:
        raise ValueError(f"{text!r} is no time of opening: wanted 09:00-17:30, or closed")
    start, end = _read_time(first), _read_time(last)
    if start == end:
        raise ValueError(f"{text!r} begins when it ends: the whole day is 00:00-24:00")
    if start == _DAY_MINUTES:
        raise ValueError(f"{text!r} begins at 24:00: that is 00:00 of the next day")
    return start, end if end > start else end + _DAY_MINUTES


def _read_time(text: str) -> int:
    match = _TIME.match(text)
    minutes = int(match[1]) * 60 + int(match[2]) if match and int(match[2]) < 60 else _DAY_MINUTES + 1
    if minutes > _DAY_MINUTES:
        raise ValueError(f"{text!r} is no time: wanted 00:00 to 24:00")
    return minutes
