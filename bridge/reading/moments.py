"""Moments as people write them on the command line. Pure. All times are UTC unless they say otherwise."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from bridge.errors import SettingsError

_AGO: Final = re.compile(r"(\d{1,6})\s*([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime, *, option: str) -> int:
    """The moment that is meant, in ms since 1970.

    `today`, `yesterday`, a date, a date with a time, or how long ago: `90m`, `3h`, `2d`, `1w`. A date is its
    beginning. Raises SettingsError, which names the option.
    """
    given = text.strip().lower()
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if given in {"today", "yesterday"}:
            meant = today - timedelta(days=given == "yesterday")
        elif ago := _AGO.fullmatch(given):
            meant = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            meant = datetime.fromisoformat(given.upper())
            meant = meant.replace(tzinfo=UTC) if meant.tzinfo is None else meant
        return round(meant.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{option} is {text!r}: wanted a date such as 2026-03-01, a time such as 2026-03-01T12:00 (UTC), today,"
            " yesterday, or how long ago, such as 90m, 3h, 2d or 1w"
        ) from None


def written(ms: int) -> str:
    """A moment for people: date and time, UTC."""
    return f"{_utc(ms):%Y-%m-%d %H:%M:%S}"


def iso(ms: int) -> str:
    """A moment for programs: ISO 8601, UTC."""
    return _utc(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _utc(ms: int) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    except OverflowError:
        return datetime(9999, 12, 31, tzinfo=UTC) if ms > 0 else datetime(1, 1, 1, tzinfo=UTC)
