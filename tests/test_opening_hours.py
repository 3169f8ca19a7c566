"""Opening hours by the wall clock of the place they hold for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.opening_hours import parse, read_zone

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(text: str) -> datetime:
    """A moment by Berlin's wall clock."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-03-02 08:59:59", False),
        ("2026-03-02 09:00", True),  # A Monday.
        ("2026-03-02 12:29:59", True),
        ("2026-03-02 12:30", False),
        ("2026-03-02 13:30", True),
        ("2026-03-02 18:00", False),
        ("2026-03-06 17:59", True),
        ("2026-03-07 11:00", True),
        ("2026-03-07 15:00", False),
        ("2026-03-08 11:00", False),
    ],
)
def test_weekdays_have_hours_and_breaks(moment: str, is_open: bool) -> None:
    hours = parse(["mon-fri 09:00-12:30 13:30-18:00", "Sat 10:00 - 14:00"], "Europe/Berlin")

    assert hours.open_at(berlin(moment)) is is_open


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-03-06 19:59", False),
        ("2026-03-06 20:00", True),  # A Friday.
        ("2026-03-07 01:59", True),
        ("2026-03-07 02:00", False),
        ("2026-03-08 01:00", False),  # Saturday's night is not open.
    ],
)
def test_hours_may_go_on_over_midnight(moment: str, is_open: bool) -> None:
    assert parse(["fri 20:00-02:00"], "Europe/Berlin").open_at(berlin(moment)) is is_open


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-12-25 10:00", False),  # Every year.
        ("2027-12-25 10:00", False),
        ("2026-12-24 10:00", True),  # A date has hours of its own.
        ("2026-12-24 12:00", False),
        ("2027-12-24 12:00", True),  # That was one year's.
        ("2026-12-31 10:00", False),  # A range over the year's end,
        ("2027-01-01 10:00", False),
        ("2026-12-30 10:00", True),
        ("2028-12-31 10:00", True),  # which one year replaces.
        ("2026-08-14 10:00", False),
        ("2026-08-17 10:00", True),
        ("2027-08-13 10:00", True),
    ],
)
def test_dates_replace_the_hours_of_the_weekday(moment: str, is_open: bool) -> None:
    hours = parse(
        [
            "daily 09:00-17:00",
            "12-25 closed",
            "2026-12-24 09:00-12:00",
            "12-31..01-01 closed",
            "2028-12-31 10:00-11:00",
            "2026-08-03..2026-08-16 closed",
        ],
        "Europe/Berlin",
    )

    assert hours.open_at(berlin(moment)) is is_open


def test_a_night_that_began_before_a_holiday_lasts_into_it() -> None:
    hours = parse(["daily 20:00-02:00", "12-25 closed"], "Europe/Berlin")

    assert hours.open_at(berlin("2026-12-25 01:00"))
    assert not hours.open_at(berlin("2026-12-25 21:00"))
    assert not hours.open_at(berlin("2026-12-26 01:00"))


def test_summer_time_moves_the_hours_of_another_clock() -> None:
    hours = parse(["mon-sun 09:00-17:00"], "Europe/Berlin")

    assert not hours.open_at(datetime(2026, 3, 28, 7, 30, tzinfo=UTC))
    assert hours.open_at(datetime(2026, 3, 28, 8, 0, tzinfo=UTC))
    assert hours.open_at(datetime(2026, 3, 29, 7, 0, tzinfo=UTC))  # The clock was put forward that night.
    assert not hours.open_at(datetime(2026, 3, 29, 15, 0, tzinfo=UTC))
    assert hours.open_at(datetime(2026, 10, 25, 15, 59, tzinfo=UTC))  # And back.


@pytest.mark.parametrize(("day", "expected"), [("2026-03-29", 60), ("2026-10-25", 180), ("2026-03-22", 120)])
def test_hours_are_as_long_as_the_wall_clock_says(day: str, expected: int) -> None:
    """From one to three at night: an hour on the day that has no hour from two, three where it comes twice."""
    hours = parse(["sun 01:00-03:00"], "Europe/Berlin")
    midnight = datetime.fromisoformat(day).replace(tzinfo=BERLIN).astimezone(UTC)
    minutes = [midnight + timedelta(minutes=count) for count in range(300)]

    assert sum(map(hours.open_at, minutes)) == expected


def test_days_may_be_named_in_many_ways() -> None:
    hours = parse(["Friday-Mon,wed 08:00-09:00"], "UTC")

    assert [bool(hours.spans(date(2026, 3, day))) for day in range(2, 9)] == [1, 0, 1, 0, 1, 1, 1]


def test_a_whole_day_has_no_gap_at_midnight() -> None:
    hours = parse(["mon-tue 00:00-24:00"], "UTC")

    assert hours.open_at(datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC))
    assert hours.open_at(datetime(2026, 3, 3, 0, 0, tzinfo=UTC))
    assert not hours.open_at(datetime(2026, 3, 4, 0, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mon-fry 09:00-17:00", "'fry' is no day: did you mean fri?"),
        ("", "there are no times"),
        ("09:00-17:00", "there are no times"),
        ("mon-fri", "there are no times"),
        ("mon-fri 9-17", "'9' is no time: wanted 00:00 to 24:00"),
        ("mon-fri 09:00", "'09:00' is no time of opening"),
        ("mon 09:60-17:00", "'09:60' is no time"),
        ("mon 09:00-25:00", "'25:00' is no time"),
        ("mon 24:00-01:00", "that is 00:00 of the next day"),
        ("mon 09:00-09:00", "the whole day is 00:00-24:00"),
        ("2026-02-30 closed", "there is no such day"),
        ("2026-13-01 closed", "there is no such day"),
        ("1-1 closed", "'1-1' is no date: wanted 2026-12-25"),
        ("2026-12-24..12-26 closed", "give both dates their year, or neither"),
        ("2026-12-26..2026-12-24 closed", "the last date lies before the first"),
        ("xx 09:00-17:00", "'xx' is no day: wanted days and times such as mon-fri 09:00-17:30"),
    ],
)
def test_a_wrong_text_is_named_with_the_remedy(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="opening hours") as raised:
        parse(["mon 09:00-17:00", text], "UTC")

    assert repr(text) in str(raised.value)
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Europe/Berlim", "did you mean Europe/Berlin?"),
        ("europe/new york", "'europe/new york' is no time zone"),
        ("new york", "did you mean America/New_York?"),
        ("../etc/passwd", "is no time zone"),
        ("", "wanted a name such as Europe/Berlin or UTC"),
        ("q", "wanted a name such as Europe/Berlin or UTC"),
    ],
)
def test_a_wrong_time_zone_is_named_with_the_remedy(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="time zone") as raised:
        read_zone(name)

    assert complaint in str(raised.value)


def test_no_hours_at_all_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="there are no opening hours: wanted days and times"):
        parse([], "UTC")


def test_a_moment_without_its_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs its time zone"):
        parse(["mon 09:00-17:00"], "UTC").open_at(datetime(2026, 3, 2, 10, 0))  # noqa: DTZ001


@given(text=st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse([text], "UTC")
    except ValueError as error:
        assert repr(text) in str(error)


@given(seconds=st.integers(min_value=0, max_value=4_000_000_000))
def test_hours_and_their_complement_share_the_time(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    day = parse(["daily 06:15-22:45"], "America/New_York")
    night = parse(["daily 22:45-06:15"], "America/New_York")

    assert day.open_at(moment) is not night.open_at(moment)
