"""The recording of a call is paused and resumed: by the agent, by an operator, and from its start."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Say, Set
from bridge.conversation.journal import RecordingPaused, RecordingResumed
from bridge.conversation.overheard import Happening, ListenPolicy, Overheard
from bridge.conversation.recording import State
from tests.conversation.playbook import Play

PAUSED = on.OperatorActed((Set(recording="paused"),))
ON = on.OperatorActed((Set(recording="on"),))


def asked(**policy: object) -> tuple[Play, int]:
    play = Play(**policy).start().at(1)
    play.caller_says(" My number is secret.")
    return play, play.did(do.AskAgent)[-1].reply


def switches(play: Play) -> list[object]:
    return [one for _, one in play.done if isinstance(one, do.PauseRecording | do.ResumeRecording)]


def test_an_agent_pauses_and_resumes() -> None:
    play, reply = asked()
    at_ms = round((play.now - 100) * 1000)
    done = play.hears(on.AgentActed(reply, Set(recording="paused")), on.AgentFinished(reply))
    assert do.PauseRecording(at_ms) in done
    play.at(9).caller_says(" That was it.")
    reply = play.did(do.AskAgent)[-1].reply
    later_ms = round((play.now - 100) * 1000)
    assert do.ResumeRecording(later_ms) in play.hears(on.AgentActed(reply, Set(recording="on")))
    assert play.kept(RecordingPaused) == [RecordingPaused(at_ms)]
    assert play.kept(RecordingResumed) == [RecordingResumed(later_ms)]


def test_what_is_so_already_changes_nothing() -> None:
    play, reply = asked()
    play.hears(on.AgentActed(reply, Set(recording="on")))
    play.hears(on.AgentActed(reply, Set(recording="paused")), on.AgentActed(reply, Set(recording="paused")))
    play.hears(PAUSED)
    assert len(switches(play)) == 1


def test_an_answer_that_is_held_pauses_nothing_before_it_is_certain() -> None:
    play = Play().start().at(1)
    play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" Yes."))
    reply = play.did(do.AskAgent)[-1].reply
    play.hears(on.AgentActed(reply, Set(recording="paused")), on.AgentActed(reply, Say("Go on. ")))
    assert switches(play) == []
    play.hears(on.TurnEnded(" Yes."))
    assert len(switches(play)) == 1


def test_an_answer_that_is_dropped_pauses_nothing() -> None:
    play = Play().start().at(1)
    play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" Yes."))
    reply = play.did(do.AskAgent)[-1].reply
    play.hears(on.AgentActed(reply, Set(recording="paused")), on.TurnResumed(), on.TurnEnded(" Yes, but no."))
    play.at(20)
    assert switches(play) == []
    assert play.kept(RecordingPaused) == []


def test_an_operator_need_not_wait_for_the_floor() -> None:
    play = Play().start().at(1)
    play.hears(on.TurnStarted(), on.TurnUpdated(" four five"))
    assert play.hears(PAUSED) == [do.PauseRecording(1000)]
    assert play.at(2.5).hears(ON) == [do.ResumeRecording(2500)]


def test_a_call_that_begins_paused_is_recorded_once_it_is_resumed() -> None:
    play = Play(recording="paused").start()
    assert switches(play) == [do.PauseRecording(0)]
    assert play.entries[:2] == [journal.CallOpened(), RecordingPaused(0)]
    assert play.at(3).hears(ON) == [do.ResumeRecording(3000)]


def test_where_nothing_is_recorded_nothing_is_switched_and_the_agent_is_told_of() -> None:
    play, reply = asked(recording="off")
    play.hears(on.AgentActed(reply, Set(recording="paused")), PAUSED)
    assert play.kept(journal.ProblemMet) == []
    play.hears(on.AgentActed(reply, Set(recording="on")))
    assert switches(play) == []
    assert [problem.code for problem in play.kept(journal.ProblemMet)] == ["recording_off"]


@pytest.mark.parametrize("begins", ["on", "paused", "off"])
def test_two_people(begins: State) -> None:
    heard = Overheard(ListenPolicy(recording=begins))
    assert heard.handle(PAUSED, 9.0) == []
    happens: list[Happening] = [on.StreamStarted(), PAUSED, ON]
    steps = [heard.handle(event, 10.0 + 1.25 * number) for number, event in enumerate(happens)]
    switched = [[type(one).__name__ for one in step] for step in steps]
    paused, resumed = ["PauseRecording", "Record"], ["ResumeRecording", "Record"]
    assert (
        switched
        == {
            "on": [["Record"], paused, resumed],
            "paused": [["Record", *paused], [], resumed],
            "off": [["Record"], [], []],
        }[begins]
    )
    if begins != "off":
        assert steps[2][0] == do.ResumeRecording(2500)
    assert heard.recording == ("off" if begins == "off" else "on")
