"""When the caller was last heard, read off how loud a recording is."""

from __future__ import annotations

import pytest

from bridge.store.loudness import Ear, Peaks
from tests.store.samples import loudness


def last_sound(
    caller: bytes, started_ms: int, ended_ms: int, *, after_ms: int = 0, per_second: int = 50
) -> int | None:
    return Ear(Peaks(per_second, caller, b"")).last_sound(started_ms, ended_ms, after_ms=after_ms)


@pytest.mark.parametrize("noise", [0, 22, 50, 70])
def test_the_last_loud_moment_before_the_turns_end(noise: int) -> None:
    line = loudness((1000, 2000), (2300, 2900), (5000, 6000), length_ms=10_000, noise=noise)
    assert last_sound(line, 1200, 3800) == 2900, "whatever the noise of the line"
    assert last_sound(line, 5200, 6700) == 6000


def test_the_edges_of_a_window() -> None:
    line = loudness((1000, 2000), length_ms=5000)
    assert [last_sound(line, 1200, end) for end in (2060, 2061, 2300)] == [None, 2000, 2000]


def test_a_sound_that_goes_on_has_no_end() -> None:
    line = loudness((1000, 4000), length_ms=20_000)
    assert last_sound(line, 1200, 3000) is None
    assert last_sound(line, 1200, 3990) is None


def test_a_click_is_not_the_caller() -> None:
    line = bytearray(loudness((1000, 2000), length_ms=10_000))
    line[125] = 127  # at 2.5 s, for 20 ms
    assert last_sound(bytes(line), 1200, 2900) == 2000
    line[127] = 120  # at 2.54 s: two sounds so close are one of some length
    assert last_sound(bytes(line), 1200, 2900) == 2560


def test_breath_and_room_are_not_the_caller() -> None:
    line = bytearray(loudness((1000, 2000), length_ms=10_000, noise=10))
    line[100:120] = bytes([35] * 20)
    assert last_sound(bytes(line), 1200, 2900) == 2000


def test_a_short_word_that_was_over_before_the_service_was_sure() -> None:
    line = loudness((1000, 1200), length_ms=10_000)
    assert last_sound(line, 1400, 2000) == 1200
    assert last_sound(line, 1400, 2000, after_ms=1300) is None, "that was the turn before"


def test_what_is_too_faint_to_tell_from_the_noise() -> None:
    faint = bytearray(loudness(length_ms=10_000, noise=60))
    faint[50:100] = bytes([75] * 50)
    assert last_sound(bytes(faint), 1200, 2900) is None
    assert last_sound(loudness(length_ms=10_000), 1200, 2900) is None


def test_a_recording_that_is_shorter_than_the_call() -> None:
    line = loudness((1000, 2000), length_ms=2500)
    assert last_sound(line, 1200, 2900) == 2000
    assert last_sound(line, 5000, 6000) is None
    assert last_sound(b"", 5000, 6000) is None
    assert last_sound(line, -500, -100) is None
    assert last_sound(line, 3000, 1000) is None


def test_coarser_peaks_will_do() -> None:
    assert last_sound(loudness((1000, 2000), length_ms=10_000, per_second=10), 1200, 2900, per_second=10) == 2000
