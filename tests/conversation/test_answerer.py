"""Who answered a call of ours: people are talked to, machines are left a message."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import GatherDigits, HangUp, Say, Transfer
from tests.conversation.playbook import Play

MESSAGE = "This is the clinic. Please call us back."
GREETING = "Hello, this is the clinic, am I speaking to Jo?"
MACHINES = ("machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other")


def greeted(**policy: object) -> Play:
    """A call whose agent is in the middle of a greeting of four seconds, of which one was heard."""
    play = Play(**{"voicemail": MESSAGE, **policy})
    play.hears(on.StreamStarted())
    play.agent_says(GREETING, seconds=4)
    return play.at(1.0)


def message_arrives(play: Play, seconds: float = 3.0) -> None:
    play.speech_arrives(play.did(do.Synthesize)[-1].utterance, MESSAGE, seconds)


def masked(play: Play) -> bool:
    return play.conversation.masked


def spoken(play: Play) -> list[journal.AgentSpoke]:
    return play.kept(journal.AgentSpoke)


@pytest.mark.parametrize("kind", ["human", "unknown"])
def test_people_hear_the_agent_go_on(kind: str) -> None:
    play = greeted()
    assert play.hears(on.AnswererKnown(kind)) == []
    assert play.kept(journal.AnswererTold) == [journal.AnswererTold(1000, kind)]
    play.at(4.4).marks_return()
    assert spoken(play)[0].heard == GREETING
    assert not spoken(play)[0].interrupted
    play.caller_says("Yes, speaking.")
    assert play.did(do.AskAgent)[-1].transcript == "Yes, speaking."


@pytest.mark.parametrize("kind", MACHINES)
def test_a_machine_in_mid_greeting_is_left_the_message_whole_and_then_hung_up_on(kind: str) -> None:
    play = greeted()
    commands = play.hears(on.AnswererKnown(kind))
    assert commands[0] == do.ClearPlayout()
    (speech,) = [command for command in commands if isinstance(command, do.Synthesize)]
    assert (speech.text, speech.more) == (MESSAGE, False)
    message_arrives(play)
    play.at(4.5)
    assert play.did(do.LeaveCall) == []
    play.marks_return()
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]
    cut, message = spoken(play)
    assert cut.interrupted
    assert cut.unheard
    assert (message.heard, message.interrupted) == (MESSAGE, False)


def test_it_is_not_hung_up_before_the_last_word_was_heard() -> None:
    play = greeted()
    play.hears(on.AnswererKnown("machine_end_beep"))
    utterance = play.did(do.Synthesize)[-1].utterance
    play.hears(on.SpeechArrived(utterance, b"a" * 8000))
    play.at(2.5).marks_return()
    assert play.did(do.LeaveCall) == []
    play.hears(on.SpeechArrived(utterance, b"a" * 8000), on.SpeechFinished(utterance))
    play.at(3.0)
    assert play.did(do.LeaveCall) == []
    play.at(4.0).marks_return()
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]


def test_without_a_message_a_machine_is_hung_up_on_at_once() -> None:
    play = greeted(voicemail="")
    commands = play.hears(on.AnswererKnown("machine_start"))
    assert commands[-1] == do.LeaveCall("machine")
    assert do.ClearPlayout() in commands


def test_a_fax_is_hung_up_on_even_if_there_is_a_message() -> None:
    play = greeted()
    assert play.hears(on.AnswererKnown("fax"))[-1] == do.LeaveCall("fax")
    assert spoken(play)[-1].interrupted


def test_what_the_machine_says_neither_cuts_the_message_nor_is_answered() -> None:
    play = greeted()
    play.hears(on.TurnStarted(), on.TurnUpdated("You have reached Jo."))
    play.hears(on.AnswererKnown("machine_end_other"))
    asked = len(play.did(do.AskAgent))
    play.hears(on.TurnUpdated("You have reached Jo. Please leave a message."))
    message_arrives(play)
    play.at(1.5).hears(
        on.TurnEagerlyEnded("You have reached Jo. Please leave a message."),
        on.TurnEnded("You have reached Jo. Please leave a message."),
        on.DigitPressed("1"),
        on.TurnStarted(),
        on.TurnUpdated("If you are satisfied, press one."),
    )
    play.at(5).marks_return()
    assert play.did(do.ClearPlayout) == [do.ClearPlayout()]
    assert len(play.did(do.AskAgent)) == asked
    assert spoken(play)[-1].heard == MESSAGE
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]
    play.hears(on.StreamStopped("agent"), on.RecognizerClosed())
    assert {message.role for message in play.did(do.TellAgentEnded)[0].messages} == {"assistant"}


def test_an_answer_that_is_under_way_is_given_up() -> None:
    play = Play(voicemail=MESSAGE).start().at(1)
    play.caller_says("You have reached Jo.")
    reply = play.did(do.AskAgent)[-1].reply
    commands = play.hears(on.AnswererKnown("machine_end_beep"))
    assert do.CancelReply(reply) in commands
    play.hears(on.AgentActed(reply, Say("Hello Jo!")), on.AgentFinished(reply))
    assert [command.text for command in play.did(do.Synthesize)] == [MESSAGE]


def test_an_answer_prepared_for_the_machine_is_dropped() -> None:
    play = Play(voicemail=MESSAGE).start().at(1)
    play.hears(
        on.TurnStarted(), on.TurnUpdated("You have reached Jo."), on.TurnEagerlyEnded("You have reached Jo.")
    )
    reply = play.did(do.AskAgent)[-1].reply
    assert do.CancelReply(reply) in play.hears(on.AnswererKnown("machine_end_beep"))
    assert len(play.kept(journal.SpeculationDropped)) == 1
    play.hears(on.TurnEnded("You have reached Jo."))
    message_arrives(play)
    play.at(5).marks_return()
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]
    assert len(play.did(do.AskAgent)) == 2


def test_words_that_wait_for_an_answer_do_not_get_one() -> None:
    play = greeted(barge_in="never")
    play.caller_says("You have reached Jo.")
    play.hears(on.AnswererKnown("machine_end_beep"))
    message_arrives(play)
    play.at(5).marks_return()
    assert len(play.did(do.AskAgent)) == 1
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]


def test_what_an_operator_wanted_to_say_to_somebody_is_not_said_to_a_machine() -> None:
    play = greeted()
    play.hears(on.TurnStarted(), on.OperatorActed((Say("Hello?"), HangUp())))
    play.hears(on.AnswererKnown("machine_end_beep"))
    message_arrives(play)
    play.at(4.5)  # By then the sound without words would no longer be waited for.
    assert [speech.text for speech in play.did(do.Synthesize)][1:] == [MESSAGE]
    play.marks_return()
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]
    assert spoken(play)[-1].heard == MESSAGE


def test_what_an_operator_says_to_a_machine_stands_behind_the_message() -> None:
    play = greeted()
    play.hears(on.AnswererKnown("machine_end_beep"))
    message_arrives(play)
    assert play.at(2.0).hears(on.TurnStarted(), on.OperatorActed((Say("Jo, it is urgent."),))) == []
    play.at(4.5).marks_return()
    assert play.did(do.LeaveCall) == []
    speech = play.did(do.Synthesize)[-1]
    assert speech.text == "Jo, it is urgent."
    play.speech_arrives(speech.utterance, speech.text, 1.0)
    play.at(6.0).marks_return()
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]
    assert [spoke.heard for spoke in spoken(play)][1:] == [MESSAGE, "Jo, it is urgent."]


def test_an_operator_may_hang_up_on_a_machine_in_the_message() -> None:
    play = greeted()
    play.hears(on.AnswererKnown("machine_end_beep"))
    message_arrives(play)
    play.at(2.0).hears(on.OperatorActed((HangUp(),)))
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]


def test_whom_an_operator_passes_on_is_no_machine() -> None:
    play = greeted()
    play.hears(on.AnswererKnown("machine_end_beep"))
    message_arrives(play)
    play.at(2.0).hears(on.OperatorActed((Say("One moment."), Transfer("+15550100009"))))
    speech = play.did(do.Synthesize)[-1]
    assert speech.text == "One moment."
    play.speech_arrives(speech.utterance, speech.text, 1.0)
    play.at(4.0).marks_return()
    assert [leave.reason for leave in play.did(do.LeaveCall)] == ["transfer"]
    assert [told.kind for told in play.kept(journal.AnswererTold)] == ["machine_end_beep", "human"]


def test_keys_that_were_asked_for_are_not_awaited_of_a_machine() -> None:
    play = Play(voicemail=MESSAGE)
    play.hears(on.StreamStarted())
    reply = play.did(do.AskAgent)[-1].reply
    play.hears(on.AgentActed(reply, GatherDigits(length=4, masked=True)), on.AgentFinished(reply))
    assert masked(play)
    play.hears(on.AnswererKnown("machine_end_beep"))
    assert not masked(play)
    message_arrives(play)
    play.at(60).marks_return()
    assert [ask.occasion for ask in play.did(do.AskAgent)] == ["call.started"]


def test_nobody_is_called_any_more_for_a_caller_who_is_a_machine() -> None:
    play = Play(voicemail=MESSAGE, warm=True).start().at(1)
    play.caller_says("You have reached Jo.")
    reply = play.did(do.AskAgent)[-1].reply
    play.hears(on.AgentActed(reply, Transfer("+15550100009", "A caller.")), on.AgentFinished(reply))
    assert len(play.did(do.CallOther)) == 1
    assert do.CancelOther() in play.hears(on.AnswererKnown("machine_end_beep"))
    play.hears(on.TransferEnded("busy"), on.OtherAccepted("room"))
    message_arrives(play)
    play.at(5).marks_return()
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]
    assert len(play.did(do.AskAgent)) == 2


def test_a_verdict_that_comes_before_the_stream_counts_once_it_is_there() -> None:
    play = Play(voicemail=MESSAGE, greeting=GREETING)
    assert play.hears(on.AnswererKnown("machine_end_beep")) == []
    assert play.entries == []
    play.at(1).hears(on.StreamStarted())
    assert play.kept(journal.AnswererTold) == [journal.AnswererTold(0, "machine_end_beep")]
    assert [speech.text for speech in play.did(do.Synthesize)] == [MESSAGE]
    assert play.did(do.AskAgent) == []


def test_only_the_first_verdict_counts() -> None:
    play = greeted()
    play.hears(on.AnswererKnown("human"))
    assert play.hears(on.AnswererKnown("machine_end_beep")) == []
    play.at(4.4).marks_return()
    assert len(play.kept(journal.AnswererTold)) == 1
    assert play.did(do.LeaveCall) == []


def test_the_carriers_own_voice_leaves_the_message_when_ours_fails() -> None:
    play = greeted()
    play.hears(on.AnswererKnown("machine_end_beep"))
    play.hears(on.SpeechFailed(play.did(do.Synthesize)[-1].utterance, "speech_server", "no"))
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail", farewell=MESSAGE)]


def test_a_stream_that_breaks_in_the_middle_of_the_message_is_told_the_rest() -> None:
    play = greeted()
    play.hears(on.AnswererKnown("machine_end_beep"))
    message_arrives(play)
    play.at(2).hears(on.StreamLost())
    play.at(3).hears(on.StreamStarted())
    play.at(7).marks_return()
    assert spoken(play)[-1].heard == MESSAGE
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]


def test_the_message_is_left_where_calls_are_only_transcribed() -> None:
    play = Play(agent=False, voicemail=MESSAGE)
    play.hears(on.StreamStarted(), on.AnswererKnown("machine_end_beep"))
    message_arrives(play)
    play.at(4).marks_return()
    assert play.did(do.LeaveCall) == [do.LeaveCall("voicemail")]


def test_the_agent_is_told_why_the_call_ended() -> None:
    play = greeted()
    play.hears(on.AnswererKnown("machine_end_beep"))
    message_arrives(play)
    play.at(5).marks_return()
    play.hears(on.StreamStopped("agent"), on.RecognizerClosed())
    assert play.did(do.TellAgentEnded)[0].reason == "voicemail"
    assert play.kept(journal.CallClosed)[0].reason == "voicemail"
