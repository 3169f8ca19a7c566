"""When sockets are read: how long each rests, and that it keeps step with the carrier."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.twilio.read_pacing import ReadPacer, Rest

FRAME = 160


class Transport:
    """A connection that notes when it is read."""

    def __init__(self) -> None:
        self._reading = True
        self.closing = False

    def reads(self) -> bool:
        """Whether it is read; of an attribute a type checker would not believe that it changes."""
        return self._reading

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True


class Clock:
    """The event loop's time and its one timer, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: float | None = None
        self.work: Any = None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, work: Any) -> Clock:
        self.due, self.work = when, work
        return self

    def when(self) -> float:
        assert self.due is not None
        return self.due

    def cancel(self) -> None:
        self.due = self.work = None

    def move(self, to: float) -> None:
        self.now = to
        while self.due is not None and self.due <= self.now:
            work, self.due, self.work = self.work, None, None
            work()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def pacer_of(streams: int, *, every_ms: int = 100, many: int = 2) -> ReadPacer:
    pacer = ReadPacer(every_ms, many=many)
    for _ in range(streams):
        pacer.join()
    return pacer


def rest_of(pacer: ReadPacer, transport: Transport) -> Rest:
    stand_in: Any = transport
    return Rest(pacer, stand_in)


@pytest.mark.parametrize("pacer", [pacer_of(1), pacer_of(2, every_ms=0)], ids=["few", "off"])
def test_a_few_streams_are_read_as_frames_come(clock: Clock, pacer: ReadPacer) -> None:
    transport = Transport()
    rest = rest_of(pacer, transport)
    for _ in range(10):
        rest.read(FRAME)
    assert transport.reads()


def test_streams_that_leave_are_counted_out(clock: Clock) -> None:
    pacer = pacer_of(2)
    assert pacer.active
    pacer.leave()
    assert not pacer.active


def test_a_socket_rests_once_a_message_is_whole_and_wakes_when_the_next_will_be(clock: Clock) -> None:
    transport = Transport()
    rest = rest_of(pacer_of(2), transport)
    for _ in range(4):
        rest.read(FRAME)
    assert transport.reads(), "the message is not whole"
    rest.read(FRAME)
    assert not transport.reads()
    clock.move(100.09)
    assert not transport.reads()
    clock.move(100.105)
    assert transport.reads()


def test_one_that_is_on_time_keeps_its_step_whatever_the_timer_lags(clock: Clock) -> None:
    transport = Transport()
    rest = rest_of(pacer_of(2), transport)
    for _ in range(5):
        rest.read(FRAME)
    due = clock.when()
    for turn in range(1, 20):
        clock.move(due + 0.003)  # late by 3 ms, each time
        assert transport.reads()
        rest.read(5 * FRAME)
        assert not transport.reads()
        due = clock.when()
        assert due == pytest.approx(100.104 + turn * 0.1)


def test_one_that_is_late_comes_earlier_and_one_that_is_early_is_waited_for(clock: Clock) -> None:
    transport = Transport()
    rest = rest_of(pacer_of(2), transport)
    rest.read(6 * FRAME)  # a frame too many
    assert clock.when() == pytest.approx(100.08)
    clock.move(100.08)
    rest.read(4 * FRAME)
    assert transport.reads(), "a frame too few: it is waited for"
    clock.now = 100.095
    rest.read(FRAME)
    assert not transport.reads()
    assert clock.when() == pytest.approx(100.199)


def test_the_earliest_of_many_is_woken_first_and_a_closed_one_not_at_all(clock: Clock) -> None:
    pacer = pacer_of(3)
    early, late, gone = Transport(), Transport(), Transport()
    rest_of(pacer, late).read(5 * FRAME)
    clock.now -= 0.05
    rest_of(pacer, early).read(5 * FRAME)
    rest_of(pacer, gone).read(5 * FRAME)
    gone.closing = True
    clock.move(100.04)
    assert (early.reads(), late.reads(), gone.reads()) == (True, False, False)
    clock.move(100.2)
    assert late.reads()
    assert clock.due is None, "nobody rests: no timer runs"


def test_a_connection_that_closes_is_not_touched(clock: Clock) -> None:
    transport = Transport()
    transport.closing = True
    rest_of(pacer_of(2), transport).read(5 * FRAME)
    assert transport.reads()
