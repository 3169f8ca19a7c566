"""The call as a whole: lines that break, ends of all kinds, and what the record says of them."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Say, Transfer
from tests.conversation.playbook import Play
from tests.conversation.test_floor import talking

LOST = on.RecognizerLost("speech_unreachable", "reset")


def closed(play: Play) -> journal.CallClosed:
    (entry,) = play.kept(journal.CallClosed)
    assert isinstance(entry, journal.CallClosed)
    return entry


class TestLeaving:
    def test_the_longest_call_ends_in_mid_sentence_and_at_once(self) -> None:
        play = Play(max_call_s=3.0).start().at(1).caller_says(" Tell me a story.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("Once upon a time. ")))
        play.speech_arrives(1, "Once upon a time.", 4.0)
        play.at(2.3).marks_return(2)
        play.at(3)
        ended = [command for moment, command in play.done if moment == 3 and not isinstance(command, do.Record)]
        assert ended == [do.ClearPlayout(), do.CancelReply(reply), do.LeaveCall("limit")]
        assert play.kept(journal.AgentSpoke)[0].heard == "Once"

    def test_what_the_caller_says_while_we_hang_up_is_kept(self) -> None:
        play = Play(max_call_s=3.0).start().at(2)
        play.hears(on.TurnStarted(), on.TurnUpdated(" Good"))
        play.at(3)
        assert play.did(do.LeaveCall)
        assert not play.did(do.FinishRecognizer)
        play.at(3.2).hears(on.TurnEnded(" Good-bye."))
        play.hears(on.StreamStopped("agent"))
        assert play.did(do.FinishRecognizer)
        assert [spoke.transcript for spoke in play.kept(journal.CallerSpoke)] == [" Good-bye."]

    @pytest.mark.parametrize("event", [on.StreamStopped("agent"), on.StreamLost()])
    def test_the_record_says_why_we_hung_up_however_the_line_closes(self, event: on.Event) -> None:
        play = Play(max_call_s=3.0).start().at(3)
        assert play.hears(event) == [do.FinishRecognizer()]
        play.hears(on.RecognizerClosed())
        assert (closed(play).reason, closed(play).at_ms) == ("limit", 3000)

    def test_also_when_it_does_not_close_at_all(self) -> None:
        play = Play(max_call_s=3.0, reattach_s=10.0, drain_s=5.0).start().at(12.9)
        assert not play.did(do.FinishRecognizer)
        play.at(13)
        assert play.did(do.FinishRecognizer)
        play.at(18)
        assert (closed(play).reason, closed(play).at_ms) == ("limit", 18000)

    def test_the_record_says_whom_the_caller_was_passed_on_to(self) -> None:
        play = Play().start().at(1).caller_says(" A human, please.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Transfer("+15550100")), on.AgentFinished(reply))
        play.hears(on.StreamStopped("agent"), on.RecognizerClosed(), on.TransferEnded("completed"))
        assert (closed(play).reason, closed(play).transfer_to) == ("transfer", "+15550100")

    def test_who_speaks_over_the_good_bye_is_answered_and_not_hung_up_on(self) -> None:
        play = Play().start().at(1).caller_says(" Bye.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("Good-bye.", interruptible=False)), on.AgentActed(reply, HangUp()))
        play.hears(on.AgentFinished(reply))
        play.speech_arrives(1, "Good-bye.", 1.0)
        play.at(1.5).caller_says(" Wait!")
        play.at(6)
        assert not play.did(do.LeaveCall)
        assert play.did(do.AskAgent)[-1].transcript == " Wait!"

    @pytest.mark.parametrize("hung_up", [False, True])
    def test_an_answer_that_was_only_prepared_was_not_given(self, hung_up: bool) -> None:
        play = Play(max_call_s=3.0).start().at(2)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" Book a table."))
        play.agent_says("For how many?", seconds=1.0)
        if hung_up:
            play.hears(on.StreamStopped("caller"))
        play.at(3)
        assert len(play.kept(journal.SpeculationDropped)) == 1
        assert not play.kept(journal.AgentSpoke)


class TestLines:
    def test_a_call_that_never_began_has_no_length(self) -> None:
        play = Play()
        play.at(7).hears(on.StreamStopped("caller"), on.RecognizerClosed())
        assert closed(play).at_ms == 0

    def test_who_comes_back_on_a_new_line_is_not_asked_at_once_whether_they_are_there(self) -> None:
        play = Play(silence_s=5.0).start().at(1)
        play.hears(on.StreamLost())
        play.at(8).hears(on.StreamStarted())
        play.at(12.9)
        assert not play.did(do.Synthesize)
        play.at(13)
        assert play.did(do.Synthesize)

    def test_a_line_that_breaks_twice_is_one_break(self) -> None:
        play = Play(reattach_s=10.0).start().at(1)
        play.hears(on.StreamLost())
        play.at(6).hears(on.StreamLost())
        assert [entry.at_ms for entry in play.kept(journal.StreamBroke)] == [1000]
        play.at(11)
        assert play.did(do.FinishRecognizer)

    def test_who_hangs_up_while_the_line_is_broken_is_gone(self) -> None:
        play = Play().start().at(1)
        play.hears(on.StreamLost())
        assert play.at(2).hears(on.StreamStopped("caller")) == [do.FinishRecognizer()]

    def test_on_a_line_that_breaks_early_only_what_was_heard_of_this_answer_counts(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("Hi there, how can I help you today?", seconds=4.0)
        for second in (2.0, 4.0, 6.0):
            play.at(second).marks_return()
        play.caller_says(" When are you open?")
        play.agent_says("From nine to six.", seconds=4.0)
        play.at(6.1).hears(on.StreamLost())
        play.hears(on.StreamStopped("caller"))
        assert [spoke.heard for spoke in play.kept(journal.AgentSpoke)][-1] == ""

    def test_a_recogniser_that_closes_in_mid_call_does_not_end_it(self) -> None:
        play = Play().start().at(1)
        play.hears(on.RecognizerClosed())
        assert play.conversation.expects_stream
        play.caller_says(" Hello.")
        assert play.did(do.AskAgent)[-1].transcript == " Hello."

    def test_a_clock_that_is_set_back_stands_still(self) -> None:
        play = talking()
        play.now -= 50
        play.hears(on.TurnStarted(), on.TurnUpdated(" What about Sunday?"))
        spoke = play.kept(journal.AgentSpoke)[-1]
        assert (spoke.heard, spoke.ended_ms) == ("We are open", 2600)


class TestTelling:
    def test_where_nobody_answers_the_greeting_is_recorded_and_nobody_is_told_of_the_end(self) -> None:
        play = Play(agent=False, greeting="This call is recorded.")
        play.hears(on.StreamStarted())
        play.speech_arrives(1, "This call is recorded.", 1.0)
        play.at(5)
        assert [spoke.heard for spoke in play.kept(journal.AgentSpoke)] == ["This call is recorded."]
        play.hears(on.StreamStopped("caller"), on.RecognizerClosed())
        assert not play.did(do.TellAgentEnded)
        assert play.did(do.Close)

    def test_an_interruption_is_told_although_the_bridge_spoke_in_between(self) -> None:
        play = talking(outage="Say that again?", outage_s=8.0)
        play.hears(on.RecognizerConnected(), on.TurnStarted(), on.TurnUpdated(" What about"), LOST)
        play.at(11)
        assert play.did(do.Synthesize)[-1].text == "Say that again?"
        play.speech_arrives(play.did(do.Synthesize)[-1].utterance, "Say that again?", 1.0)
        play.at(15).hears(on.RecognizerConnected())
        play.at(16).caller_says(" What about Sunday?")
        ask = play.did(do.AskAgent)[-1]
        assert ask.interrupted is not None
        assert ask.interrupted.heard == play.kept(journal.AgentSpoke)[0].heard

    def test_a_second_outage_is_dealt_with_like_the_first(self) -> None:
        play = Play(outage="Say that again?", outage_s=8.0, silence_s=500.0).start()
        play.hears(on.RecognizerConnected())
        for second in (1, 20):
            play.at(second).hears(on.TurnStarted(), on.TurnUpdated(" I would like"), LOST)
            play.at(second + 8)
            utterance = play.did(do.Synthesize)[-1].utterance
            play.speech_arrives(utterance, "Say that again?", 1.0)
            play.at(second + 12).hears(on.RecognizerConnected())
        assert [piece.text for piece in play.did(do.Synthesize)] == ["Say that again?"] * 2
        assert [spoke.degraded for spoke in play.kept(journal.CallerSpoke)] == [True, True]


class TestAway:
    def away(self, **policy: object) -> Play:
        """Speech to text breaks off in the middle of a turn at second 1."""
        play = Play(outage_s=30.0, outage_limit_s=60.0, turn_stall_s=5.0, silence_s=5.0, **policy).start()
        play.hears(on.RecognizerConnected())
        return play.at(1)

    def test_a_key_does_not_end_a_turn_that_nobody_can_hear_the_end_of(self) -> None:
        play = self.away()
        play.hears(on.TurnStarted(), on.TurnUpdated(" I would"), LOST)
        play.at(15).hears(on.DigitPressed("5"))
        assert not play.kept(journal.CallerSpoke)

    def test_nobody_is_asked_whether_they_are_there_while_nobody_could_hear_the_answer(self) -> None:
        play = self.away()
        play.hears(LOST)
        play.at(15).hears(on.MarkReturned("1.1"))
        assert not play.did(do.Synthesize)

    def test_a_call_that_is_only_transcribed_is_neither_spoken_to_nor_ended(self) -> None:
        play = self.away(agent=False)
        play.at(20).hears(on.MarkReturned("1.1"), LOST)
        play.at(100).hears(on.DigitPressed("5"))
        assert not play.did(do.Synthesize)
        assert not play.did(do.LeaveCall)


class TestPatience:
    def test_a_caller_who_answers_is_asked_from_the_first_prompt_on_the_next_time(self) -> None:
        play = Play(silence_s=10.0, silence_prompts=("Hello?", "Anybody?")).start().at(10)
        play.speech_arrives(1, "Hello?", 0.5)
        play.at(14).caller_says(" Yes.")
        play.agent_says("Good.", seconds=0.5)
        play.at(40)
        assert [piece.text for piece in play.did(do.Synthesize)][:3] == ["Hello?", "Good.", "Hello?"]

    def test_a_passing_error_of_the_service_is_no_sign_of_the_caller(self) -> None:
        play = Play(silence_s=10.0).start()
        play.hears(on.RecognizerConnected())
        play.at(8).hears(on.RecognizerFailed("speech_server", "500", final=False))
        play.at(10)
        assert play.did(do.Synthesize)

    def test_who_presses_keys_is_there(self) -> None:
        play = Play(silence_s=10.0).start().at(8)
        play.hears(on.DigitPressed("5"))
        play.hears(on.AgentFinished(play.did(do.AskAgent)[-1].reply))
        play.at(17.9)
        assert not play.did(do.Synthesize)
        play.at(18)
        assert play.did(do.Synthesize)
