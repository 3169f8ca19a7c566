"""Scenes of calls: what happens when, against what the conversation orders."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Note, Say, Transfer
from bridge.conversation.journal import AgentSpoke, CallerSpoke
from tests.conversation.playbook import Play

LONG = "We are open from nine to six on weekdays and from ten to four on Saturdays."
"""Fifteen words; the scenes let it last seven and a half seconds, two words a second."""


def kinds(commands: list[do.Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def speaking() -> Play:
    """A call in which the agent has begun its long answer two seconds ago, and two seconds of it were heard."""
    play = Play().start().at(1)
    play.caller_says("When are you open?")
    play.agent_says(LONG, seconds=7.5)
    play.at(3.25).marks_return(4)  # The latency that is assumed has passed, and half a second a mark.
    return play


class TestOpening:
    def test_a_call_begins_with_a_question_to_the_agent(self) -> None:
        play = Play()
        (ask,) = play.hears(on.StreamStarted())
        assert ask == do.AskAgent(1, "call.started", 0, "", False, None, ())

    def test_the_greeting_does_not_wait_for_the_agent(self) -> None:
        play = Play(greeting="Hello, Riverside Bikes.")
        commands = play.hears(on.StreamStarted())
        assert do.Synthesize(1, "Hello, Riverside Bikes.", False, None, None) in commands
        assert commands[-1] == do.AskAgent(1, "call.started", 0, "", False, None, ())

    def test_without_an_agent_nothing_is_asked_and_turns_are_kept(self) -> None:
        play = Play(agent=False)
        assert play.hears(on.StreamStarted()) == []
        play.at(60).caller_says("Just talking.")
        play.at(120)
        assert play.did(do.AskAgent) == play.did(do.Synthesize) == []
        assert [entry.transcript for entry in play.kept(CallerSpoke)] == ["Just talking."]

    def test_a_second_start_changes_nothing(self) -> None:
        play = Play().start()
        assert play.hears(on.StreamStarted()) == []


class TestAnswering:
    def test_the_agent_is_asked_at_the_end_of_the_turn_and_its_answer_is_spoken(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated(" When are"))
        (ask,) = play.hears(on.TurnEnded(" When are you open?"))
        assert (ask.transcript, ask.turn, ask.speculative) == (" When are you open?", 1, False)
        assert ask.messages == (do.Message("user", "When are you open?"),)
        (speak,) = play.hears(on.AgentActed(ask.reply, Say("At nine. At")))
        assert speak == do.Synthesize(1, "At nine.", True, None, None)
        (speak,) = play.hears(on.AgentFinished(ask.reply))
        assert speak == do.Synthesize(1, " At", False, None, None)

    def test_audio_goes_out_ahead_of_the_phone_by_the_lead_with_a_mark_each_segment(self) -> None:
        play = Play(lead_s=2.0, segment_s=0.5, latency_s=0.0).start().at(1)
        play.caller_says("Hello.")
        play.agent_says(LONG, seconds=7.5)
        assert sum(len(c.audio) for c in play.did(do.SendAudio)) == 16000
        assert [m.name for m in play.did(do.SendMark)] == ["1.1", "1.2", "1.3", "1.4"]
        play.at(3)
        assert sum(len(c.audio) for c in play.did(do.SendAudio)) == 32000

    def test_the_reply_is_over_when_the_last_mark_is_back_and_not_before(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Hello.")
        play.agent_says("Hi there.", seconds=0.75)
        play.at(2)
        assert play.kept(AgentSpoke) == []
        play.marks_return()
        (spoke,) = play.kept(AgentSpoke)
        assert (spoke.heard, spoke.unheard, spoke.interrupted) == ("Hi there.", "", False)

    def test_a_lost_last_mark_is_survived_by_the_clock(self) -> None:
        play = Play(latency_s=0.25, mark_grace_s=1.5).start().at(1)
        play.caller_says("Hello.")
        play.agent_says("Hi there.", seconds=0.75)
        play.at(1 + 0.25 + 0.75 + 1.4)
        assert play.kept(AgentSpoke) == []
        play.at(1 + 0.25 + 0.75 + 1.5)
        assert [entry.heard for entry in play.kept(AgentSpoke)] == ["Hi there."]

    def test_the_heard_answer_stands_in_the_next_questions_messages(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Hello.")
        play.agent_says("Hi there.", seconds=0.5)
        play.at(2).marks_return()
        play.caller_says(" Bye.")
        assert play.did(do.AskAgent)[-1].messages == (
            do.Message("user", "Hello."),
            do.Message("assistant", "Hi there."),
            do.Message("user", "Bye."),
        )

    def test_what_stands_behind_the_words_waits_until_they_were_heard(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Bye.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("Good-bye.")), on.AgentActed(reply, HangUp()))
        play.hears(on.AgentFinished(reply))
        play.speech_arrives(1, "Good-bye.", 0.5)
        assert play.did(do.LeaveCall) == []
        assert do.LeaveCall("agent") in play.marks_return()

    def test_a_transfer_names_where_to(self) -> None:
        play = Play().start().at(1)
        play.caller_says("A human, please.")
        reply = play.did(do.AskAgent)[-1].reply
        commands = play.hears(on.AgentActed(reply, Transfer("+15550100200")), on.AgentFinished(reply))
        assert do.LeaveCall("transfer", Transfer("+15550100200")) in commands

    def test_a_note_is_kept_even_if_the_words_around_it_are_cut(self) -> None:
        play = speaking()
        reply = play.did(do.AskAgent)[-1].reply
        play.at(3.5).caller_says(" Wait.")
        assert play.did(do.AskAgent)[-1].reply == reply + 1
        play.hears(on.AgentActed(reply + 1, Note({"name": "Ann"})), on.AgentActed(reply + 1, Say("Noted. Ann.")))
        play.hears(on.TurnStarted(), on.TurnUpdated(" No"))
        assert [entry.data for entry in play.kept(journal.NoteTaken)] == [{"name": "Ann"}]

    def test_an_answer_of_nothing_is_an_answer(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Hm.")
        reply = play.did(do.AskAgent)[-1].reply
        assert play.hears(on.AgentFinished(reply)) == []
        assert [(e.heard, e.unheard) for e in play.kept(AgentSpoke)] == [("", "")]

    def test_a_caller_who_goes_on_before_the_answer_gets_one_answer_to_both_halves(self) -> None:
        play = Play().start().at(1)
        play.caller_says("I'd like to book")
        first = play.did(do.AskAgent)[-1]
        play.at(1.5)
        assert play.hears(on.TurnStarted()) == []
        assert do.CancelReply(first.reply) in play.hears(on.TurnUpdated(" for"))
        (ask,) = play.hears(on.TurnEnded(" for Thursday."))
        assert (ask.transcript, ask.interrupted) == ("I'd like to book for Thursday.", None)

    def test_text_that_stops_in_mid_sentence_is_spoken_after_a_pause(self) -> None:
        play = Play(text_pause_s=0.5).start().at(1)
        play.caller_says("Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("One moment please")))
        assert play.did(do.Synthesize) == []
        play.at(1.5)
        assert play.did(do.Synthesize) == [do.Synthesize(1, "One moment please", False, None, None)]
        (speak,) = play.hears(on.AgentActed(reply, Say(", here it is. ")))
        assert speak == do.Synthesize(2, ", here it is.", True, None, None)

    def test_late_pieces_of_a_cancelled_reply_yield_nothing(self) -> None:
        play = speaking()
        old = play.did(do.AskAgent)[-1].reply
        play.at(3.5).caller_says(" Stop.")
        assert play.hears(on.AgentActed(old, Say("more.")), on.AgentFinished(old)) == []
        assert play.hears(on.SpeechArrived(1, b"x" * 800), on.SpeechFinished(1)) == []

    def test_spaces_between_pieces_are_kept(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(
            *(on.AgentActed(reply, Say(text)) for text in (" ", "One. ", " ", "Two.")), on.AgentFinished(reply)
        )
        assert "".join(piece.text for piece in play.did(do.Synthesize)) == " One.  Two."
        play.speech_arrives(1, "One. Two.", 0.5)
        play.at(3).marks_return()
        assert play.kept(AgentSpoke)[0].heard == " One.  Two."

    def test_audio_behind_the_end_of_an_utterance_is_not_played(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Hello.")
        play.agent_says("Hi.", seconds=0.5)
        assert play.hears(on.SpeechArrived(1, b"x" * 800)) == []


class TestBargeIn:
    def test_an_action_waits_while_the_caller_makes_a_sound(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Bye.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.TurnStarted())
        assert play.hears(on.AgentActed(reply, HangUp()), on.AgentFinished(reply)) == []
        assert do.LeaveCall("agent") in play.hears(on.TurnEnded(""))

    def test_words_over_a_wordless_hang_up_are_answered_first(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Bye.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.TurnStarted(), on.AgentActed(reply, HangUp()), on.AgentFinished(reply))
        play.hears(on.TurnUpdated(" Wait, one"), on.TurnEnded(" Wait, one more thing."))
        assert play.did(do.LeaveCall) == []
        assert play.did(do.AskAgent)[-1].transcript.endswith(" Wait, one more thing.")

    def test_the_first_moments_of_an_answer_are_protected_from_a_backchannel_too(self) -> None:
        play = Play().start().at(1)
        play.caller_says("When are you open?")
        play.agent_says(LONG, seconds=7.5)
        play.at(1.1)
        assert play.hears(on.TurnStarted()) == [do.ClearPlayout()]
        assert "SendAudio" in kinds(play.hears(on.TurnEnded(" Uh-huh.")))
        assert len(play.kept(journal.AgentSilenced)) == len(play.kept(journal.AgentResumed)) == 1

    def test_an_interruption_is_told_once(self) -> None:
        play = speaking()
        play.caller_says(" Wait.")
        assert play.did(do.AskAgent)[-1].interrupted is not None
        play.agent_says("Yes?", seconds=0.5)
        play.at(5).marks_return()
        play.caller_says(" Go on.")
        assert play.did(do.AskAgent)[-1].interrupted is None

    def test_turn_start_silences_the_agent_at_once_and_words_cancel_it(self) -> None:
        play = speaking()
        assert play.hears(on.TurnStarted()) == [do.ClearPlayout()]
        play.at(3.75)
        assert play.hears(on.TurnUpdated(" What")) == []  # The answer and its speech had arrived in full.
        (spoke,) = play.kept(AgentSpoke)
        assert spoke.interrupted
        assert (spoke.heard, spoke.unheard) == ("We are open from", LONG.removeprefix("We are open from"))
        (ask,) = play.hears(on.TurnEnded(" What about Sunday?"))
        assert ask.interrupted == do.Interruption(spoke.heard, spoke.unheard)
        assert ask.messages[-2:] == (
            do.Message("assistant", "We are open from"),
            do.Message("user", "What about Sunday?"),
        )

    def test_an_answer_still_being_made_is_cancelled_with_its_speech(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Tell me a story.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("Once upon a time. ")), on.SpeechArrived(1, b"a" * 8000))
        play.at(1.5)
        play.hears(on.TurnStarted())
        commands = play.hears(on.TurnUpdated(" No"))
        assert commands == [do.CancelReply(reply), do.CancelSpeech(1)]

    def test_nothing_more_is_sent_while_the_caller_speaks(self) -> None:
        play = speaking()
        play.hears(on.TurnStarted())
        before = len(play.did(do.SendAudio))
        play.at(4.5)
        assert len(play.did(do.SendAudio)) == before

    def test_a_turn_without_words_is_a_false_alarm_and_the_agent_goes_on_at_the_word_it_was_cut_in(self) -> None:
        play = speaking()
        play.hears(on.TurnStarted())
        play.at(4)
        commands = play.hears(on.TurnEnded(""))
        sent = b"".join(c.audio for c in commands if isinstance(c, do.SendAudio))
        assert sent[: 8 * 2000] == b"a" * 8 * 2000
        assert len(play.kept(journal.AgentResumed)) == 1
        assert play.did(do.AskAgent)[-1].turn == 1, "noise is no question"
        total = sum(len(c.audio) for c in play.did(do.SendAudio))
        play.at(30).marks_return()
        play.at(60)
        assert total > 0
        assert next((e.heard, e.unheard) for e in play.kept(AgentSpoke)) == (LONG, "")

    @pytest.mark.parametrize("said", ["Uh-huh.", "mm-hmm", " Okay!"])
    def test_a_backchannel_is_kept_and_does_not_interrupt(self, said: str) -> None:
        play = speaking()
        play.hears(on.TurnStarted(), on.TurnUpdated(said))
        commands = play.hears(on.TurnEnded(said))
        assert "SendAudio" in kinds(commands)
        assert [(e.transcript, e.meaning) for e in play.kept(CallerSpoke)][-1] == (said, "backchannel")
        assert play.did(do.AskAgent)[-1].turn == 1

    def test_a_backchannel_over_the_last_word_is_an_answer(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Hello.")
        play.agent_says("Shall we go on?", seconds=2.0)
        play.at(2.9).marks_return(3)
        play.at(3.0)
        play.hears(on.TurnStarted())
        (ask,) = play.hears(on.TurnEnded(" Okay."))
        assert ask.transcript == " Okay."

    def test_a_sound_that_goes_on_without_words_does_not_keep_the_agent_silent(self) -> None:
        play = speaking()
        play.hears(on.TurnStarted())
        sent = len(play.did(do.SendAudio))
        play.at(3.25 + 2.9)
        assert len(play.did(do.SendAudio)) == sent
        play.at(3.25 + 3.0)
        assert len(play.did(do.SendAudio)) > sent
        assert play.hears(on.TurnUpdated(" Hey you"))[0] == do.ClearPlayout()

    def test_a_second_false_alarm_during_resumed_speech_works_the_same(self) -> None:
        play = speaking()
        play.hears(on.TurnStarted(), on.TurnEnded(""))
        play.at(3.6)
        assert play.hears(on.TurnStarted()) == [do.ClearPlayout()]
        assert "SendAudio" in kinds(play.hears(on.TurnEnded("")))

    def test_marks_that_a_clear_returns_were_not_heard(self) -> None:
        play = speaking()
        play.hears(on.TurnStarted())
        play.marks_return()
        play.hears(on.TurnUpdated(" What"))
        assert play.kept(AgentSpoke)[0].heard == "We are open from"

    def test_speech_that_must_not_be_cut_is_not_cut_and_the_caller_is_answered_after_it(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Hello.")
        play.agent_says("This call is recorded.", seconds=2.0, interruptible=False)
        play.at(1.5)
        assert play.hears(on.TurnStarted(), on.TurnUpdated(" Why?"), on.TurnEnded(" Why?")) == []
        play.at(3.5)
        (ask,) = play.marks_return()
        assert (ask.transcript, ask.interrupted) == (" Why?", None)
        assert play.kept(AgentSpoke)[0].heard == "This call is recorded."

    def test_with_barge_in_off_nothing_is_cut(self) -> None:
        play = Play(barge_in="never").start().at(1)
        play.caller_says("Hello.")
        play.agent_says(LONG, seconds=7.5)
        play.at(2)
        play.hears(on.TurnStarted(), on.TurnUpdated(" Hey"), on.TurnEnded(" Hey"))
        for second in range(3, 12):
            play.at(second).marks_return()
        assert play.did(do.ClearPlayout) == []
        assert play.kept(AgentSpoke)[0].heard == LONG
        assert play.did(do.AskAgent)[-1].transcript == " Hey"


class TestSpeculation:
    def eager(self) -> tuple[Play, do.AskAgent]:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated(" Book a"))
        (ask,) = play.hears(on.TurnEagerlyEnded(" Book a table."))
        return play, ask

    def test_the_agent_is_asked_at_the_eager_end_and_its_speech_is_held(self) -> None:
        play, ask = self.eager()
        assert ask.speculative
        assert ask.messages == (do.Message("user", "Book a table."),)
        play.agent_says("For how many?", seconds=1.0)
        assert play.did(do.SendAudio) == []
        commands = play.hears(on.TurnEnded(" book a table"))
        assert "SendAudio" in kinds(commands)
        assert "AskAgent" not in kinds(commands)
        play.at(3).marks_return()
        assert play.kept(AgentSpoke)[0].speculative

    def test_a_resumed_turn_drops_it_unheard(self) -> None:
        play, ask = self.eager()
        play.hears(on.AgentActed(ask.reply, Say("For how many? ")))
        assert play.hears(on.TurnResumed()) == [do.CancelReply(ask.reply), do.CancelSpeech(1)]
        assert len(play.kept(journal.SpeculationDropped)) == 1
        assert play.did(do.SendAudio) == []

    def test_another_text_at_the_end_asks_again(self) -> None:
        play, ask = self.eager()
        commands = play.hears(on.TurnEnded(" Book a table for two."))
        assert commands[0] == do.CancelReply(ask.reply)
        assert (commands[1].transcript, commands[1].speculative) == (" Book a table for two.", False)

    def test_actions_wait_for_the_commitment(self) -> None:
        play, ask = self.eager()
        play.hears(
            on.AgentActed(ask.reply, Note({"x": 1})),
            on.AgentActed(ask.reply, HangUp()),
            on.AgentFinished(ask.reply),
        )
        play.at(2)
        assert play.did(do.LeaveCall) == play.kept(journal.NoteTaken) == []
        assert do.LeaveCall("agent") in play.hears(on.TurnEnded(" Book a table."))
        assert len(play.kept(journal.NoteTaken)) == 1

    def test_it_works_for_a_turn_that_began_as_a_barge_in(self) -> None:
        play = speaking()
        play.hears(on.TurnStarted(), on.TurnUpdated(" What about"))
        (ask,) = play.hears(on.TurnEagerlyEnded(" What about Sunday?"))
        assert ask.speculative
        assert ask.interrupted is not None
        assert play.hears(on.TurnEnded(" What about Sunday?")) == []

    def test_one_that_fails_is_asked_again_at_the_end_and_not_before(self) -> None:
        play, ask = self.eager()
        play.hears(on.AgentFailed(ask.reply, "agent_status", "500"))
        play.at(1.5)
        assert len(play.did(do.AskAgent)) == 2
        (again,) = play.hears(on.TurnEnded(" Book a table."))
        assert not again.speculative

    def test_a_second_eager_end_with_other_words_asks_anew(self) -> None:
        play, _ = self.eager()
        commands = play.hears(on.TurnEagerlyEnded(" Book a table for two."))
        assert kinds(commands) == ["CancelReply", "AskAgent"]
        assert commands[1].speculative
        assert play.hears(on.TurnEagerlyEnded(" Book a table for two.")) == []

    def test_it_can_be_switched_off(self) -> None:
        play = Play(eager=False).start().at(1)
        assert play.hears(on.TurnStarted(), on.TurnEagerlyEnded("Hello.")) == []


class TestFaults:
    def test_a_failing_agent_is_apologised_for_and_in_the_end_given_up(self) -> None:
        play = Play(apology="Sorry.", farewell="Bye.", failures_allowed=2).start().at(1)
        play.caller_says("Hello.")
        play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
        assert play.did(do.Synthesize)[-1].text == "Sorry."
        play.speech_arrives(1, "Sorry.", 0.5)
        play.at(2).marks_return()
        play.caller_says(" Hello?")
        play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
        assert play.did(do.Synthesize)[-1].text == "Bye."
        play.speech_arrives(2, "Bye.", 0.5)
        play.at(4)
        assert do.LeaveCall("agent_failed") in play.marks_return()

    def test_an_agent_that_never_answers_is_cancelled(self) -> None:
        play = Play(agent_timeout_s=5.0, filler="", apology="Sorry.").start().at(1)
        play.caller_says("Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.at(6)
        assert do.CancelReply(reply) in play.did(do.CancelReply)
        assert play.did(do.Synthesize)[-1].text == "Sorry."
        assert [e.code for e in play.kept(journal.ProblemMet)] == ["agent_timeout"]

    def test_speech_that_fails_is_apologised_for_and_then_left_to_the_carriers_voice(self) -> None:
        play = Play(apology="Sorry.", farewell="Bye.").start().at(1)
        play.caller_says("Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("Hi. ")), on.AgentFinished(reply))
        play.hears(on.SpeechFailed(1, "speech_server", "500"))
        assert play.did(do.Synthesize)[-1].text == "Sorry."
        assert do.LeaveCall("speech_failed", farewell="Bye.") in play.hears(
            on.SpeechFailed(2, "speech_server", "500")
        )

    def test_speech_that_fails_answer_for_answer_ends_the_call_though_the_apologies_are_heard(self) -> None:
        """They are kept by the bridge, and heard without the service."""
        play = Play(apology="Sorry.", farewell="Bye.", failures_allowed=3).start().at(1)
        for number in range(3):
            assert play.did(do.LeaveCall) == []
            play.at(2 + number * 5).caller_says(f"Question {number}.")
            reply = play.did(do.AskAgent)[-1].reply
            play.hears(on.AgentActed(reply, Say("Hi. ")), on.AgentFinished(reply))
            play.hears(on.SpeechFailed(play.did(do.Synthesize)[-1].utterance, "speech_server", "500"))
            if number < 2:
                apology = play.did(do.Synthesize)[-1]
                assert apology.text == "Sorry."
                play.hears(on.SpeechArrived(apology.utterance, b"\1" * 800), on.SpeechFinished(apology.utterance))
                play.at(5 + number * 5)
        assert play.did(do.LeaveCall) == [do.LeaveCall("speech_failed", farewell="Bye.")]

    def test_a_recogniser_that_cannot_come_back_ends_the_call_with_words(self) -> None:
        play = Play(farewell="Bye.").start().at(1)
        commands = play.hears(on.RecognizerFailed("speech_auth", "401", final=True))
        assert commands == [do.LeaveCall("speech_failed", farewell="Bye.")]
        assert play.hears(on.RecognizerFailed("speech_auth", "401", final=True)) == []

    def test_an_agent_that_says_nothing_but_space_has_failed(self) -> None:
        play = Play(apology="Sorry.").start().at(1)
        play.caller_says("Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say(" ")), on.AgentFailed(reply, "agent_unreachable", "gone"))
        assert play.did(do.Synthesize)[-1].text == "Sorry."

    def test_a_turn_that_goes_on_after_we_ended_it_brings_only_what_is_new(self) -> None:
        play = Play(turn_stall_s=5.0).start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated("Hello there"))
        play.at(7)
        play.hears(on.TurnUpdated("Hello there my"), on.TurnEnded("Hello there my friend."))
        assert [e.transcript for e in play.kept(CallerSpoke)] == ["Hello there", " my friend."]

    def test_a_recogniser_lost_for_good_while_the_stream_is_broken_is_not_forgotten(self) -> None:
        play = speaking()
        play.hears(on.StreamLost())
        commands = play.hears(on.RecognizerFailed("speech_auth", "401", final=True))
        assert kinds(commands) == ["LeaveCall"]
        assert not play.conversation.expects_stream

    def test_what_was_not_told_before_the_stream_was_lost_is_said_again(self) -> None:
        play = speaking()
        play.at(8)  # The line has been dead for seconds, and nobody knew: no mark came back.
        play.hears(on.StreamLost())
        play.at(8.5)
        before = sum(len(c.audio) for c in play.did(do.SendAudio))
        play.hears(on.StreamStarted())
        play.at(30)
        assert sum(len(c.audio) for c in play.did(do.SendAudio)) - before == 45000, "all but the words told"

    def test_an_agent_that_sends_white_space_for_ever_times_out(self) -> None:
        play = Play(agent_timeout_s=5.0, filler="", apology="Sorry.").start().at(1)
        play.caller_says("Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        for second in range(2, 8):
            play.at(second).hears(on.AgentActed(reply, Say(" ")))
        assert play.did(do.Synthesize)[-1].text == "Sorry."

    def test_an_endless_answer_is_spoken_up_to_a_limit(self) -> None:
        play = Play(longest_reply=100).start().at(1)
        play.caller_says("Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(*(on.AgentActed(reply, Say("Word after word. ")) for _ in range(50)), on.AgentFinished(reply))
        assert sum(len(piece.text) for piece in play.did(do.Synthesize)) == 100

    def test_a_turn_that_never_ends_is_ended_and_its_late_end_adds_nothing(self) -> None:
        play = Play(turn_stall_s=15.0).start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated("Hello there"))
        play.at(16)
        (spoke,) = play.kept(CallerSpoke)
        assert (spoke.transcript, spoke.incomplete) == ("Hello there", True)
        assert play.hears(on.TurnEnded("Hello there.")) == []
        assert len(play.kept(CallerSpoke)) == 1

    @pytest.mark.parametrize(
        "events",
        [
            [on.TurnEnded("Hello.")],
            [on.TurnUpdated("Hel"), on.TurnEnded("Hello.")],
            [on.TurnStarted(), on.TurnEagerlyEnded("Hel"), on.TurnUpdated("Hello"), on.TurnEnded("Hello.")],
            [on.TurnResumed(), on.TurnStarted(), on.TurnEnded("Hello.")],
        ],
    )
    def test_events_out_of_order_lose_no_words(self, events: list[on.Event]) -> None:
        play = Play().start().at(1)
        play.hears(*events)
        assert [e.transcript for e in play.kept(CallerSpoke)] == ["Hello."]
        assert play.did(do.AskAgent)[-1].transcript == "Hello."

    def test_an_empty_text_does_not_unsay_words(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated("Hello"), on.TurnEagerlyEnded(""))
        play.hears(on.StreamStopped("caller"), on.RecognizerClosed())
        assert [e.transcript for e in play.kept(CallerSpoke)] == ["Hello"]

    def test_two_starts_record_both_turns(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated("One."), on.TurnStarted(), on.TurnEnded(" Two."))
        assert [(e.transcript, e.incomplete) for e in play.kept(CallerSpoke)] == [("One.", True), (" Two.", False)]

    def test_a_lost_stream_that_comes_back_goes_on_where_it_was(self) -> None:
        play = speaking()
        play.hears(on.StreamLost())
        play.at(5)
        commands = play.hears(on.StreamStarted())
        assert "SendAudio" in kinds(commands)
        assert len(play.kept(journal.StreamResumed)) == 1
        assert play.kept(AgentSpoke) == []

    def test_a_lost_stream_that_stays_away_ends_the_call(self) -> None:
        play = speaking()
        play.hears(on.StreamLost())
        play.at(3.25 + 10)
        assert play.did(do.FinishRecognizer) == [do.FinishRecognizer()]
        play.at(30)
        assert play.conversation.over
        assert play.kept(journal.CallClosed)[0].reason == "lost"


class TestPatience:
    def test_a_silent_caller_is_asked_twice_and_let_go(self) -> None:
        play = Play(silence_s=10.0, silence_prompts=("Hello?", "Are you there?"), silence_farewell="Bye.").start()
        for moment, text in ((10, "Hello?"), (21, "Are you there?"), (32, "Bye.")):
            play.at(moment - 0.1)
            before = len(play.did(do.Synthesize))
            play.at(moment)
            speaks = play.did(do.Synthesize)
            assert [s.text for s in speaks[before:]] == [text]
            play.speech_arrives(speaks[-1].utterance, text, 0.5)
            play.at(moment + 1).marks_return()
        assert play.did(do.LeaveCall) == [do.LeaveCall("silence")]

    def test_words_start_the_ladder_anew_and_noise_does_not(self) -> None:
        play = Play(silence_s=10.0).start().at(5)
        play.hears(on.TurnStarted(), on.TurnEnded(""))
        play.at(10)
        assert len(play.did(do.Synthesize)) == 1

    def test_silence_counts_from_the_end_of_what_was_heard(self) -> None:
        play = Play(silence_s=10.0).start().at(1)
        play.caller_says("Hello.")
        play.agent_says(LONG, seconds=7.5)
        for second in range(2, 11):
            play.at(second).marks_return()
        over = play.kept(AgentSpoke)[-1].ended_ms / 1000
        play.at(over + 9.9)
        assert len(play.did(do.Synthesize)) == 1
        play.at(over + 10)
        assert len(play.did(do.Synthesize)) == 2

    def test_a_call_has_a_longest_length(self) -> None:
        play = Play(agent=False, max_call_s=60.0)
        play.hears(on.StreamStarted())
        play.at(60)
        assert play.did(do.LeaveCall) == [do.LeaveCall("limit")]


class TestEnding:
    def test_the_last_words_after_the_hang_up_are_kept(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated("Call me"))
        assert play.hears(on.StreamStopped("caller")) == [do.FinishRecognizer()]
        play.at(1.5)
        assert play.hears(on.TurnEnded("Call me back.")) == []
        told, close = play.hears(on.RecognizerClosed())
        assert isinstance(told, do.TellAgentEnded)
        assert told.messages == (do.Message("user", "Call me back."),)
        assert close == do.Close()
        assert [(e.transcript, e.incomplete) for e in play.kept(CallerSpoke)] == [("Call me back.", False)]

    def test_a_turn_cut_by_the_end_is_kept_as_incomplete(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated("Call me"), on.StreamStopped("caller"), on.RecognizerClosed())
        assert [(e.transcript, e.incomplete) for e in play.kept(CallerSpoke)] == [("Call me", True)]

    def test_a_recogniser_that_never_closes_does_not_keep_the_call_open(self) -> None:
        play = Play(drain_s=4.0).start().at(1)
        play.hears(on.StreamStopped("caller"))
        play.at(5)
        assert play.conversation.over

    def test_a_hang_up_in_mid_speech_keeps_what_was_heard(self) -> None:
        play = speaking()
        play.hears(on.StreamStopped("caller"))
        (spoke,) = play.kept(AgentSpoke)
        assert (spoke.heard, spoke.interrupted) == ("We are open from", False)

    def test_after_the_end_there_is_silence(self) -> None:
        play = speaking()
        play.hears(on.StreamStopped("caller"), on.RecognizerClosed())
        assert play.conversation.deadline is None
        assert play.hears(on.TurnStarted(), on.TurnEnded("x"), on.StreamStarted(), on.DeadlineReached()) == []

    def test_a_carrier_that_never_answers_our_leaving_does_not_keep_the_call_open(self) -> None:
        play = Play().start().at(1)
        play.hears(on.RecognizerFailed("speech_auth", "401", final=True))
        play.at(60)
        assert play.conversation.over

    def test_a_key_is_kept(self) -> None:
        play = Play().start().at(1)
        play.hears(on.DigitPressed("5"))
        assert [e.digit for e in play.kept(journal.KeyPressed)] == ["5"]
