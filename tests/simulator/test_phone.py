from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.phone import Clearing, Gap, PassedMark, Phone, PhoneTraits, Stretch

SAMPLE_S = 1 / 8000


def tone(ms: int, fill: int = 1) -> bytes:
    return bytes([fill]) * (8 * ms)


def back(phone: Phone, now: float) -> list[str]:
    return [mark.name for mark in phone.advance(now)]


def close(value: float) -> object:
    return pytest.approx(value, abs=SAMPLE_S)


def test_audio_plays_in_order_at_real_time_and_the_mark_returns_when_it_has_sounded() -> None:
    phone = Phone()
    phone.media(10.0, tone(100, 1))
    phone.media(10.0, tone(50, 2))
    phone.mark(10.0, "one")
    assert phone.due_s == close(10.150)
    assert back(phone, 10.149) == []
    assert phone.heard(10.120) == phone.heard(10.149), "time does not go back"
    assert back(phone, 10.150) == ["one"]
    assert back(phone, 11.0) == []
    assert phone.heard(11.0) == (Stretch(10.0, tone(100, 1) + tone(50, 2)),)
    assert phone.marks == [PassedMark("one", 0, close(10.15), close(10.15), 1200, True)]  # type: ignore[arg-type]  # approx stands for a float
    assert phone.due_s is None


def test_a_mark_with_nothing_before_it_returns_at_once() -> None:
    phone = Phone()
    phone.mark(3.0, "a")
    assert back(phone, 3.0) == ["a"]


def test_marks_between_pieces_tell_how_much_had_sounded() -> None:
    phone = Phone()
    for number in range(3):
        phone.media(0.0, tone(20))
        phone.mark(0.0, str(number))
    assert back(phone, 0.045) == ["0", "1"]
    assert [mark.sounded_bytes for mark in phone.marks] == [160, 320]
    assert [mark.passed_s for mark in phone.marks] == [close(0.02), close(0.04)]


def test_clear_cuts_to_the_sample_and_returns_pending_marks_at_once() -> None:
    phone = Phone()
    phone.media(0.0, tone(1000))
    phone.mark(0.0, "a")
    phone.media(0.0, tone(1000))
    phone.mark(0.0, "b")
    phone.clear(0.25)
    assert [(mark.name, mark.heard) for mark in phone.advance(0.25)] == [("a", False), ("b", False)]
    assert phone.heard(9.0) == (Stretch(0.0, tone(250)),)
    assert phone.clears == [Clearing(0.25, 14000)]
    assert not phone.sounding(0.25)


def test_audio_after_a_clear_plays_normally() -> None:
    phone = Phone()
    phone.media(0.0, tone(1000, 1))
    phone.clear(0.1)
    phone.media(0.1, tone(30, 2))
    phone.mark(0.1, "c")
    assert back(phone, 0.129) == []
    assert back(phone, 0.130) == ["c"]
    assert phone.marks[-1].heard
    assert phone.heard(1.0) == (Stretch(0.0, tone(100, 1)), Stretch(0.1, tone(30, 2)))
    assert phone.gaps == [], "a clear makes no gap"


@pytest.mark.parametrize(
    ("traits", "returns"),
    [
        (PhoneTraits(after_clear="at_once"), {0.1: ["a", "b"], 0.13: ["c"]}),
        (PhoneTraits(after_clear="never"), {0.1: [], 0.13: ["c"], 5.0: []}),
        (PhoneTraits(after_clear="late", late_s=0.5), {0.1: [], 0.13: ["c"], 0.599: [], 0.6: ["a", "b"]}),
        (PhoneTraits(lost_marks={1}), {0.1: ["a"], 0.13: ["c"], 5.0: []}),
        (PhoneTraits(lost_marks={0, 2}), {0.1: ["b"], 0.13: [], 5.0: []}),
    ],
)
def test_marks_after_a_clear(traits: PhoneTraits, returns: dict[float, list[str]]) -> None:
    phone = Phone(traits)
    phone.media(0.0, tone(1000))
    phone.mark(0.0, "a")
    phone.mark(0.0, "b")
    phone.clear(0.1)
    phone.media(0.1, tone(30))
    phone.mark(0.1, "c")
    assert {now: back(phone, now) for now in returns} == returns


def test_lag_delays_audio_clear_and_marks_each_way() -> None:
    phone = Phone(PhoneTraits(down_s=0.1, up_s=0.05))
    phone.media(0.0, tone(100, 1))
    phone.mark(0.0, "a")
    assert phone.due_s == close(0.1)
    assert back(phone, 0.2) == []
    assert phone.due_s == close(0.25)
    assert back(phone, 0.25) == ["a"]
    phone.media(1.0, tone(1000, 2))
    phone.mark(1.0, "b")
    phone.clear(1.2)  # in force at 1.3, so 200 ms have sounded
    assert back(phone, 1.34) == []
    assert back(phone, 1.35) == ["b"]
    assert phone.heard(2.0) == (Stretch(0.1, tone(100, 1)), Stretch(1.1, tone(200, 2)))


def test_a_gap_in_the_middle_is_an_underrun_and_one_after_a_mark_is_not() -> None:
    phone = Phone()
    phone.media(0.0, tone(100))
    phone.media(0.15, tone(100))  # 50 ms too late
    phone.mark(0.15, "end of sentence")
    phone.media(0.4, tone(100))
    phone.media(5.0, tone(100))
    phone.advance(6.0)
    assert phone.gaps == [
        Gap(close(0.1), close(0.05), None),  # type: ignore[arg-type]  # approx stands for a float
        Gap(close(0.25), close(0.15), "end of sentence"),  # type: ignore[arg-type]  # approx stands for a float
        Gap(close(0.5), close(4.5), None),  # type: ignore[arg-type]  # approx stands for a float
    ]
    assert phone.underruns == phone.gaps[:1]
    assert [stretch.start_s for stretch in phone.heard(6.0)] == [0.0, 0.15, 0.4, 5.0]


def test_audio_that_comes_in_time_sounds_without_a_gap() -> None:
    phone = Phone()
    for number in range(50):
        phone.media(1000.0 + 0.02 * number, tone(20))
        phone.advance(1000.0 + 0.02 * number)
    assert phone.heard(1001.0) == (Stretch(1000.0, tone(1000)),)
    assert phone.gaps == []


def test_more_than_the_buffer_holds_is_thrown_away() -> None:
    phone = Phone(PhoneTraits(buffer_s=1.0))
    phone.media(0.0, tone(800, 1))
    phone.media(0.0, tone(800, 2))
    phone.mark(0.0, "a")
    assert phone.overflow_bytes == 4800
    assert back(phone, 1.0) == ["a"]
    assert phone.heard(9.0) == (Stretch(0.0, tone(800, 1) + tone(200, 2)),)
    phone.media(9.0, tone(1000, 3))
    assert phone.overflow_bytes == 4800, "it has room again once that was played"
    assert Phone().traits.buffer_s * 8000 == 4_800_000


def test_nothing_sounds_or_returns_after_the_end() -> None:
    phone = Phone(PhoneTraits(down_s=0.05))
    phone.media(0.0, tone(1000))
    phone.mark(0.0, "a")
    phone.media(0.2, tone(1000))
    phone.end(0.25)
    phone.media(0.25, tone(1000))
    phone.mark(0.3, "b")
    assert back(phone, 9.0) == []
    assert phone.heard(9.0) == (Stretch(0.05, tone(200)),)
    assert phone.due_s is None


def test_what_sounds_is_told_as_it_sounds() -> None:
    told: list[tuple[float, int]] = []
    phone = Phone(
        on_sound=lambda start, audio: told.append((round(start, 6), len(audio))),
        on_cut=lambda: told.append((-1, 0)),
    )
    phone.media(0.0, tone(50))
    phone.advance(0.02)
    phone.media(0.02, tone(10))
    phone.advance(0.06)
    assert told == [(0.0, 160), (0.02, 240), (0.05, 80)]
    phone.clear(0.1)
    assert len(told) == 3, "there was nothing to cut"
    phone.media(0.1, tone(50))
    phone.clear(0.11)
    assert told[3:] == [(0.1, 80), (-1, 0)]


# --- against a second, much slower model: one sample at a time ---


@dataclass
class Step:
    wait_ms: int
    kind: str
    ms: int


STEPS = st.lists(
    st.builds(
        Step,
        st.integers(0, 60),
        st.sampled_from(["media", "media", "media", "mark", "clear", "look"]),
        st.integers(1, 80),
    ),
    max_size=25,
)
TRAITS = st.builds(
    PhoneTraits,
    down_s=st.sampled_from([0.0, 0.015, 0.1]),
    up_s=st.sampled_from([0.0, 0.03]),
    after_clear=st.sampled_from(["at_once", "never", "late"]),
    late_s=st.just(0.04),
    lost_marks=st.frozensets(st.integers(0, 5)),
)


def slowly(steps: list[Step], traits: PhoneTraits) -> tuple[list[tuple[int, int]], list[tuple[str, bool, int]]]:
    """(ms, piece number) for every ms that sounded, and marks as (name, heard, ms)."""
    arrivals: dict[int, list[tuple[str, int, int]]] = {}
    now = 0
    for number, step in enumerate(steps):
        now += step.wait_ms
        arrivals.setdefault(now + round(traits.down_s * 1000), []).append((step.kind, number, step.ms))
    queue: list[tuple[str, int]] = []
    sounded: list[tuple[int, int]] = []
    marks: list[tuple[str, bool, int]] = []
    for ms in range(now + 3000):
        for kind, number, length in arrivals.get(ms, []):
            while queue and queue[0][0] == "mark":
                marks.append((str(queue.pop(0)[1]), True, ms))
            if kind == "media":
                queue += [("ms", number)] * length
            elif kind == "mark":
                queue.append(("mark", number))
            elif kind == "clear":
                marks += [(str(number), False, ms) for what, number in queue if what == "mark"]
                queue.clear()
        while queue and queue[0][0] == "mark":
            marks.append((str(queue.pop(0)[1]), True, ms))
        if queue:
            sounded.append((ms, queue.pop(0)[1]))
    return sounded, marks


@given(STEPS, TRAITS)
def test_it_agrees_with_a_model_that_plays_one_millisecond_at_a_time(
    steps: list[Step], traits: PhoneTraits
) -> None:
    phone, now, given_back = Phone(traits), 0, []
    for number, step in enumerate(steps):
        now += step.wait_ms
        match step.kind:
            case "media":
                phone.media(now / 1000, bytes([number]) * 8 * step.ms)
            case "mark":
                phone.mark(now / 1000, str(number))
            case "clear":
                phone.clear(now / 1000)
            case _:
                given_back += phone.advance(now / 1000)
    end = (now + 2999) / 1000
    given_back += phone.advance(end)
    sounded, marks = slowly(steps, traits)
    heard = [
        (round((stretch.start_s + at * SAMPLE_S) * 1000), stretch.audio[at])
        for stretch in phone.heard(end)
        for at in range(0, len(stretch.audio), 8)
    ]
    assert heard == sounded
    assert [(mark.name, mark.heard, round(mark.passed_s * 1000)) for mark in phone.marks] == marks
    assert phone.sounded_bytes == 8 * len(sounded)
    returning = [mark for mark in phone.marks if mark.returned_s is not None]
    assert sorted(mark.number for mark in given_back) == sorted(mark.number for mark in returning)
    assert all(mark.number not in traits.lost_marks for mark in given_back)
    assert [mark.returned_s for mark in given_back] == sorted(mark.returned_s or 0.0 for mark in given_back)


@given(STEPS)
def test_what_sounds_is_what_was_sent_cut_and_never_anything_from_before_a_clear(steps: list[Step]) -> None:
    phone, now = Phone(), 0.0
    lives: list[bytearray] = [bytearray()]  # what was sent between two clears
    for number, step in enumerate(steps):
        now += step.wait_ms / 1000
        if step.kind == "media":
            phone.media(now, bytes([number]) * 8 * step.ms)
            lives[-1] += bytes([number]) * 8 * step.ms
        elif step.kind == "clear":
            phone.clear(now)
            lives.append(bytearray())
    everything = b"".join(stretch.audio for stretch in phone.heard(now + 10))
    for life in lives:
        common = 0
        while common < min(len(life), len(everything)) and life[common] == everything[common]:
            common += 1
        everything = everything[common:]
        if life is lives[-1]:
            assert common == len(life), "what no clear overtook sounds to its end"
    assert everything == b"", "nothing else sounds"
