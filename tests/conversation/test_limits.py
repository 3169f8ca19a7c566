"""What the clock decides: fillers, notices, outages of the recogniser, and speech whose connection was lost."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Say, Transfer
from tests.conversation.playbook import Play

LOST = on.RecognizerLost("speech_unreachable", "reset")


def spoken(play: Play) -> list[str]:
    """What the speech service was asked to speak, piece by piece."""
    return [piece.text for piece in play.did(do.Synthesize)]


class TestFiller:
    def test_a_slow_agent_is_covered_once_and_its_answer_follows(self) -> None:
        play = Play(filler="One moment.", filler_s=3.0).start().at(1)
        play.caller_says(" When are you open?")
        play.at(3.9)
        assert not spoken(play)
        play.at(4)
        assert spoken(play) == ["One moment."]
        play.speech_arrives(1, "One moment.", 1.0)
        play.at(8)
        play.agent_says("From nine.", seconds=1.0)
        assert spoken(play) == ["One moment.", " From nine."]
        play.at(15)
        (spoke,) = play.kept(journal.AgentSpoke)
        assert spoke.heard == "One moment. From nine."
        play.caller_says(" Thanks.")
        contents = [message.content for message in play.did(do.AskAgent)[-1].messages]
        assert contents == ["When are you open?", "From nine.", "Thanks."]

    def test_a_caller_who_has_asked_nothing_is_not_told_to_wait(self) -> None:
        play = Play(filler="One moment.", agent_timeout_s=20.0)
        play.hears(on.StreamStarted())
        play.at(8)
        assert not spoken(play)

    def test_an_answer_in_time_needs_none(self) -> None:
        play = Play(filler="One moment.").start().at(1)
        play.caller_says(" When are you open?")
        play.at(3.9).agent_says("From nine.", seconds=1.0)
        play.at(12)
        assert spoken(play) == ["From nine."]

    def test_nothing_is_said_where_nothing_is_wanted(self) -> None:
        play = Play(filler="").start().at(1)
        play.caller_says(" When are you open?")
        play.at(9)
        assert not spoken(play)

    def test_a_held_answer_is_not_covered_before_the_turn_is_over(self) -> None:
        play = Play(filler="One moment.", filler_s=2.0).start().at(1)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" When are you open?"))
        play.at(4)
        assert not spoken(play)
        play.hears(on.TurnEnded(" When are you open?"))
        play.at(5.9)
        assert not spoken(play)
        play.at(6)
        assert spoken(play) == ["One moment."]

    def test_an_agent_that_then_fails_is_apologised_for(self) -> None:
        play = Play(filler="One moment.", apology="Sorry.").start().at(1)
        play.caller_says(" When are you open?")
        play.at(4)
        play.speech_arrives(1, "One moment.", 1.0)
        play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
        play.at(9)
        assert spoken(play) == ["One moment.", "Sorry."]

    def test_a_caller_who_goes_on_over_it_has_asked_one_question(self) -> None:
        play = Play(filler="One moment.").start().at(1)
        play.caller_says(" When are you open?")
        play.at(4)
        play.speech_arrives(1, "One moment.", 1.0)
        play.at(4.6).caller_says(" On Sundays, I mean.")
        question = play.did(do.AskAgent)[-1]
        assert question.transcript == " When are you open? On Sundays, I mean."
        assert question.interrupted is None

    def test_an_agent_with_nothing_to_say_but_something_to_do_is_not_slow(self) -> None:
        play = Play(filler="One moment.").start().at(1)
        play.caller_says(" Good-bye.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, HangUp()))
        play.at(5)
        assert not spoken(play)


class TestRepeated:
    def test_an_end_that_is_told_twice_is_one_turn(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Hello.")
        play.at(1.2).hears(on.TurnEnded(" Hello."), on.TurnUpdated(" Hello."))
        assert len(play.kept(journal.CallerSpoke)) == 1
        assert len(play.did(do.AskAgent)) == 2

    @pytest.mark.parametrize(("after", "text"), [(0.2, " Hello you."), (1.5, " Hello.")])
    def test_other_words_or_the_same_later_are_another(self, after: float, text: str) -> None:
        play = Play().start().at(1)
        play.caller_says(" Hello.")
        play.at(1 + after).hears(on.TurnEnded(text))
        assert [spoke.transcript for spoke in play.kept(journal.CallerSpoke)] == [" Hello.", text]

    def test_an_empty_end_without_a_beginning_is_nothing_new(self) -> None:
        play = Play().start().at(1)
        play.caller_says("")
        play.at(1.2).hears(on.TurnEnded(""))
        assert len(play.kept(journal.CallerSpoke)) == 1


class TestLongestCall:
    def test_its_end_is_announced_and_then_comes(self) -> None:
        play = Play(max_call_s=100.0, limit_notice="One minute left.", limit_notice_s=60.0, silence_s=500.0)
        play.start().at(39.9)
        assert not spoken(play)
        play.at(40)
        assert spoken(play) == ["One minute left."]
        play.speech_arrives(1, "One minute left.", 1.0)
        play.at(99.9)
        assert len(spoken(play)) == 1
        play.at(100)
        assert play.did(do.LeaveCall) == [do.LeaveCall("limit")]

    def test_it_waits_until_nobody_else_speaks(self) -> None:
        play = Play(max_call_s=100.0, limit_notice="One minute left.", silence_s=500.0).start().at(39)
        play.hears(on.TurnStarted(), on.TurnUpdated(" I was"))
        play.at(45).hears(on.TurnEnded(" I was going to ask something."))
        play.agent_says("Do.", seconds=0.5)
        assert "One minute left." not in spoken(play)
        play.at(50)
        assert spoken(play)[-1] == "One minute left."

    @pytest.mark.parametrize("policy", [{"limit_notice": ""}, {"max_call_s": 50.0}, {"agent": False}])
    def test_no_notice_where_there_is_none_or_no_time_for_it(self, policy: dict[str, object]) -> None:
        play = Play(**{"max_call_s": 100.0, "silence_s": 500.0, **policy}).start().at(110)
        assert not spoken(play)
        assert play.did(do.LeaveCall)[0].reason == "limit"


class TestFailure:
    def failing(self, **policy: object) -> Play:
        play = Play(failures_allowed=1, **policy).start().at(1)
        play.caller_says(" Hello.")
        play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
        play.speech_arrives(1, spoken(play)[-1], 1.0)
        return play.at(9)

    def test_an_agent_that_fails_for_good_passes_the_caller_on_where_there_is_somebody(self) -> None:
        play = self.failing(failure_transfer="+15550100", handover="I'll connect you.")
        assert spoken(play) == ["I'll connect you."]
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", Transfer("+15550100"))]

    def test_and_else_says_good_bye(self) -> None:
        play = self.failing(farewell="Bye.")
        assert spoken(play) == ["Bye."]
        assert play.did(do.LeaveCall) == [do.LeaveCall("agent_failed")]

    def test_speech_that_fails_for_good_passes_the_caller_on_with_the_carriers_voice(self) -> None:
        play = Play(failure_transfer="+15550100", handover="I'll connect you.").start().at(1)
        play.hears(on.RecognizerFailed("speech_auth", "401", final=True))
        wanted = do.LeaveCall("speech_failed", Transfer("+15550100"), farewell="I'll connect you.")
        assert play.did(do.LeaveCall) == [wanted]


class TestOutage:
    def away(self, **policy: object) -> Play:
        """The service breaks off in the middle of a turn at second 2."""
        play = Play(outage="Say that again?", outage_s=8.0, **policy).start()
        play.hears(on.RecognizerConnected())
        play.at(1).hears(on.TurnStarted(), on.TurnUpdated(" I would like"))
        play.at(2).hears(LOST)
        return play

    def test_a_turn_outlives_a_short_one(self) -> None:
        play = self.away().at(9.9)
        assert not play.kept(journal.CallerSpoke)
        play.hears(on.RecognizerConnected())
        play.at(20).hears(on.TurnUpdated(" I would like a bike"))
        play.at(21).hears(on.TurnEnded(" I would like a bike"))
        (spoke,) = play.kept(journal.CallerSpoke)
        assert (spoke.transcript, spoke.incomplete, spoke.degraded) == (" I would like a bike", False, False)
        assert play.did(do.AskAgent)[-1].transcript == " I would like a bike"
        assert not play.did(do.ForgetTurn)

    def test_a_turn_does_not_stall_while_nobody_can_tell_of_it(self) -> None:
        play = Play(outage_s=30.0, outage_limit_s=60.0, turn_stall_s=5.0).start()
        play.hears(on.RecognizerConnected(), on.TurnStarted(), on.TurnUpdated(" I"))
        play.at(1).hears(LOST)
        play.at(20).hears(on.RecognizerConnected(), on.TurnUpdated(" I would"))
        play.at(24.9)
        assert not play.kept(journal.CallerSpoke)
        play.at(25)
        assert play.kept(journal.CallerSpoke)[0].incomplete

    def test_after_a_long_one_the_turn_is_given_up_and_the_caller_asked_to_say_it_again(self) -> None:
        play = self.away().at(10)
        (spoke,) = play.kept(journal.CallerSpoke)
        assert (spoke.transcript, spoke.incomplete, spoke.degraded) == (" I would like", True, True)
        assert play.did(do.ForgetTurn)
        assert spoken(play) == ["Say that again?"]
        assert len(play.did(do.AskAgent)) == 1  # Nobody is asked to answer half a sentence.

    def test_the_caller_is_told_and_told_again_while_it_lasts(self) -> None:
        play = self.away().at(10)
        play.speech_arrives(1, "Say that again?", 1.0)
        play.at(17.9)
        assert spoken(play) == ["Say that again?"]
        play.at(18.1)
        assert spoken(play) == ["Say that again?"] * 2

    def test_and_what_they_say_then_is_a_turn_of_its_own(self) -> None:
        play = self.away().at(10)
        play.speech_arrives(1, "Say that again?", 1.0)
        play.at(12).hears(on.RecognizerConnected())
        play.at(13).caller_says(" I would like a bike.")
        assert [spoke.turn for spoke in play.kept(journal.CallerSpoke)] == [1, 2]
        assert play.did(do.AskAgent)[-1].transcript == " I would like a bike."

    def test_the_second_outage_counts_anew(self) -> None:
        play = self.away().at(6)
        play.hears(on.RecognizerConnected(), on.TurnUpdated(" I would like a"))
        play.at(7).hears(LOST)
        play.at(14.9)
        assert not play.kept(journal.CallerSpoke)
        play.at(15)
        assert play.kept(journal.CallerSpoke)[0].degraded

    def test_attempts_that_fail_do_not_prolong_it(self) -> None:
        play = self.away().at(6)
        play.hears(on.RecognizerFailed("speech_limit", "429", final=False))
        play.at(10)
        assert play.kept(journal.CallerSpoke)[0].degraded

    def test_a_service_that_never_answers_is_noticed_too(self) -> None:
        play = Play(outage="Say that again?", farewell="Bye.").start()
        play.hears(on.RecognizerFailed("speech_limit", "429", final=False))
        play.at(8)
        assert {*spoken(play)} == {"Say that again?"}
        play.speech_arrives(1, "Say that again?", 1.0)
        play.at(16).speech_arrives(2, "Say that again?", 1.0)
        play.at(23.9)
        assert not play.did(do.LeaveCall)
        play.at(24)  # It would be the third time.
        assert play.did(do.LeaveCall) == [do.LeaveCall("speech_failed", farewell="Bye.")]

    def test_an_error_on_a_connection_that_stays_is_none(self) -> None:
        play = Play(silence_s=500.0).start()
        play.hears(on.RecognizerConnected(), on.RecognizerFailed("speech_server", "500", final=False))
        play.at(60)
        assert not spoken(play)
        assert not play.did(do.LeaveCall)
        assert play.kept(journal.ProblemMet)[0].code == "speech_server"

    def test_a_silent_caller_is_not_blamed_for_it(self) -> None:
        play = Play(silence_s=5.0, outage_s=20.0).start()
        play.hears(on.RecognizerConnected())
        play.at(1).hears(LOST)
        play.at(10).hears(on.RecognizerConnected())
        play.at(19.9)  # A connection that has stood for five seconds is back, and then the caller's time begins.
        assert not spoken(play)
        play.at(20)
        assert spoken(play) == ["Are you still there?"]

    def test_a_service_that_breaks_off_again_and_again_is_as_good_as_away(self) -> None:
        play = self.away()
        for second in range(3, 40):
            play.at(second).hears(on.RecognizerConnected())
            play.at(second + 0.5).hears(LOST)
            for piece in play.did(do.Synthesize)[:1]:
                play.speech_arrives(piece.utterance, piece.text, 1.0)
        assert play.kept(journal.CallerSpoke)[0].degraded
        assert {*spoken(play)} == {"Say that again?"}
        assert play.did(do.LeaveCall)[0].reason == "speech_failed"

    def test_a_new_connection_is_given_a_moment_to_tell(self) -> None:
        play = self.away().at(9.5)
        play.hears(on.RecognizerConnected())
        play.at(11).hears(on.TurnUpdated(" I would like a bike"), on.TurnEnded(" I would like a bike"))
        assert not play.kept(journal.CallerSpoke)[0].degraded

    def test_the_caller_is_not_asked_for_what_was_never_said(self) -> None:
        play = Play(outage="Say that again?", outage_s=2.0).start()
        play.hears(on.RecognizerConnected())
        play.at(1).caller_says(" Hello.")
        play.agent_says("Well, let me see.", seconds=5)
        play.at(1.5).hears(LOST)
        play.at(5).hears(on.RecognizerConnected())
        play.at(14)
        assert "Say that again?" not in spoken(play)

    def test_the_agent_finishes_its_sentence_before_the_caller_is_told(self) -> None:
        play = Play(outage="Say that again?", outage_s=2.0).start()
        play.hears(on.RecognizerConnected())
        play.at(1).caller_says(" Hello.")
        play.agent_says("Well, let me see.", seconds=5)
        play.at(1.5).hears(LOST)
        play.at(5)
        assert "Say that again?" not in spoken(play)
        play.at(9)
        assert spoken(play)[-1] == "Say that again?"

    def test_where_nobody_answers_the_turn_is_kept_and_nothing_is_said_or_dropped(self) -> None:
        play = self.away(agent=False).at(40)
        assert play.kept(journal.CallerSpoke)[0].degraded
        assert not spoken(play)
        assert not play.did(do.ForgetTurn)
        assert not play.did(do.LeaveCall)
        play.hears(on.RecognizerConnected(), on.TurnEnded(" I would like a bike"))
        assert [spoke.transcript for spoke in play.kept(journal.CallerSpoke)] == [" I would like", " a bike"]


class TestLostSpeech:
    LOST = on.SpeechFailed(1, "speech_unreachable", "reset", final=False)

    def half_come(self, *, words: bool = True, bytes_: int = 8400) -> Play:
        """Of "aaa bbb ccc ddd." (half a second a word) a good second has come when the connection is lost."""
        play = Play(lead_s=0.6).start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("aaa bbb ccc ddd.")), on.AgentFinished(reply))
        if words:
            timed = tuple(on.Word(word, i / 2, (i + 1) / 2) for i, word in enumerate(["aaa", "bbb", "ccc", "ddd."]))
            play.hears(on.WordsTimed(1, timed))
        play.hears(on.SpeechArrived(1, b"a" * bytes_))
        return play

    def test_the_rest_is_asked_for_again_from_the_first_word_that_is_not_whole(self) -> None:
        play = self.half_come()
        play.hears(self.LOST)
        assert len(play.did(do.Synthesize)) == 1  # A service that is busy is given a moment.
        play.at(1.2)
        last = play.did(do.Synthesize)[-1]
        assert (last.utterance, last.text, last.more) == (2, " ccc ddd.", False)
        play.speech_arrives(2, " ccc ddd.", 1.0)
        play.at(9)
        (spoke,) = play.kept(journal.AgentSpoke)
        assert (spoke.heard, spoke.unheard) == ("aaa bbb ccc ddd.", "")
        assert sum(len(sent.audio) for sent in play.did(do.SendAudio)) == 16000
        assert play.kept(journal.ProblemMet)[0].code == "speech_unreachable"

    def test_it_is_cut_and_counted_as_one_answer(self) -> None:
        play = self.half_come()
        play.hears(self.LOST)
        play.speech_arrives(2, " ccc ddd.", 1.0)
        play.at(2.1)
        play.marks_return()
        play.at(2.75).hears(on.TurnStarted(), on.TurnUpdated(" Stop"))
        (spoke,) = play.kept(journal.AgentSpoke)
        assert spoke.heard + spoke.unheard == "aaa bbb ccc ddd."
        assert spoke.heard.startswith("aaa bbb")

    def test_nothing_came_so_all_is_asked_for_again(self) -> None:
        play = self.half_come(words=False, bytes_=0)
        play.hears(self.LOST)
        assert play.did(do.Synthesize)[-1].text == "aaa bbb ccc ddd."

    def test_without_times_what_was_sent_is_kept_and_the_rest_given_up(self) -> None:
        play = self.half_come(words=False)
        play.hears(self.LOST)
        assert len(play.did(do.Synthesize)) == 1
        play.at(6)
        (spoke,) = play.kept(journal.AgentSpoke)
        assert spoke.unheard

    def test_a_connection_that_is_lost_again_and_again_is_given_up(self) -> None:
        play = self.half_come()
        for utterance, after in ((1, 0.2), (2, 0.5), (3, 1.0), (4, 1.0)):
            play.hears(on.SpeechFailed(utterance, "speech_unreachable", "reset", final=False))
            play.at(play.now - 100 + after)
        assert [piece.utterance for piece in play.did(do.Synthesize)][:4] == [1, 2, 3, 4]
        play.at(play.now - 100 + 3)
        assert spoken(play)[-1].startswith("Sorry")

    def test_one_loss_that_hits_many_sentences_counts_once(self) -> None:
        play = Play(lead_s=20.0).start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        voices = ("a", "b", "a", "b", "a")
        play.hears(*(on.AgentActed(reply, Say("Word. ", voice=voice)) for voice in voices))
        play.hears(*(on.SpeechFailed(n, "speech_unreachable", "reset", final=False) for n in range(1, 6)))
        play.at(1.3)
        assert len(play.did(do.Synthesize)) >= 10
        assert not play.did(do.CancelReply)

    def test_what_the_service_refuses_is_not_asked_for_again(self) -> None:
        play = self.half_come()
        play.hears(on.SpeechFailed(1, "speech_request", "400"))
        assert len(play.did(do.Synthesize)) == 1

    def test_more_text_goes_to_the_new_utterance(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("One. ", voice="joe")), self.LOST)
        play.at(1.2)
        last = play.did(do.Synthesize)[-1]
        assert (last.utterance, last.text, last.more, last.voice) == (2, "One.", True, "joe")
        play.hears(on.AgentActed(reply, Say("Two. ", voice="joe")), on.AgentFinished(reply))
        assert {piece.utterance for piece in play.did(do.Synthesize)[2:]} == {2}
        assert "".join(piece.text for piece in play.did(do.Synthesize)[1:]) == "One. Two. "

    def test_speech_behind_it_keeps_its_place(self) -> None:
        play = Play(lead_s=20.0).start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("aaa. ")), on.AgentActed(reply, Say("bbb.", voice="joe")))
        play.hears(on.AgentFinished(reply), self.LOST)
        play.hears(on.SpeechArrived(2, b"b" * 800), on.SpeechFinished(2))
        play.hears(on.SpeechArrived(3, b"a" * 800), on.SpeechFinished(3))
        assert [sent.utterance for sent in play.did(do.SendAudio)] == [3, 2]

    def test_words_that_were_sent_before_their_times_came_are_not_spoken_again(self) -> None:
        play = Play(lead_s=10.0).start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("aaa bbb ccc ddd eee fff.")), on.AgentFinished(reply))
        timed = tuple(on.Word(word, i / 2, (i + 1) / 2) for i, word in enumerate(["aaa", "bbb"]))
        play.hears(on.WordsTimed(1, timed), on.SpeechArrived(1, b"a" * 17500), self.LOST)
        play.at(1.3)
        assert play.did(do.Synthesize)[-1].text == " eee fff."

    def test_a_word_that_is_known_not_to_be_whole_is_spoken_again(self) -> None:
        play = Play(lead_s=10.0).start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("aaa bbb c d")), on.AgentFinished(reply))
        timed = tuple(on.Word(word, i / 2, (i + 1) / 2) for i, word in enumerate(["aaa", "bbb", "c", "d"]))
        play.hears(on.WordsTimed(1, timed), on.SpeechArrived(1, b"a" * 11900), self.LOST)
        play.at(1.3)
        assert play.did(do.Synthesize)[-1].text == " c d"
