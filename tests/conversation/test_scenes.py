"""Scenes that a caller would remember: each once went wrong, or nearly did."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Say, Transfer
from tests.conversation.playbook import Play

GOODBYE = "Good-bye and thank you for calling us."


def asked(**policy: object) -> tuple[Play, int]:
    play = Play(**policy).start().at(1)
    play.caller_says(" When are you open?")
    return play, play.did(do.AskAgent)[-1].reply


def questions(play: Play) -> list[str]:
    return [ask.transcript for ask in play.did(do.AskAgent)][1:]


def spoken(play: Play) -> list[str]:
    return [piece.text for piece in play.did(do.Synthesize)]


class TestNoise:
    def test_where_it_is_never_quiet_the_agent_still_comes_to_its_end_and_hangs_up(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say(GOODBYE)), on.AgentActed(reply, HangUp()), on.AgentFinished(reply))
        play.speech_arrives(1, GOODBYE, 3.5)
        for second in range(1, 20):
            if play.did(do.LeaveCall):
                break
            play.at(second + 0.5).hears(on.TurnStarted())
            play.at(second + 1.3).hears(on.TurnEnded(""))
        assert play.did(do.LeaveCall) == [do.LeaveCall("agent")]
        assert play.kept(journal.AgentSpoke)[-1].heard == GOODBYE

    def test_a_noise_that_does_not_end_does_not_keep_a_question_waiting(self) -> None:
        play = Play(false_alarm_s=2.0).start().at(1)
        play.caller_says(" When are you open?")
        play.agent_says("Sorry?", seconds=0.5, interruptible=False)
        play.at(1.2).caller_says(" On Sundays.")
        play.at(1.3).hears(on.TurnStarted())
        play.at(1.8).marks_return()
        play.at(3.4)
        assert questions(play)[-1] == " On Sundays."

    def test_a_long_noise_that_took_the_floor_is_answered_with_a_request(self) -> None:
        play, _ = asked(barge_in_s=1.0, outage="Say that again?")
        play.agent_says("From nine to six on every day of the week.", seconds=5)
        play.at(2).hears(on.TurnStarted())
        play.at(3.2).hears(on.TurnEnded(""))
        assert spoken(play)[-1] == "Say that again?"

    def test_a_long_noise_before_there_is_an_answer_does_not_ask_twice(self) -> None:
        play, _ = asked(barge_in_s=1.0)
        play.hears(on.TurnStarted())
        play.at(3).hears(on.TurnEnded(""))
        assert questions(play) == [" When are you open?"]

    def test_a_long_noise_over_the_good_bye_does_not_keep_the_call_up(self) -> None:
        play, reply = asked(barge_in_s=1.0)
        play.hears(on.AgentActed(reply, Say(GOODBYE)), on.AgentActed(reply, HangUp()), on.AgentFinished(reply))
        play.speech_arrives(1, GOODBYE, 3.0)
        play.at(1.5).hears(on.TurnStarted())
        play.at(3.5).hears(on.TurnEnded(""))
        play.at(9)
        assert play.did(do.LeaveCall) == [do.LeaveCall("agent")]


class TestAnswers:
    def test_yeah_to_a_question_is_an_answer_even_if_the_agents_stream_is_still_open(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say("Shall I book it for eight? ")))
        play.at(1.6)
        play.speech_arrives(1, "Shall I book it for eight?", 1.5)
        play.at(3.2).marks_return()
        play.at(4).caller_says(" Yeah.")
        assert questions(play)[-1] == " Yeah."

    def test_what_must_be_heard_is_heard_though_the_greeting_before_it_was_cut(self) -> None:
        play = Play(greeting="Riverside Bikes, hello.")
        play.hears(on.StreamStarted())
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(
            on.AgentActed(reply, Say("This call is recorded.", interruptible=False)), on.AgentFinished(reply)
        )
        play.speech_arrives(1, "Riverside Bikes, hello.", 2.0)
        play.speech_arrives(2, "This call is recorded.", 2.0)
        play.at(1).caller_says(" Yes, hi there.")
        notice = play.did(do.Synthesize)[-1]
        assert notice.text.strip() == "This call is recorded."
        play.speech_arrives(notice.utterance, notice.text, 2.0)
        play.at(2).caller_says(" Hello?")
        assert len(play.did(do.AskAgent)) == 1
        play.at(7)
        assert play.did(do.AskAgent)[-1].transcript == " Yes, hi there. Hello?"
        assert play.kept(journal.AgentSpoke)[-1].heard.strip() == "This call is recorded."

    def test_greeting_and_answer_are_two_sentences(self) -> None:
        play = Play(greeting="Hello.")
        play.hears(on.StreamStarted())
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("How can I help?")), on.AgentFinished(reply))
        for piece in play.did(do.Synthesize):
            play.speech_arrives(piece.utterance, piece.text, 0.5)
        play.at(4).caller_says(" Bikes.")
        assert play.did(do.AskAgent)[-1].messages[0].content == "Hello. How can I help?"

    def test_a_greeting_that_was_heard_is_not_cut_off_while_the_agent_thinks_of_its_own(self) -> None:
        play = Play(greeting="Hello.")
        play.hears(on.StreamStarted())
        play.speech_arrives(1, "Hello.", 0.5)
        play.at(0.6).marks_return()
        play.at(1).caller_says(" Bikes, please.")
        (greeting,) = play.kept(journal.AgentSpoke)
        assert (greeting.heard, greeting.unheard, greeting.interrupted) == ("Hello.", "", False)
        assert play.did(do.AskAgent)[-1].interrupted is None

    def test_an_agent_that_pauses_in_its_answer_is_cut_off_though_all_so_far_was_heard(self) -> None:
        play, _ = asked()
        play.agent_says("One moment. ", seconds=0.5, more=True)
        play.at(2).marks_return()
        play.at(2.1).caller_says(" And a bell.")
        assert play.did(do.AskAgent)[-1].interrupted == do.Interruption("One moment. ", "")

    def test_turns_without_a_space_between_them_do_not_become_one_word(self) -> None:
        play = Play().start().at(1)
        play.caller_says("Book a table")
        play.at(1.1).caller_says("for two")
        assert questions(play)[-1] == "Book a table for two"

    def test_what_was_said_over_protected_speech_stands_behind_it(self) -> None:
        play, _ = asked(barge_in="never")
        play.agent_says("This call is recorded.", seconds=2.0)
        play.at(2).caller_says(" Why is that?")
        play.at(6)
        contents = [message.content for message in play.did(do.AskAgent)[-1].messages]
        assert contents == ["When are you open?", "This call is recorded.", "Why is that?"]

    def test_words_of_scripts_without_spaces_are_counted(self) -> None:
        play, _ = asked(barge_in="words:2")
        play.agent_says("From nine to six.", seconds=3)
        play.at(2).hears(on.TurnStarted(), on.TurnUpdated("ちょっと待って"))
        assert play.kept(journal.AgentSpoke)[-1].interrupted

    def test_marks_of_letters_make_another_word(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded("कल"), on.TurnEnded("काल"))
        assert questions(play) == ["कल", "काल"]


class TestInterruption:
    def test_it_is_told_with_the_question_that_is_answered_in_the_end(self) -> None:
        play, _ = asked()
        play.agent_says("Once upon a time there was a king.", seconds=4)
        play.at(2.6)
        play.marks_return(2)
        play.caller_says(" Wait.")
        play.at(2.8).caller_says(" A shorter one.")
        last = play.did(do.AskAgent)[-1]
        assert last.transcript == " Wait. A shorter one."
        assert last.interrupted is not None
        assert last.interrupted.heard.startswith("Once")

    def test_a_sentence_of_the_bridge_that_is_cut_is_no_answer_of_the_agent(self) -> None:
        play, _ = asked(silence_s=3.0)
        play.agent_says("From nine.", seconds=0.5)
        play.at(5)
        prompt = play.did(do.Synthesize)[-1]
        play.speech_arrives(prompt.utterance, prompt.text, 2.0)
        play.at(6).caller_says(" Yes, I am.")
        assert play.did(do.AskAgent)[-1].interrupted is None


class TestEnds:
    def test_a_caller_who_has_begun_a_sentence_may_finish_it(self) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say(GOODBYE, interruptible=False)), on.AgentActed(reply, HangUp()))
        play.hears(on.AgentFinished(reply))
        play.speech_arrives(1, GOODBYE, 2.0)
        play.at(3).hears(on.TurnStarted(), on.TurnUpdated(" Wait, I also"))
        play.at(6)
        assert not play.did(do.LeaveCall)
        play.hears(on.TurnEnded(" Wait, I also need a bike."))
        assert questions(play)[-1] == " Wait, I also need a bike."

    @pytest.mark.parametrize("action", [HangUp("done"), Transfer("+15550100")])
    def test_an_agent_that_ends_the_call_need_not_end_its_stream(self, action: HangUp | Transfer) -> None:
        play, reply = asked()
        play.hears(on.AgentActed(reply, Say("Bye. ")), on.AgentActed(reply, action))
        play.speech_arrives(1, "Bye.", 0.5)
        play.at(4)
        (left,) = play.did(do.LeaveCall)
        assert left.transfer_to == (action.to if isinstance(action, Transfer) else "")
        assert do.CancelReply(reply) in play.did(do.CancelReply)

    @pytest.mark.parametrize("bytes_", [0, 4000])
    def test_a_transfer_behind_speech_that_failed_is_announced_by_us(self, bytes_: int) -> None:
        play, reply = asked(handover="I'll connect you.")
        play.hears(on.AgentActed(reply, Say("Your code is one.")), on.AgentActed(reply, Transfer("+15550100")))
        play.hears(on.AgentFinished(reply), on.SpeechArrived(1, b"a" * bytes_))
        play.hears(on.SpeechFailed(1, "speech_request", "400"))
        play.at(4)
        assert spoken(play)[-1] == "I'll connect you."
        play.speech_arrives(2, "I'll connect you.", 0.5)
        play.at(10)
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", Transfer("+15550100"))]

    def test_a_hang_up_behind_speech_that_failed_says_good_bye_first(self) -> None:
        play, reply = asked(farewell="Sorry, good-bye.")
        play.hears(on.AgentActed(reply, Say("Your code is one.")), on.AgentActed(reply, HangUp()))
        play.hears(on.AgentFinished(reply), on.SpeechArrived(1, b"a" * 4000))
        play.hears(on.SpeechFailed(1, "speech_request", "400"))
        play.at(6)
        assert spoken(play)[-1] == "Sorry, good-bye."

    def test_text_without_sound_was_not_heard(self) -> None:
        play, reply = asked(apology="Sorry.")
        play.hears(on.AgentActed(reply, Say("Your code is one.")), on.AgentFinished(reply))
        for utterance in range(1, 5):
            play.hears(on.SpeechFinished(utterance)).append(play.at(play.now - 100 + 1.1))
        assert spoken(play)[-1] == "Sorry."
        assert play.kept(journal.AgentSpoke)[-1].heard == ""

    def test_a_notice_of_the_end_that_was_cut_at_once_is_repeated(self) -> None:
        play = Play(max_call_s=100.0, limit_notice="One minute left.", silence_s=500.0).start().at(40)
        play.at(40.1).caller_says(" Hello?")
        play.agent_says("Yes.", seconds=0.5)
        play.at(50)
        assert spoken(play) == ["One minute left.", "Yes.", "One minute left."]


class TestEchoes:
    def test_an_echo_whose_text_comes_after_the_speech_is_not_answered(self) -> None:
        play, _ = asked(barge_in="never")
        play.agent_says("This call is recorded for training.", seconds=3)
        play.at(1.6).hears(on.TurnStarted())
        play.at(5).hears(on.TurnUpdated(" This call is"), on.TurnEnded(" This call is recorded for training."))
        assert questions(play) == [" When are you open?"]

    def test_an_echo_does_not_keep_a_silent_caller_on_the_line(self) -> None:
        play = Play(silence_s=5.0).start()
        said = 0
        for second in range(1, 80):
            play.at(second)
            if len(prompts := play.did(do.Synthesize)) > said and not play.did(do.LeaveCall):
                said = len(prompts)
                play.speech_arrives(prompts[-1].utterance, prompts[-1].text, 1.0)
                play.at(second + 0.3).hears(on.TurnStarted())
                play.at(second + 0.4).hears(on.TurnEnded(" ".join(prompts[-1].text.split()[:3])))
                play.at(second + 0.5)
        assert [spoke.meaning for spoke in play.kept(journal.CallerSpoke)] == ["echo"] * 3
        assert play.did(do.LeaveCall)[0].reason == "silence"
