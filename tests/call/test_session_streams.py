"""The shell of one call: the streams that carry it, and its end."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from bridge.call.carrier import SILENT_S
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.journal import CallClosed
from bridge.errors import AgentError
from tests.call.live_call import Call, ask, sent
from tests.call.peers import (
    Clock,
    settle,
)


class TestStreams:
    async def test_the_callers_sound_is_heard_and_kept_at_its_time(self, call: Call, clock: Clock) -> None:
        call.attach()
        assert call.session.attached
        await clock.forward(3)
        call.session.hear(2500, b"\x01")
        call.session.hear(500, b"\x02")
        call.session.hear(None, b"\x03")
        assert call.recognizer.told == [b"\x01", b"\x02", b"\x03"]
        kept = [(at_ms, audio) for _, at_ms, audio in call.record.sound]
        assert kept[:2] == [(2500, b"\x01"), (500, b"\x02")]
        assert 3000 <= kept[2][0] < 3900

    async def test_a_timestamp_far_ahead_fills_no_disk(self, call: Call) -> None:
        call.attach()
        call.session.hear(25_000, b"\x01")
        call.session.hear(36_000, b"\x02")
        assert call.record.sound == [("caller", 25_000, b"\x01")]
        assert call.recognizer.told == [b"\x01", b"\x02"]

    async def test_a_call_that_comes_back_goes_on_counting(self, call: Call, clock: Clock) -> None:
        call.attach()
        await clock.forward(4)
        call.session.detach(call.carriers[0], on.StreamLost())
        assert not call.session.attached
        assert not call.session.over_for_carrier
        await clock.forward(2)
        call.attach()
        call.session.hear(20, b"\x01")
        ((_, at_ms, _),) = call.record.sound
        assert 6020 <= at_ms < 6900
        assert call.script.events == [on.StreamStarted(), on.StreamLost(), on.StreamStarted()]

    async def test_a_new_stream_replaces_one_that_nobody_saw_die(self, call: Call) -> None:
        first = call.attach()
        second = call.attach()
        await settle()
        assert first.closed.is_set()
        assert call.script.events == [on.StreamStarted(), on.StreamLost(), on.StreamStarted()]
        call.do(do.SendMark("m1"))
        await settle()
        assert (sent(first), sent(second)) == ([], ["mark"])

    async def test_nothing_more_is_sent_to_the_replaced_one(self, call: Call) -> None:
        first = call.attach()
        call.script.answer(on.StreamLost, do.SendAudio(1, b"\x01"), do.ClearPlayout())
        call.attach()
        await settle()
        assert (first.sent, call.record.sound) == ([], [])

    @pytest.mark.parametrize("event", [on.StreamLost(), on.StreamStopped("caller")])
    async def test_what_a_replaced_stream_says_is_not_about_the_call(
        self, call: Call, event: on.StreamLost | on.StreamStopped
    ) -> None:
        call.attach()
        second = call.attach()
        call.session.detach(call.carriers[0], event)
        assert call.session.attached
        assert not call.session.over_for_carrier
        assert call.script.events == [on.StreamStarted(), on.StreamLost(), on.StreamStarted()]
        call.do(do.SendMark("m1"))
        await settle()
        assert sent(second) == ["mark"]

    async def test_a_stream_that_stops_is_the_end_for_the_carrier(self, call: Call) -> None:
        socket = call.attach()
        call.session.detach(call.carriers[0], on.StreamStopped("caller"))
        assert call.session.over_for_carrier
        assert call.script.events[1:] == [on.StreamStopped("caller")]
        call.carriers[0].send_mark("late")
        await settle()
        assert socket.sent == []

    async def test_a_stop_counts_even_after_the_stream_was_given_up(self, call: Call) -> None:
        call.attach()
        call.session.detach(call.carriers[0], on.StreamLost())
        call.session.detach(call.carriers[0], on.StreamLost())
        call.session.detach(call.carriers[0], on.StreamStopped("caller"))
        assert call.script.events[1:] == [on.StreamLost(), on.StreamStopped("caller")]
        assert call.session.over_for_carrier

    async def test_a_stream_that_brings_nothing_for_a_minute_is_lost(self, call: Call, clock: Clock) -> None:
        socket = call.attach()
        await clock.forward(SILENT_S - 5)
        call.session.hear(0, b"\x01")
        await clock.forward(SILENT_S - 5)
        assert call.session.attached
        await clock.forward(20)
        assert (call.session.attached, socket.cut) == (False, 1)
        assert call.script.events == [on.StreamStarted(), on.StreamLost()]
        assert not call.session.over_for_carrier, "it may come back"

    async def test_stopping_from_outside_closes_the_stream_and_is_final(self, call: Call) -> None:
        socket = call.attach()
        call.session.stop("shutdown")
        await settle()
        assert socket.closed.is_set()
        assert (call.session.attached, call.session.over_for_carrier) == (False, True)
        assert call.script.events[1:] == [on.StreamStopped("shutdown")]
        call.session.detach(call.carriers[0], on.StreamLost())
        assert len(call.script.events) == 2

    async def test_a_call_can_be_stopped_between_two_streams(self, call: Call) -> None:
        call.session.stop("caller")
        assert call.script.events == [on.StreamStopped("caller")]

    async def test_a_call_that_is_ending_takes_no_stream(self, call: Call) -> None:
        before = call.session.over_for_carrier
        call.script.expects_stream = False
        assert (before, call.session.over_for_carrier) == (False, True)


class TestTheEnd:
    async def test_everything_is_let_go(self, call: Call, clock: Clock) -> None:
        socket = call.attach()
        call.agent.hold = asyncio.Event()
        call.do(ask(3))
        await settle()
        before = call.session.files
        with capture_logs() as logs:
            call.do(do.Record(CallClosed(61_234, "caller")), do.Close())
            await call.over()
        await settle()
        assert (call.recognizer.told, call.voice.told, call.record.closed) == (["abort"], ["close"], 1)
        assert call.agent.left == [3]
        assert socket.closed.is_set()
        assert (before, call.session.files is None) == (None, False)
        (told,) = logs
        assert (told["event"], told["log_level"], told["call"]) == ("call_ended", "info", "c1")
        assert (told["reason"], told["seconds"], told["folder"]) == ("caller", 61.2, "/nowhere")

    async def test_a_timer_that_runs_is_stopped(self, call: Call, clock: Clock) -> None:
        call.script.deadline = clock.now + 3
        call.do(do.Close())
        call.record.hold = asyncio.Event()
        await clock.forward(5)
        assert on.DeadlineReached() not in call.script.events
        call.record.hold.set()
        await call.over()

    async def test_a_peer_that_fails_at_the_end_does_not_keep_the_others(self, call: Call) -> None:
        call.recognizer.abort_fails = True
        with capture_logs() as logs:
            call.do(do.Close())
            await call.over()
        assert (call.voice.told, call.record.closed) == (["close"], 1)
        assert [line["event"] for line in logs] == ["call_end_failed", "call_ended"]

    async def test_it_is_over_once_the_agent_was_told(self, call: Call) -> None:
        call.agent.hold = asyncio.Event()
        call.do(do.TellAgentEnded(9, "caller", 0, ()), do.Close())
        await settle()
        assert call.record.closed == 1
        assert not call.session.ended.is_set()
        call.agent.hold.set()
        await call.over()

    @pytest.mark.parametrize("error", [AgentError("gone", code="agent_unreachable"), None])
    async def test_an_agent_that_cannot_be_told_is_a_line_in_the_log(
        self, call: Call, clock: Clock, error: AgentError | None
    ) -> None:
        call.agent.error = error
        if error is None:
            call.agent.hold = asyncio.Event()
        with capture_logs() as logs:
            call.do(do.TellAgentEnded(9, "caller", 0, ()), do.Close())
            await clock.forward(21)
            assert call.session.ended.is_set()
        assert [line["event"] for line in logs] == ["agent_not_told", "call_ended"]
        assert (logs[0]["occasion"], logs[0]["error"]) == ("call.ended", str(error or ""))


async def test_a_stream_that_was_left_and_stops_late_says_nothing_about_the_call(call: Call) -> None:
    call.attach()
    call.script.leaves_for_a_while = True
    call.session.detach(call.carriers[0], on.StreamStopped("caller"))
    assert call.script.events[-1] == on.StreamLost()
    assert not call.session.over_for_carrier


@pytest.mark.parametrize("attached", [True, False])
async def test_a_call_that_is_left_for_a_while_is_over_when_the_carrier_says_so(call: Call, attached: bool) -> None:
    call.attach()
    if not attached:
        call.session.detach(call.carriers[0], on.StreamLost())
    call.script.leaves_for_a_while = True
    call.session.stop("caller")
    assert call.script.events[-2:] == [on.StreamLost(), on.StreamStopped("caller")]


async def test_what_the_recogniser_of_an_earlier_stretch_still_tells_is_not_heard(call: Call) -> None:
    call.attach()
    call.do(do.FinishRecognizer())
    call.do(do.OpenRecognizer())
    earlier, later = call.peers.recognizers.opened  # type: ignore[attr-defined]  # scripted ones
    earlier.emit(on.RecognizerClosed())
    later.emit(on.RecognizerConnected())
    assert call.script.events[-1] == on.RecognizerConnected()
    assert on.RecognizerClosed() not in call.script.events
