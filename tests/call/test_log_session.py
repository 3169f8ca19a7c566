"""The shell around a call between two people: its clock, its faults, and its end."""

from __future__ import annotations

import asyncio
import json
import weakref
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.call.carrier import SILENT_S, Carrier
from bridge.call.log_session import LogSession
from bridge.call.trace import replay
from bridge.conversation import events as on
from bridge.conversation.journal import CallClosed, PartySpoke
from bridge.conversation.overheard import ListenPolicy, Overheard
from tests.call.peers import INFO, Clock, KeptRecord, Recognizers, ScriptedSocket, settle
from tests.no_collector import no_collector


class Call:
    """A session with everything around it."""

    def __init__(self, **policy: Any) -> None:
        self.record = KeptRecord()
        self.recognizers = Recognizers()
        self.steps: list[Any] = []
        self.session = LogSession(
            INFO, ListenPolicy(**policy), self.recognizers, self.record, (lambda *step: self.steps.append(step),)
        )
        self.socket = ScriptedSocket()

    def attach(self) -> Carrier:
        self.socket = ScriptedSocket()
        carrier = Carrier(self.socket, "MZ1", self.socket.abort)
        self.session.attach(carrier)
        return carrier

    async def over(self) -> None:
        for recognizer in self.recognizers.opened:
            recognizer.emit(on.RecognizerClosed())
        async with asyncio.timeout(5):
            await self.session.ended.wait()

    @property
    def reason(self) -> str:
        entry = self.record.entries[-1]
        assert isinstance(entry, CallClosed)
        return entry.reason


@pytest.fixture
async def clock() -> Clock:
    return Clock()


async def test_the_longest_call_is_left_and_recorded(clock: Clock) -> None:
    call = Call(max_call_s=30)
    call.attach()
    call.session.hear("inbound", 0, b"\x01" * 160)
    await clock.forward(31)
    assert call.socket.closed.is_set()
    assert call.socket.sent == []
    assert call.recognizers.opened[0].told[-1] == "finish"
    call.session.hear("inbound", 20, b"\x01" * 160)  # It comes too late.
    assert call.recognizers.opened[0].told[-1] == "finish"
    await call.over()
    assert (call.reason, call.record.closed) == ("limit", 1)


async def test_a_stream_that_brings_nothing_is_lost_and_another_goes_on(clock: Clock) -> None:
    call = Call(reattach_s=20)
    call.attach()
    call.session.hear("outbound", 0, b"\x02" * 160)
    await clock.forward(SILENT_S + 15)
    assert (call.session.attached, call.socket.cut) == (False, 1)
    call.attach()
    call.session.hear("outbound", 0, b"\x03" * 160)
    call.session.hear("outbound", None, b"\x04" * 160)
    (first, second, third) = call.record.sound
    assert first == ("callee", 0, b"\x02" * 160)
    assert 60_000 < second[1] <= third[1], "the second stream's timestamps go on from the first's"
    call.session.stop("caller")
    await call.over()
    assert call.reason == "caller"


async def test_another_stream_takes_over_from_one_that_nobody_has_missed() -> None:
    call = Call()
    first = call.attach()
    call.attach()
    call.session.detach(first, on.StreamLost())
    assert call.session.attached
    call.session.stop("caller")
    await call.over()


async def test_sound_from_the_future_is_recognised_and_not_recorded() -> None:
    call = Call()
    call.attach()
    call.session.hear("inbound", 10_000_000, b"\x01" * 160)
    assert call.record.sound == []
    assert call.recognizers.opened[0].told == [b"\x01" * 160]
    call.session.stop("caller")
    await call.over()


async def test_in_a_call_of_ours_the_phone_at_its_end_is_the_callee() -> None:
    record, recognizers = KeptRecord(), Recognizers()
    session = LogSession(replace(INFO, direction="outbound-api"), ListenPolicy(), recognizers, record)
    session.attach(Carrier(ScriptedSocket(), "MZ1"))
    session.hear("inbound", 0, b"\x01" * 160)
    assert record.sound == [("callee", 0, b"\x01" * 160)]
    session.stop("caller")
    recognizers.opened[0].emit(on.RecognizerClosed())
    await session.ended.wait()


async def test_a_fault_of_ours_ends_the_one_call_and_keeps_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Call()
    call.attach()
    call.session.hear("inbound", 0, b"\x01" * 160)
    call.recognizers.opened[0].emit(on.TurnEnded("Before."))

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Overheard, "handle", fail)
    call.recognizers.opened[0].abort_fails = True
    with capture_logs() as logs:
        call.recognizers.opened[0].emit(on.TurnStarted())
        call.recognizers.opened[0].emit(on.TurnEnded("After."))
        await call.session.ended.wait()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["call_failed", "call_end_failed"]
    assert call.session.over_for_carrier
    await settle()
    assert (call.record.closed, call.socket.closed.is_set()) == (1, True)
    assert [entry.transcript for entry in call.record.entries if isinstance(entry, PartySpoke)] == ["Before."]


async def test_every_step_is_traced_and_can_be_played_again() -> None:
    call = Call(to="+15550100009")
    call.attach()
    for track in ("inbound", "outbound"):
        call.session.hear(track, 0, b"\x01" * 160)
    for recognizer in call.recognizers.opened:
        recognizer.emit(on.RecognizerConnected("r"))
        recognizer.emit(on.TurnStarted())
        recognizer.emit(on.TurnEnded("Hello."))
    call.session.take(on.TransferEnded("completed", 3))
    call.session.stop("caller")
    await call.over()
    trace = b"".join(call.record.lines)
    assert json.loads(call.record.lines[0])["listening"]["to"] == "+15550100009"
    assert replay(trace, name="trace") == (len(call.steps), None)
    agreed, difference = replay(trace.replace(b'"Hello."', b'"Hullo."', 1), name="trace")
    assert difference is not None
    assert agreed < len(call.steps)


async def test_a_call_that_is_over_is_kept_by_neither_of_its_recognisers() -> None:
    with no_collector():
        call = Call()
        carrier = call.attach()
        call.session.hear("inbound", 0, b"\x01" * 160)
        call.session.detach(carrier, on.StreamStopped("caller"))
        call.recognizers.opened[0].emit(on.RecognizerClosed())
        await call.over()
        await settle()
        gone, recognizers = weakref.ref(call.session), call.recognizers
        del call
        assert gone() is None
        assert len(recognizers.opened) == 1
