"""The caller's turns: which words are whose, what is prepared for them, and what they mean."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Say
from tests.conversation.playbook import Play
from tests.conversation.test_floor import LONG, hear_until, talking

LOST = on.RecognizerLost("speech_unreachable", "reset")


def said(play: Play) -> list[str]:
    """What is kept of the caller, turn by turn."""
    return [spoke.transcript for spoke in play.kept(journal.CallerSpoke)]


def meanings(play: Play) -> list[str]:
    return [spoke.meaning for spoke in play.kept(journal.CallerSpoke)]


def questions(play: Play) -> list[str]:
    """What the agent was asked since the call began, prepared answers included."""
    return [ask.transcript for ask in play.did(do.AskAgent)[1:]]


class TestEnds:
    def test_who_says_again_what_an_abandoned_turn_said_is_heard_again(self) -> None:
        play = Play(agent=False, turn_stall_s=5.0).start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated(" Yes."))
        play.at(6)
        play.at(8).caller_says(" No.")
        play.at(12).hears(on.TurnEnded(" Yes."))
        assert said(play) == [" Yes.", " No.", " Yes."]

    def test_a_service_that_only_repeats_itself_does_not_keep_a_turn_open(self) -> None:
        play = Play(agent=False, turn_stall_s=5.0).start().at(1)
        play.hears(on.TurnStarted())
        for second in (1, 3, 5):
            play.at(second).hears(on.TurnUpdated(" Hello"))
        play.at(6)
        assert said(play) == [" Hello"]

    def test_the_empty_late_end_of_an_abandoned_turn_is_none(self) -> None:
        play = Play(agent=False, turn_stall_s=5.0).start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated(" Hello"))
        play.at(6).hears(on.TurnEnded(""))
        assert said(play) == [" Hello"]

    def test_an_end_told_twice_is_one_turn_but_the_same_word_later_is_another(self) -> None:
        play = Play(agent=False).start().at(1).caller_says(" Yes.")
        play.at(1.5).hears(on.TurnEnded(" Yes."))
        assert said(play) == [" Yes."]
        play.at(4).hears(on.TurnEnded(" Yes."))
        assert said(play) == [" Yes.", " Yes."]

    def test_a_caller_who_goes_on_after_a_pause_has_the_whole_time_again(self) -> None:
        play = Play(agent=False, turn_stall_s=5.0).start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated(" I"))
        play.at(4).hears(on.TurnEagerlyEnded(" I think"))
        play.at(8).hears(on.TurnResumed())
        play.at(12.9)
        assert said(play) == []
        play.at(13)
        assert said(play) == [" I think"]

    def test_the_record_tells_when_the_last_eager_end_came(self) -> None:
        play = Play(agent=False).start().at(1)
        play.hears(on.TurnStarted())
        play.at(2).hears(on.TurnEagerlyEnded(" I"), on.TurnResumed())
        play.at(3).hears(on.TurnEagerlyEnded(" I do"))
        play.at(3.5).hears(on.TurnEnded(" I do"))
        play.at(9).caller_says(" Good.")
        assert [spoke.eager_ms for spoke in play.kept(journal.CallerSpoke)] == [3000, None]


class TestPreparing:
    def test_other_numbers_are_other_words(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" A table for 2."), on.TurnEnded(" A table for 3."))
        ask = play.did(do.AskAgent)[-1]
        assert (ask.transcript, ask.speculative) == (" A table for 3.", False)

    def test_a_cough_is_not_put_to_the_agent(self) -> None:
        play = Play().start().at(1)
        assert play.hears(on.TurnStarted(), on.TurnEagerlyEnded("")) == []

    def test_both_halves_of_a_question_are_prepared_once_and_answered_by_that(self) -> None:
        play = Play().start().at(1).caller_says(" Book a table")
        play.at(1.5).hears(on.TurnStarted(), on.TurnEagerlyEnded(" for two."))
        assert questions(play) == [" Book a table", " Book a table for two."]
        assert play.hears(on.TurnEagerlyEnded(" for two.")) == []
        assert play.hears(on.TurnEnded(" for two.")) == []
        play.agent_says("Done.", seconds=0.5)
        play.at(9)
        assert play.kept(journal.AgentSpoke)[-1].heard == "Done."
        assert questions(play) == [" Book a table", " Book a table for two."]

    def test_who_goes_on_during_a_notice_is_not_answered_in_mid_sentence(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("This call is recorded.", seconds=2.0, interruptible=False)
        play.at(1.5).hears(on.TurnStarted(), on.TurnEagerlyEnded(" Book"))
        play.at(2).hears(on.TurnResumed())
        play.at(8)
        assert questions(play) == [" Hello."]

    def test_a_question_that_was_over_during_a_notice_is_asked_once(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("This call is recorded.", seconds=2.0, interruptible=False)
        play.at(1.5).hears(on.TurnStarted(), on.TurnEagerlyEnded(" Why?"), on.TurnEnded(" Why?"))
        play.at(6)
        play.agent_says("To learn.", seconds=0.5)
        play.at(12)
        assert questions(play) == [" Hello.", " Why?"]

    def test_an_answer_to_a_turn_that_got_lost_does_not_keep_the_caller_from_being_told(self) -> None:
        play = Play(outage="Say that again?", outage_s=8.0, agent_timeout_s=60.0).start()
        play.hears(on.RecognizerConnected())
        play.at(1).hears(on.TurnStarted(), on.TurnEagerlyEnded(" I would like"))
        play.at(2).hears(LOST)
        play.at(10)
        assert [piece.text for piece in play.did(do.Synthesize)] == ["Say that again?"]


class TestMeaning:
    def test_an_answer_in_the_making_protects_nobody_from_the_callers_next_word(self) -> None:
        play = Play(barge_in="words:3").start().at(1).caller_says(" When are you open?")
        play.hears(on.AgentActed(play.did(do.AskAgent)[-1].reply, Say("From nine to six. ")))
        play.at(1.5).caller_says(" Sundays?")
        assert questions(play)[-1] == " When are you open? Sundays?"
        assert play.did(do.AskAgent)[-1].interrupted is None

    @pytest.mark.parametrize("earlier", [False, True])
    def test_okay_before_the_agent_is_audible_belongs_to_the_question(self, earlier: bool) -> None:
        play = Play().start().at(1)
        if earlier:
            play.caller_says(" Hello.")
            play.agent_says("Hi there.", seconds=0.5)
            play.at(4).marks_return()
        play.at(5).caller_says(" Book a table")
        play.at(5.5).caller_says(" Okay")
        assert questions(play)[-1] == " Book a table Okay"

    def test_uh_huh_while_the_agent_thinks_of_its_next_sentence_does_not_cut_it_off(self) -> None:
        play = Play().start().at(1).caller_says(" When are you open?")
        play.agent_says("Let me see. ", seconds=1.5, more=True)
        play.at(3).marks_return()
        play.at(3.5).caller_says(" Uh-huh.")
        assert meanings(play)[-1] == "backchannel"
        assert not play.kept(journal.AgentSpoke)

    def test_a_sentence_that_begins_with_okay_interrupts(self) -> None:
        play = talking()
        play.caller_says(" Okay, stop it.")
        assert play.kept(journal.AgentSpoke)[-1].interrupted

    def test_signs_of_listening_do_not_teach_the_agent_to_talk_over_the_caller(self) -> None:
        play = talking()
        for second in (3.2, 3.6):
            play.at(second).caller_says(" Uh-huh.")
        assert meanings(play)[-2:] == ["backchannel", "backchannel"]
        assert do.ClearPlayout() in play.at(4.2).hears(on.TurnStarted())

    def pausing(self) -> Play:
        """An agent that has said a sentence two and a half seconds long, and thinks of the next."""
        play = Play().start().at(1).caller_says(" When are you open?")
        play.agent_says("We are open from nine. ", seconds=2.5, more=True)
        return play

    def test_who_repeats_the_agents_words_in_its_pause_is_answered(self) -> None:
        play = self.pausing()
        play.at(4).marks_return()
        play.at(4.5).caller_says(" open from nine?")
        assert meanings(play)[-1] == "words"

    def test_also_after_an_echo(self) -> None:
        play = self.pausing()
        hear_until(play, 2.2)
        play.caller_says(" are open")
        play.at(7).caller_says(" open from nine?")
        assert meanings(play)[-2:] == ["echo", "words"]

    def test_an_echo_that_lasts_does_not_take_the_floor_as_a_voice(self) -> None:
        play = talking(barge_in_s=1.0)
        play.hears(on.TurnStarted(), on.TurnUpdated(" open from nine"))
        play.at(5)
        assert not play.kept(journal.AgentSpoke)

    def test_the_agent_waits_for_a_slow_caller_whose_words_are_too_few(self) -> None:
        play = talking(barge_in="words:2", false_alarm_s=3.0)
        play.hears(on.TurnStarted())
        play.at(5.5).hears(on.TurnUpdated(" Wait"))
        play.at(8.4)
        assert not play.kept(journal.AgentResumed)
        play.at(8.5)
        assert play.kept(journal.AgentResumed)


class TestSilence:
    def test_words_without_the_start_of_a_turn_silence_the_phone_too(self) -> None:
        play = talking()
        assert do.ClearPlayout() in play.hears(on.TurnUpdated(" What"))

    def test_the_sound_after_a_long_noise_silences_the_agent_again(self) -> None:
        play = talking(false_alarm_s=2.0)
        play.hears(on.TurnStarted())
        play.at(5.5).hears(on.TurnEnded(""))
        assert do.ClearPlayout() in play.at(6).hears(on.TurnStarted())

    def test_an_agent_that_thinks_is_neither_silenced_nor_resumed(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.at(1.5).hears(on.TurnStarted())
        play.at(2).hears(on.TurnEnded(""))
        assert not play.kept(journal.AgentSilenced)
        assert not play.kept(journal.AgentResumed)

    def test_on_a_line_with_an_echo_an_agent_does_not_begin_while_the_caller_speaks(self) -> None:
        play = Play().start().at(1).caller_says(" When are you open?")
        play.agent_says(LONG, seconds=16)
        hear_until(play, 3)
        play.caller_says(" are open")
        play.at(3.1).caller_says(" are open")
        assert meanings(play)[-2:] == ["echo", "echo"]
        play.at(3.5).caller_says(" Please stop talking.")
        play.at(4).hears(on.TurnStarted())
        before = len(play.did(do.SendAudio))
        play.agent_says("All right.", seconds=1.0)
        assert len(play.did(do.SendAudio)) == before

    def test_the_halves_of_a_question_reach_the_agent_in_their_order(self) -> None:
        play = Play(barge_in="words:3").start().at(1).caller_says(" When are you open?")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say(LONG)), on.AgentFinished(reply))
        play.speech_arrives(1, LONG, 8.0)
        play.at(1.1).caller_says(" I mean")
        play.at(1.2).caller_says(" on a Sunday.")
        assert questions(play)[-1] == " When are you open? I mean on a Sunday."
