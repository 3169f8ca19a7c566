"""Messages that callers leave: when they begin and end, and what belongs to them."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, RecordMessage, Say
from tests.conversation.playbook import Play

PROMPT = "Please leave a message."


def asked_for(wanted: RecordMessage, *, heard: bool = True, interruptible: bool = False) -> Play:
    """An agent that wants a message; its sentence of two seconds is over at 3.2, or has begun."""
    play = Play(silence_s=15.0).start().at(1)
    play.caller_says(" Nobody there?")
    reply = play.did(do.AskAgent)[-1].reply
    play.hears(
        on.AgentActed(reply, Say(PROMPT, interruptible=interruptible)),
        on.AgentActed(reply, wanted),
        on.AgentFinished(reply),
    )
    play.speech_arrives(1, PROMPT, 2.0)
    if heard:
        play.at(3.2).marks_return()
    return play


def told(play: Play) -> list[str]:
    return [ask.transcript for ask in play.did(do.AskAgent) if ask.occasion == "message"]


def left(play: Play) -> journal.MessageLeft:
    (entry,) = play.kept(journal.MessageLeft)
    assert isinstance(entry, journal.MessageLeft)
    return entry


def says(play: Play, text: str, since: float, until: float) -> None:
    play.at(since).hears(on.TurnStarted(), on.TurnUpdated(text))
    play.at(until).hears(on.TurnEnded(text))


def test_it_is_over_when_the_caller_is_silent_and_the_agent_learns_the_words() -> None:
    play = asked_for(RecordMessage(silence_s=4.0))
    says(play, " This is Ann.", 4.0, 5.0)
    says(play, " Call me back.", 7.0, 8.0)
    play.at(11.9)
    assert told(play) == []
    play.at(12.0)
    assert told(play) == [" This is Ann. Call me back."]
    assert left(play) == journal.MessageLeft(1, " This is Ann. Call me back.", 3200, 12000)
    assert play.did(do.AskAgent)[-1].messages[-1] == do.Message("user", "This is Ann. Call me back.")


def test_nothing_is_asked_or_said_meanwhile() -> None:
    play = asked_for(RecordMessage(max_s=100.0, silence_s=20.0))
    asked = len(play.did(do.AskAgent))
    play.at(4).hears(on.TurnStarted(), on.TurnUpdated(" Well"), on.TurnEagerlyEnded(" Well"))
    play.at(4.5).hears(on.TurnResumed())
    play.at(6).hears(on.TurnEnded(" Well, it is me."))
    play.at(24)  # The caller of a call without a message would have been asked by now.
    assert len(play.did(do.AskAgent)) == asked
    assert len(play.did(do.Synthesize)) == 1


def test_a_caller_who_says_nothing_has_left_an_empty_message() -> None:
    play = asked_for(RecordMessage(silence_s=4.0)).at(7.1)
    assert told(play) == []
    play.at(7.2)
    assert told(play) == [""]
    assert left(play).transcript == ""


def test_noise_is_no_part_of_it_and_does_not_keep_it_open() -> None:
    play = asked_for(RecordMessage(silence_s=4.0)).at(6)
    play.hears(on.TurnStarted())
    play.at(8.9)
    assert told(play) == []  # It could still become words,
    play.at(9)
    assert told(play) == [""]  # and did not.


def test_noise_does_not_make_it_last() -> None:
    play = asked_for(RecordMessage(silence_s=4.0))
    says(play, "", 5.0, 6.0)
    play.at(7.2)
    assert told(play) == [""]


def test_a_key_ends_it_and_is_not_told() -> None:
    play = asked_for(RecordMessage(terminator="*"))
    says(play, " Call me back.", 4.0, 5.0)
    play.at(5.5).hears(on.DigitPressed("7"))
    assert told(play) == []
    play.hears(on.DigitPressed("*"))
    assert told(play) == [" Call me back."]
    assert left(play).to_ms == 5500
    play.at(9)
    assert [ask.occasion for ask in play.did(do.AskAgent)].count("digits") == 0


def test_the_longest_message_ends_and_its_open_turn_belongs_to_it() -> None:
    play = asked_for(RecordMessage(max_s=10.0))
    play.at(4).hears(on.TurnStarted(), on.TurnUpdated(" On and"))
    play.at(14).hears(on.TurnUpdated(" On and on"))
    assert told(play) == []  # Its last words are waited for.
    play.at(15.1).hears(on.TurnUpdated(" On and on and on"))
    play.at(16.2)
    assert told(play) == [" On and on and on"]
    assert left(play).to_ms == 13200
    assert play.kept(journal.CallerSpoke)[-1].incomplete


def test_the_last_words_before_the_key_are_waited_for() -> None:
    play = asked_for(RecordMessage())
    play.at(4).hears(on.TurnStarted(), on.TurnUpdated(" Call me"))
    play.at(5).hears(on.DigitPressed("#"))
    assert told(play) == []
    play.at(5.4).hears(on.TurnEnded(" Call me back."))
    assert told(play) == [" Call me back."]
    assert left(play).to_ms == 5000


def test_words_that_a_slow_recogniser_tells_only_after_the_key_are_waited_for() -> None:
    play = asked_for(RecordMessage())
    play.at(4).hears(on.TurnStarted())
    play.at(6).hears(on.DigitPressed("#"))
    play.at(8.7)
    assert told(play) == []  # It looked like noise since 7.
    play.hears(on.TurnEnded(" Call me back."))
    assert told(play) == [" Call me back."]


def test_noise_at_the_key_is_not_waited_for_longer_than_words() -> None:
    play = asked_for(RecordMessage())
    play.at(4).hears(on.TurnStarted())
    play.at(6).hears(on.DigitPressed("#"))
    play.at(9)
    assert told(play) == [""]


def test_a_message_that_ends_with_the_call_is_kept_with_its_last_words() -> None:
    play = asked_for(RecordMessage())
    play.at(4).hears(on.TurnStarted(), on.TurnUpdated(" Call me"))
    play.at(5).hears(on.StreamStopped("caller"))
    play.at(5.5).hears(on.TurnEnded(" Call me back."), on.RecognizerClosed())
    assert left(play) == journal.MessageLeft(1, " Call me back.", 3200, 5000)
    assert told(play) == []
    assert play.did(do.TellAgentEnded)[0].messages[-1] == do.Message("user", "Call me back.")
    assert isinstance(play.entries[-1], journal.CallClosed)


def test_what_is_said_over_the_prompt_is_the_beginning_of_it() -> None:
    play = asked_for(RecordMessage(silence_s=4.0), heard=False)
    says(play, " Hello, Ann here.", 2.0, 2.5)
    play.at(3.2).marks_return()
    says(play, " Call me back.", 4.0, 5.0)
    play.at(9)
    assert told(play) == [" Hello, Ann here. Call me back."]
    assert left(play).from_ms == 2000


@pytest.mark.parametrize("interruptible", [True, False])
def test_a_key_over_the_prompt_skips_what_may_be_skipped(interruptible: bool) -> None:
    play = asked_for(RecordMessage(silence_s=4.0), heard=False, interruptible=interruptible)
    commands = play.at(2).hears(on.DigitPressed("#"))
    assert (do.ClearPlayout() in commands) is interruptible
    play.at(3.2).marks_return()
    says(play, " Call me back.", 4.0, 5.0)
    play.at(9)
    assert told(play) == [" Call me back."]
    assert not play.kept(journal.AgentSpoke)[-1].interrupted


def test_after_it_the_call_goes_on_as_before() -> None:
    play = asked_for(RecordMessage(silence_s=4.0)).at(7.2)
    play.agent_says("Thank you.", seconds=1.0)
    play.at(8.4).marks_return()
    play.at(9).caller_says(" One more thing.")
    assert play.did(do.AskAgent)[-1].transcript == " One more thing."
    reply = play.did(do.AskAgent)[-1].reply
    play.hears(on.AgentActed(reply, RecordMessage(silence_s=1.0)), on.AgentFinished(reply))
    play.at(12)
    assert [entry.number for entry in play.kept(journal.MessageLeft)] == [1, 2]


def test_a_caller_who_goes_on_after_it_asks_something_else() -> None:
    play = asked_for(RecordMessage(silence_s=4.0))
    says(play, " Call me back.", 4.0, 5.0)
    play.at(9).caller_says(" Are you there?")
    assert play.did(do.AskAgent)[-1].transcript == " Are you there?"


def test_an_outage_is_told_after_it() -> None:
    play = asked_for(RecordMessage(silence_s=12.0))
    play.at(4).hears(on.TurnStarted(), on.TurnUpdated(" Call"), on.RecognizerLost("speech_unreachable", "gone"))
    play.at(14)
    assert len(play.did(do.Synthesize)) == 1
    play.at(30)
    assert told(play) == [" Call"]


def test_an_agent_that_wants_the_floor_waits_for_its_end() -> None:
    play = asked_for(RecordMessage(silence_s=4.0))
    play.at(4).hears(on.FloorWanted())
    play.at(7.1)
    assert play.did(do.AskAgent)[-1].occasion == "turn.ended"
    play.at(7.2)
    assert told(play) == [""]


def test_it_is_the_last_of_an_answer() -> None:
    play = Play().start().at(1)
    play.caller_says(" Nobody there?")
    reply = play.did(do.AskAgent)[-1].reply
    for action in (RecordMessage(silence_s=1.0), HangUp()):
        play.hears(on.AgentActed(reply, action))
    play.hears(on.AgentFinished(reply))
    play.at(2)
    assert told(play) == [""]
    assert play.did(do.LeaveCall) == []
