"""The shell of one call: each event to the conversation, and each command to its peer."""

from __future__ import annotations

import asyncio
import json
import weakref
from functools import partial
from typing import Any

from structlog.testing import capture_logs

from bridge.agents.base import Question
from bridge.call.carrier import Carrier
from bridge.call.session import Session
from bridge.call.warm import WarmRecognizer
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Say, Transfer, Tuning
from bridge.conversation.policy import Policy
from bridge.errors import AgentError
from tests.call.live_call import Call, ask, sent
from tests.call.peers import (
    INFO,
    Clock,
    KeptRecord,
    Recognizers,
    Script,
    ScriptedAgent,
    ScriptedSocket,
    peers,
    settle,
)
from tests.no_collector import no_collector


class TestEvents:
    async def test_a_step_is_taken_traced_and_shown(self, call: Call) -> None:
        (first,) = call.record.lines
        assert json.loads(first)["version"] == 1
        entry = journal.KeyPressed(5, "1")
        call.do(do.Record(entry))
        assert call.script.events == [on.DigitPressed("1")]
        assert call.record.entries == [entry]
        ((now, event, commands),) = call.steps
        assert (event, commands) == (on.DigitPressed("1"), [do.Record(entry)])
        step = json.loads(call.record.lines[1])
        assert (step["now"], step["event"]["is"]) == (now, "DigitPressed")
        assert step["commands"][0]["entry"]["is"] == "KeyPressed"

    async def test_the_record_is_told_when_its_sound_pauses(self, call: Call) -> None:
        call.do(do.PauseRecording(1200), do.Record(journal.RecordingPaused(1200)), do.ResumeRecording(2400))
        assert call.record.sound == [("paused", 1200), ("resumed", 2400)]
        assert call.record.entries == [journal.RecordingPaused(1200)]

    async def test_what_a_peer_answers_within_its_command_comes_after_the_commands(self, call: Call) -> None:
        call.voice.fails_at_once = True
        call.do(do.Synthesize(1, "a", more=False, voice=None, language=None), do.CancelSpeech(7))
        assert call.voice.told == [(1, "a", False, "usual", "en"), ("cancel", 7)]
        assert [type(event) for event in call.script.events] == [on.DigitPressed, on.SpeechFailed]
        assert [type(event) for _, event, _ in call.steps] == [on.DigitPressed, on.SpeechFailed]

    async def test_peers_talk_to_the_conversation(self, call: Call) -> None:
        call.attach()
        call.recognizer.emit(on.TurnStarted())
        call.voice.emit(on.SpeechFinished(1))
        assert call.script.events == [on.StreamStarted(), on.TurnStarted(), on.SpeechFinished(1)]
        assert (call.recognizer.name, call.voice.name) == (INFO.id, INFO.id)

    async def test_what_the_recogniser_told_before_the_stream_comes_after_its_start(self, script: Script) -> None:
        around = peers()
        assert isinstance(around.recognizers, Recognizers)
        warm = WarmRecognizer(around.recognizers)
        around.recognizers.opened[0].emit(on.RecognizerFailed("speech_auth", "no", final=True))
        session = Session(INFO, Policy(), around, KeptRecord(), (), warm)
        assert script.events == []
        assert len(around.recognizers.opened) == 1
        session.attach(Carrier(ScriptedSocket(), "MZ1"))
        assert script.events == [on.StreamStarted(), on.RecognizerFailed("speech_auth", "no", final=True)]
        session.hear(0, b"\x01")
        assert around.recognizers.opened[0].told == [b"\x01"]

    async def test_a_bug_ends_the_call_and_nothing_else(self, call: Call) -> None:
        socket = call.attach()
        call.voice.fails_at_once = True
        call.script.fails_at = on.SpeechFailed
        with capture_logs() as logs:
            call.do(do.Synthesize(1, "a", more=False, voice=None, language=None))
            call.session.take(on.TurnStarted())
            assert call.session.over_for_carrier
            await call.over()
        assert [line["event"] for line in logs] == ["call_failed", "call_ended"]
        assert on.TurnStarted() not in call.script.events
        assert (call.recognizer.told, call.record.closed) == (["abort"], 1)
        await settle()
        assert socket.closed.is_set()

    async def test_an_observer_that_fails_at_the_end_does_not_end_it_twice(self, script: Script) -> None:
        def fail(*_: Any) -> None:
            raise ValueError

        around, record = peers(), KeptRecord()
        session = Session(INFO, Policy(), around, record, (fail,))
        script.answer(on.StreamStopped, do.Close())
        session.take(on.StreamStopped("caller"))
        async with asyncio.timeout(5):
            await session.ended.wait()
        await settle()
        assert record.closed == 1


class TestTheTimer:
    async def test_the_deadline_is_handed_in_when_it_is_due(self, call: Call, clock: Clock) -> None:
        call.script.deadline = clock.now + 5
        call.do()
        await clock.forward(4)
        assert on.DeadlineReached() not in call.script.events
        call.script.deadline = None
        call.script.answer(on.DeadlineReached)
        await clock.forward(2)
        assert call.script.events == [on.DigitPressed("1"), on.DeadlineReached()]
        await clock.forward(10)
        assert len(call.script.events) == 2

    async def test_a_deadline_that_moves_takes_the_timer_along(self, call: Call, clock: Clock) -> None:
        call.script.deadline = clock.now + 3
        call.do()
        call.script.deadline = clock.now + 20
        call.do()
        await clock.forward(10)
        assert on.DeadlineReached() not in call.script.events
        call.script.deadline = clock.now + 2
        call.do()
        await clock.forward(2.5)
        assert on.DeadlineReached() in call.script.events

    async def test_a_deadline_that_stays_keeps_the_timer(self, call: Call, clock: Clock) -> None:
        call.script.deadline = clock.now + 3
        call.do()
        timer = call.session._inbox._timer
        call.do()
        assert timer is not None
        assert call.session._inbox._timer is timer

    async def test_one_that_moves_on_keeps_the_timer_and_rings_in_its_own_time(
        self, call: Call, clock: Clock
    ) -> None:
        call.script.deadline = clock.now + 3
        call.do()
        timer = call.session._inbox._timer
        for later in (4, 5, 6):
            call.script.deadline = clock.now + later
            call.do()
        assert call.session._inbox._timer is timer
        await clock.forward(4)
        assert on.DeadlineReached() not in call.script.events
        await clock.forward(3)
        assert on.DeadlineReached() in call.script.events

    async def test_one_that_is_still_due_rings_again(self, call: Call, clock: Clock) -> None:
        call.script.deadline = clock.now + 1
        call.do()
        await clock.forward(2)
        assert call.script.events.count(on.DeadlineReached()) > 1
        call.script.deadline = None
        call.do()

    async def test_one_that_falls_away_does_not_ring(self, call: Call, clock: Clock) -> None:
        call.script.deadline = clock.now + 3
        call.do()
        call.script.deadline = None
        call.do()
        await clock.forward(5)
        assert on.DeadlineReached() not in call.script.events

    async def test_nothing_rings_after_the_end(self, call: Call, clock: Clock) -> None:
        call.script.deadline = clock.now + 3
        call.do(do.Close())
        await call.over()
        call.session.take(on.TurnStarted())
        await clock.forward(5)
        assert on.DeadlineReached() not in call.script.events


class TestCommands:
    async def test_speech_is_asked_for_with_the_numbers_voice_or_the_replys_own(self, call: Call) -> None:
        call.do(
            do.Synthesize(1, "One ", more=True, voice=None, language=None),
            do.Synthesize(1, "two.", more=False, voice="other", language="de"),
            do.CancelSpeech(1),
        )
        assert call.voice.told == [
            (1, "One ", True, "usual", "en"),
            (1, "two.", False, "other", "de"),
            ("cancel", 1),
        ]

    async def test_the_recogniser_is_told(self, call: Call) -> None:
        call.do(do.ForgetTurn(), do.TuneRecognizer(Tuning(language="de")), do.FinishRecognizer())
        await settle()
        assert call.recognizer.told == ["forget", Tuning(language="de"), "finish"]

    async def test_the_phone_gets_sound_marks_and_clears_and_the_record_what_was_handed_over(
        self, call: Call, clock: Clock
    ) -> None:
        socket = call.attach()
        await clock.forward(2)
        call.do(do.SendAudio(1, b"\x01\x02"), do.SendMark("m1"))
        await settle()
        await clock.forward(1)
        call.do(do.ClearPlayout())
        await settle()
        assert sent(socket) == ["media", "mark", "clear"]
        (kind, at_ms, audio), (other, cleared_ms) = call.record.sound
        assert (kind, audio, other) == ("agent", b"\x01\x02", "cleared")
        assert 2000 <= at_ms < 2900
        assert 3000 <= cleared_ms < 3900

    async def test_without_a_stream_nothing_was_handed_over(self, call: Call) -> None:
        call.do(do.SendAudio(1, b"\x01"), do.SendMark("m1"), do.ClearPlayout())
        assert call.record.sound == []
        assert call.steps != [], "the call lives"

    async def test_leaving_closes_the_stream_and_is_remembered(self, call: Call) -> None:
        socket = call.attach()
        leave = do.LeaveCall("transfer", Transfer("+15550100300"))
        with capture_logs() as logs:
            call.do(do.SendMark("last"), leave)
        await settle()
        assert (sent(socket), socket.closed.is_set()) == (["mark"], True)
        assert call.session.departure is leave
        assert logs == [
            {
                "event": "call_leaving",
                "log_level": "info",
                "call": "c1",
                "sid": "CA1",
                "reason": "transfer",
                "transfer": True,
            }
        ]

    async def test_leaving_without_a_stream_is_remembered_too(self, call: Call) -> None:
        call.do(do.LeaveCall("agent"))
        assert call.session.departure == do.LeaveCall("agent")

    async def test_the_agent_is_asked_with_all_that_is_known(self, call: Call) -> None:
        messages = (do.Message("user", "Hello"),)
        cut = do.Interruption("One", " two")
        call.agent.pieces = [Say("Hi."), HangUp()]
        call.do(do.AskAgent(3, "turn.ended", 2, " Hello", True, cut, messages))
        await settle()
        assert call.agent.questions == [
            Question(
                "turn.ended",
                INFO,
                3,
                turn=2,
                transcript=" Hello",
                speculative=True,
                interrupted=cut,
                messages=messages,
            )
        ]
        assert call.script.events[1:] == [
            on.AgentActed(3, Say("Hi.")),
            on.AgentActed(3, HangUp()),
            on.AgentFinished(3),
        ]
        assert call.session._asking is not None
        assert call.session._asking._answers == {}

    async def test_an_agent_that_fails_is_reported(self, call: Call) -> None:
        call.agent.pieces = [Say("Hi.")]
        call.agent.error = AgentError("it broke", code="agent_crashed")
        call.do(ask(3))
        await settle()
        assert call.script.events[1:] == [
            on.AgentActed(3, Say("Hi.")),
            on.AgentFailed(3, "agent_crashed", "it broke"),
        ]

    async def test_a_reply_that_is_cancelled_stops_the_agents_work(self, call: Call) -> None:
        call.agent.hold = asyncio.Event()
        call.do(ask(3))
        call.do(ask(4))
        await settle()
        call.do(do.CancelReply(3), do.CancelReply(99))
        await settle()
        assert call.agent.left == [3]
        call.agent.hold.set()
        await settle()
        assert [event for event in call.script.events if isinstance(event, on.AgentFinished)] == [
            on.AgentFinished(4)
        ]

    async def test_an_answer_that_is_no_generator_will_do(self, script: Script) -> None:
        class Pieces:
            def __init__(self) -> None:
                self.left = [Say("Hi.")]

            def __aiter__(self) -> Pieces:
                return self

            async def __anext__(self) -> Say:
                if not self.left:
                    raise StopAsyncIteration
                return self.left.pop()

        class Plain:
            def ask(self, question: Question) -> Pieces:
                return Pieces()

            async def close(self) -> None:
                pass

        session = Session(INFO, Policy(), peers(Plain()), KeptRecord())
        script.answer(on.StreamStarted, ask(1))
        session.attach(Carrier(ScriptedSocket(), "MZ1"))
        await settle()
        assert script.events[1:] == [on.AgentActed(1, Say("Hi.")), on.AgentFinished(1)]

    async def test_one_that_can_be_closed_is_closed_when_it_is_cancelled(self, script: Script) -> None:
        closed: list[str] = []

        class Pieces:
            def __aiter__(self) -> Pieces:
                return self

            async def __anext__(self) -> Say:
                await asyncio.Event().wait()
                raise StopAsyncIteration

            async def aclose(self) -> None:
                closed.append("closed")

        class Plain:
            def ask(self, question: Question) -> Pieces:
                return Pieces()

            async def close(self) -> None:
                pass

        session = Session(INFO, Policy(), peers(Plain()), KeptRecord())
        script.answer(on.StreamStarted, ask(1))
        session.attach(Carrier(ScriptedSocket(), "MZ1"))
        await settle()
        script.answer(on.DigitPressed, do.CancelReply(1))
        session.take(on.DigitPressed("1"))
        await settle()
        assert closed == ["closed"]

    async def test_the_agent_is_told_of_the_end_and_its_answer_is_nobodys(self, call: Call) -> None:
        messages = (do.Message("user", "Hello"),)
        call.agent.pieces = [Say("Bye.")]
        call.do(do.TellAgentEnded(9, "caller", 1234, messages))
        await settle()
        assert call.agent.questions == [
            Question("call.ended", INFO, 9, messages=messages, outcome={"reason": "caller", "duration_ms": 1234})
        ]
        assert len(call.script.events) == 1


async def test_a_call_that_is_over_is_kept_by_none_of_its_peers(script: Script) -> None:
    with no_collector():
        around = peers(ScriptedAgent())
        assert isinstance(around.recognizers, Recognizers)
        session = Session(INFO, Policy(), around, KeptRecord())
        session.watch(partial(lambda *_: None, session))  # An observer may know the call.
        carrier = Carrier(ScriptedSocket(), "MZ1")
        session.attach(carrier)
        script.answer(on.StreamStopped, do.TellAgentEnded(1, "caller", 1, ()), do.Close())
        session.detach(carrier, on.StreamStopped("caller"))
        async with asyncio.timeout(5):
            await session.ended.wait()
        await settle()
        gone = weakref.ref(session)
        del session
        assert gone() is None
        around.recognizers.opened[0].emit(on.TurnStarted())  # nor does it hear what still comes
        assert script.events[-1] == on.StreamStopped("caller")
