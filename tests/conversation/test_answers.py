"""The agent's answers on their way: what is slow, what fails, what is recorded of them."""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Say, Set, Tuning
from tests.conversation.playbook import Play
from tests.conversation.test_floor import LONG


def spoken(play: Play) -> list[str]:
    return [piece.text for piece in play.did(do.Synthesize)]


def asked(**policy: object) -> tuple[Play, int]:
    """A caller has said hello at second 1. Returns the number of the reply that is open."""
    play = Play(**{"filler": "", "apology": "Sorry.", "farewell": "Bye.", **policy}).start().at(1)
    play.caller_says(" Hello.")
    return play, play.did(do.AskAgent)[-1].reply


class TestSlowPeers:
    def test_an_answer_may_stream_for_longer_than_one_piece_may_take(self) -> None:
        play, reply = asked(agent_timeout_s=5.0)
        for second in (4, 8, 12):
            play.at(second).hears(on.AgentActed(reply, Say("On it goes. ")))
            play.speech_arrives(play.did(do.Synthesize)[-1].utterance, "On it goes.", 1.0)
        assert not play.kept(journal.ProblemMet)

    def test_the_speech_of_a_slow_agent_has_all_its_time(self) -> None:
        play, reply = asked(speech_timeout_s=5.0)
        play.at(9).hears(on.AgentActed(reply, Say("Here it is.")), on.AgentFinished(reply))
        play.at(13)
        assert not play.kept(journal.ProblemMet)

    def test_speech_may_arrive_for_longer_than_one_piece_may_take(self) -> None:
        play, reply = asked(speech_timeout_s=5.0)
        play.hears(on.AgentActed(reply, Say(LONG)), on.AgentFinished(reply))
        for second in (4, 8, 12, 16):
            play.at(second).hears(on.SpeechArrived(1, b"a" * 8000))
        assert not play.kept(journal.ProblemMet)

    def test_speech_that_never_comes_is_cancelled_and_apologised_for(self) -> None:
        play, reply = asked(speech_timeout_s=5.0)
        play.hears(on.AgentActed(reply, Say("Hi.")), on.AgentFinished(reply))
        play.at(5.9)
        assert spoken(play) == ["Hi."]
        play.at(6)
        assert spoken(play) == ["Hi.", "Sorry."]
        assert play.did(do.CancelSpeech) == [do.CancelSpeech(1)]

    def test_speech_that_is_asked_for_again_has_all_its_time(self) -> None:
        play, reply = asked(speech_timeout_s=5.0)
        play.hears(on.AgentActed(reply, Say("Hi.")), on.AgentFinished(reply))
        play.at(5).hears(on.SpeechFailed(1, "speech_unreachable", "reset", final=False))
        play.at(9.9)
        assert spoken(play) == ["Hi.", "Hi."]

    def test_nothing_is_prepared_to_cover_slowness_while_the_caller_makes_a_sound(self) -> None:
        play, _ = asked(filler="One moment.", filler_s=3.0)
        play.at(3).hears(on.TurnStarted())
        play.at(5)
        assert not spoken(play)

    def test_a_caller_who_has_asked_nothing_is_not_told_to_wait(self) -> None:
        play = Play(filler="One moment.", filler_s=3.0)
        play.hears(on.StreamStarted())
        play.at(8)
        assert not spoken(play)

    def test_a_good_bye_without_a_full_stop_is_spoken_when_the_hang_up_comes(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say("Good-bye")), on.AgentActed(reply, HangUp("done")))
        assert spoken(play) == ["Good-bye"]
        play.hears(on.AgentFinished(reply))
        play.speech_arrives(1, "Good-bye", 0.5)
        play.marks_return()
        assert play.did(do.LeaveCall) == [do.LeaveCall("done")]


class TestFailures:
    def test_an_answer_that_breaks_off_behind_a_sentence_is_spoken_and_apologised_for(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say("From nine. To")), on.AgentFailed(reply, "agent_status", "500"))
        play.speech_arrives(1, "From nine. To", 1.0)
        play.at(8)
        assert spoken(play) == ["From nine.", " To", "Sorry."]

    def test_what_an_agent_says_behind_its_end_is_not_spoken(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say("Hi. ")), on.AgentFinished(reply))
        assert play.hears(on.AgentActed(reply, Say("And more. "))) == []

    def test_failures_count_only_in_a_row(self) -> None:
        play, reply = asked(failures_allowed=2)
        for second, answer in ((2, ""), (6, "Yes?"), (12, "")):
            reply = play.at(second).did(do.AskAgent)[-1].reply
            if answer:
                play.agent_says(answer, seconds=0.5)
            else:
                play.hears(on.AgentFailed(reply, "agent_status", "500"))
                play.speech_arrives(play.did(do.Synthesize)[-1].utterance, "Sorry.", 0.5)
            play.at(second + 3).marks_return()
            play.caller_says(" Hello?")
        assert [text for text in spoken(play) if text] == ["Sorry.", "Yes?", "Sorry."]

    def test_a_voice_that_fails_again_before_an_answer_was_heard_is_given_up(self) -> None:
        play = self.failing_twice()
        assert play.did(do.LeaveCall) == [do.LeaveCall("speech_failed", farewell="Bye.")]

    def test_a_voice_in_which_an_answer_was_heard_in_between_is_not(self) -> None:
        play = self.failing_twice(heard_between=True)
        assert not play.did(do.LeaveCall)

    def failing_twice(self, *, heard_between: bool = False) -> Play:
        play, reply = asked(failures_allowed=2)
        play.hears(on.AgentActed(reply, Say("Hi.")), on.AgentFinished(reply))
        play.hears(on.SpeechFailed(1, "speech_server", "500"))
        play.speech_arrives(2, "Sorry.", 0.5)  # It is kept by the bridge: that says nothing of the service.
        play.at(2.5).marks_return()
        if heard_between:
            play.caller_says(" Hello?")
            play.agent_says("Yes?", seconds=0.5)
            play.at(4).marks_return()
        play.at(4.5).caller_says(" Are you there?")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("Yes.")), on.AgentFinished(reply))
        play.hears(on.SpeechFailed(play.did(do.Synthesize)[-1].utterance, "speech_server", "500"))
        return play

    def test_a_voice_that_stalls_is_waited_for_once_and_not_for_each_time_it_is_asked_again(self) -> None:
        play, reply = asked(speech_timeout_s=10.0)
        play.hears(on.AgentActed(reply, Say("Hi.")), on.AgentFinished(reply))
        began = play.now - 100
        play.at(began + 8).hears(on.SpeechFailed(1, "speech_timeout", "no first audio", final=False))
        play.at(began + 9.9)
        assert spoken(play) == ["Hi.", "Hi."]
        play.at(began + 10)
        assert spoken(play)[-1] == "Sorry."
        assert play.did(do.LeaveCall) == []
        play.at(began + 14)  # The apology does not come either: only the carrier's voice is left.
        assert play.did(do.LeaveCall) == [do.LeaveCall("speech_failed", farewell="Bye.")]

    def test_what_stands_behind_failed_speech_is_neither_made_nor_heard(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say("aaa. ")), on.AgentActed(reply, Say("bbb.", voice="joe")))
        play.hears(on.AgentFinished(reply), on.SpeechArrived(1, b"a" * 4000))
        commands = play.hears(on.SpeechFailed(1, "speech_server", "500"))
        assert do.CancelSpeech(2) in commands
        assert play.hears(on.SpeechArrived(2, b"b" * 4000), on.SpeechFinished(2)) == []
        play.at(6)
        (spoke,) = play.kept(journal.AgentSpoke)
        assert "bbb" not in spoke.heard
        assert spoken(play)[-1] == "Sorry."

    def test_an_agent_whose_voice_fails_is_stopped_and_apologised_for_at_once(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say("Hi. And then")))
        commands = play.hears(on.SpeechFailed(1, "speech_server", "500"))
        assert do.CancelReply(reply) in commands
        assert spoken(play) == ["Hi.", "Sorry."]

    def test_an_error_behind_the_last_audio_of_a_sentence_is_none(self) -> None:
        play, _ = asked()
        play.agent_says("Hi there.", seconds=1.0)
        play.hears(on.SpeechFailed(1, "speech_server", "500"))
        play.at(6)
        assert play.kept(journal.AgentSpoke)[0].heard == "Hi there."
        assert not play.kept(journal.ProblemMet)

    def test_a_failure_of_what_was_only_prepared_is_not_counted(self) -> None:
        play = Play(filler="", apology="Sorry.", failures_allowed=2).start().at(1)
        for _ in range(2):
            play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" Hi"))
            play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
        play.hears(on.TurnEnded(" Hi you."))
        play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
        assert spoken(play) == ["Sorry."]

    def test_the_rest_of_a_notice_whose_connection_was_lost_is_a_notice(self) -> None:
        play, reply = asked()
        play.hears(
            on.AgentActed(reply, Say("This call is recorded.", interruptible=False)), on.AgentFinished(reply)
        )
        play.hears(on.SpeechFailed(1, "speech_unreachable", "reset", final=False))
        play.speech_arrives(2, "This call is recorded.", 2.0)
        play.at(2).caller_says(" Why?")
        play.at(8)
        assert play.kept(journal.AgentSpoke)[0].heard == "This call is recorded."


class TestSpaces:
    def test_a_line_break_before_the_first_word_is_heard_with_it(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say("\n")), on.AgentActed(reply, Say("Hello.")), on.AgentFinished(reply))
        assert "".join(spoken(play)) == "\nHello."
        play.speech_arrives(1, "Hello.", 0.5)
        play.at(5)
        (spoke,) = play.kept(journal.AgentSpoke)
        assert (spoke.heard, spoke.unheard) == ("\nHello.", "")


class TestVoices:
    def test_who_changes_only_the_language_keeps_the_voice(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Set(voice="maria")), on.AgentActed(reply, Set(language="es")))
        play.hears(on.AgentActed(reply, Say("Hola. ")), on.AgentFinished(reply))
        first = play.did(do.Synthesize)[-1]
        assert (first.voice, first.language) == ("maria", "es")
        play.speech_arrives(1, "Hola.", 0.5)
        play.at(5).caller_says(" Sigue.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Set(tuning=Tuning(end_threshold=0.1))), on.AgentActed(reply, Say("Si. ")))
        play.hears(on.AgentFinished(reply))
        assert len(play.did(do.TuneRecognizer)) == 1
        play.speech_arrives(2, "Si.", 0.5)
        play.at(9).caller_says(" Y?")
        play.agent_says("No.", seconds=0.5)
        last = play.did(do.Synthesize)[-1]
        assert (last.voice, last.language) == ("maria", "es")
        assert len(play.did(do.TuneRecognizer)) == 1

    def test_the_bridge_itself_speaks_with_the_voice_of_the_agent_in_its_own_language(self) -> None:
        play, reply = asked(filler="One moment.", filler_s=3.0)
        play.hears(on.AgentActed(reply, Set(voice="maria")))
        play.at(7)
        assert play.did(do.Synthesize) == [do.Synthesize(1, "One moment.", False, "maria", None)]
        play, reply = asked(filler="One moment.", filler_s=3.0)
        play.hears(on.AgentActed(reply, Set(voice="maria", language="es")))
        play.at(7)
        assert play.did(do.Synthesize) == [do.Synthesize(1, "One moment.", False, None, None)]


class TestMoments:
    def test_the_record_tells_the_first_of_everything(self) -> None:
        play, reply = asked(text_pause_s=5.0)
        play.at(2).hears(on.AgentActed(reply, Say("One two three four. ")))
        play.at(3).hears(on.SpeechArrived(1, b"a" * 8000))
        play.at(3.4).hears(on.AgentActed(reply, Say("Five six.")), on.AgentFinished(reply))
        play.at(3.6).hears(on.SpeechArrived(1, b"a" * 8000), on.SpeechFinished(1))
        play.at(3.9).marks_return(1)
        play.at(6).marks_return()
        (spoke,) = play.kept(journal.AgentSpoke)
        assert (spoke.asked_ms, spoke.text_ms, spoke.audio_ms) == (1000, 2000, 3000)
        assert (spoke.sent_ms, spoke.mark_ms) == (3000, 3900)
        assert (spoke.heard, spoke.ended_ms) == ("One two three four. Five six.", 6000)
