"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bridge.errors import SettingsError
from bridge.reading.moments import iso, moment, written

NOW = datetime(2026, 3, 1, 15, 30, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("today", "2026-03-01T00:00:00+00:00"),
        ("Yesterday", "2026-02-28T00:00:00+00:00"),
        ("2026-02-03", "2026-02-03T00:00:00+00:00"),
        ("2026-02-03T04:05", "2026-02-03T04:05:00+00:00"),
        ("2026-02-03 04:05:06", "2026-02-03T04:05:06+00:00"),
        ("2026-02-03T04:05+02:00", "2026-02-03T02:05:00+00:00"),
        ("2026-02-03T04:05z", "2026-02-03T04:05:00+00:00"),
        ("90m", "2026-03-01T14:00:20+00:00"),
        ("3h", "2026-03-01T12:30:20+00:00"),
        ("2 d", "2026-02-27T15:30:20+00:00"),
        ("1w", "2026-02-22T15:30:20+00:00"),
    ],
)
def test_what_is_meant(text: str, meant: str) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    for now in (NOW, there):
        assert moment(text, now, option="--since") == datetime.fromisoformat(meant).timestamp() * 1000


@pytest.mark.parametrize("text", ["", "x", "2026-13-01", "1y", "-3h", "999999w", "\0"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--since is .*: wanted a date such as"):
        moment(text, NOW, option="--since")


def test_a_moment_to_read() -> None:
    assert written(1_772_366_400_999) == "2026-03-01 12:00:00"
    assert iso(1_772_366_400_005) == "2026-03-01T12:00:00.005Z"
    assert iso(2**60).startswith("9999") and iso(-(2**60)).startswith("0001")
