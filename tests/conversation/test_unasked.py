"""What an agent says unasked, what it says to silence, and what keys and words may cut."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Note, RecordMessage, Say
from tests.conversation.playbook import Play
from tests.conversation.test_transfers import answer, occasions, spoken


class TestTheFloor:
    def test_it_is_given_at_once_when_nobody_speaks(self) -> None:
        play = Play().start().at(2)
        play.hears(on.FloorWanted())
        assert occasions(play) == ["call.started", "volunteered"]
        play.agent_says("Your taxi is here.", seconds=1)
        assert play.did(do.SendAudio)

    def test_it_waits_for_what_is_being_said(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("Hello to you.", seconds=2)
        play.hears(on.FloorWanted())
        assert occasions(play)[-1] == "turn.ended"
        play.at(5).marks_return()
        assert occasions(play)[-1] == "volunteered"

    def test_it_takes_the_place_of_what_may_be_replaced(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("While you wait, let me tell you about us.", seconds=4, preemptible=True)
        play.at(2.5).marks_return(1)
        assert play.hears(on.FloorWanted())[0] == do.ClearPlayout()
        assert occasions(play)[-1] == "volunteered"
        (said,) = play.kept(journal.AgentSpoke)
        assert said.unheard
        assert not said.interrupted

    def test_but_not_of_what_only_begins_so(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(
            on.AgentActed(reply, Say("Well. ", preemptible=True)), on.AgentActed(reply, Say("This matters."))
        )
        play.hears(on.AgentFinished(reply))
        play.hears(on.FloorWanted())
        assert occasions(play)[-1] == "turn.ended"

    def test_it_waits_for_the_caller_and_for_their_answer(self) -> None:
        play = Play().start().at(2)
        play.hears(on.TurnStarted(), on.TurnUpdated(" I"), on.FloorWanted())
        assert occasions(play) == ["call.started"]
        play.hears(on.TurnEnded(" I am late."))
        assert occasions(play)[-1] == "turn.ended"
        answer(play, Say("No matter."))
        utterance = play.did(do.Synthesize)[-1].utterance
        play.speech_arrives(utterance, "No matter.", 1)
        play.at(6).marks_return()
        assert occasions(play)[-1] == "volunteered"

    def test_a_message_is_not_talked_into(self) -> None:
        play = Play().start().at(1).caller_says(" I want to leave a message.")
        answer(play, RecordMessage(silence_s=4))
        play.hears(on.FloorWanted())
        assert "volunteered" not in occasions(play)
        play.at(6)
        assert occasions(play)[-1] == "message"
        answer(play)
        assert occasions(play)[-1] == "volunteered"

    def test_noise_does_not_keep_it_for_ever(self) -> None:
        play = Play(false_alarm_s=3).start().at(2)
        play.hears(on.TurnStarted(), on.FloorWanted())
        play.at(4.9)
        assert "volunteered" not in occasions(play)
        play.at(5.1)
        assert occasions(play)[-1] == "volunteered"

    def test_wanted_twice_it_is_given_once(self) -> None:
        play = Play().start().at(2)
        play.hears(on.FloorWanted(), on.FloorWanted())
        answer(play)
        play.at(4)
        assert occasions(play).count("volunteered") == 2  # The second wish came while the first was open.


class TestSilence:
    def silent(self) -> Play:
        play = Play(silence_s=10, silence_prompts=("There?",), silence_farewell="Bye.").start()
        play.silence_answered = True
        return play.at(10.1)

    def test_the_agent_is_asked_before_the_bridge_says_something(self) -> None:
        play = self.silent()
        assert occasions(play)[-1] == "silence"
        assert spoken(play) == []
        play.agent_says("Take your time.", seconds=1)
        assert spoken(play) == ["Take your time."]

    @pytest.mark.parametrize("what", ["nothing", "a note", "a failure", "no answer"])
    def test_where_it_has_nothing_to_say_the_bridge_has(self, what: str) -> None:
        play = self.silent()
        reply = play.did(do.AskAgent)[-1].reply
        match what:
            case "nothing":
                answer(play)
            case "a note":
                answer(play, Note({"silent": True}))
            case "a failure":
                play.hears(on.AgentFailed(reply, "agent_status", "500"))
            case _:
                play.at(13.2)
        assert spoken(play) == ["There?"]

    def test_an_answer_is_a_rung_of_the_ladder_all_the_same(self) -> None:
        play = self.silent()
        play.agent_says("Take your time.", seconds=1)
        play.at(13).marks_return()
        play.at(40)
        assert spoken(play) == ["Take your time.", "Bye."]

    def test_the_bridges_own_prompt_is_one_rung_and_not_two(self) -> None:
        play = self.silent()
        answer(play)
        play.speech_arrives(play.did(do.Synthesize)[-1].utterance, "There?", 1)
        play.at(13).marks_return()
        play.at(40)
        assert spoken(play) == ["There?", "Bye."]

    def test_the_agent_may_hang_up_on_it(self) -> None:
        play = self.silent()
        answer(play, HangUp("silent"))
        assert play.did(do.LeaveCall) == [do.LeaveCall("silent")]

    def test_failing_at_silences_is_not_failing_to_answer(self) -> None:
        play = Play(failures_allowed=1, silence_s=5).start()
        play.silence_answered = True
        play.at(5.1).hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
        assert spoken(play) == ["Are you still there?"]


class TestWhatCuts:
    def saying(self, rule: str) -> Play:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("one two three four five six", seconds=6, barge_in=rule)
        return play.at(3)

    @pytest.mark.parametrize(
        ("rule", "keys", "words"),
        [("speech", True, True), ("keys", True, False), ("voice", False, True), ("never", False, False)],
    )
    def test_a_rule_says_whether_keys_and_words_do(self, rule: str, keys: bool, words: bool) -> None:
        play = self.saying(rule)
        play.hears(on.DigitPressed("1"))
        assert bool(play.did(do.ClearPlayout)) == keys
        play = self.saying(rule)
        play.hears(on.TurnStarted(), on.TurnUpdated(" stop it now"))
        assert bool(play.did(do.ClearPlayout)) == words

    def test_a_key_that_may_not_is_told_when_the_agent_is_done(self) -> None:
        play = self.saying("voice")
        play.hears(on.DigitPressed("1"))
        assert "digits" not in occasions(play)
        play.at(8).marks_return()
        assert (occasions(play)[-1], play.did(do.AskAgent)[-1].digits) == ("digits", "1")

    def test_what_was_said_over_protected_speech_is_marked_so(self) -> None:
        play = self.saying("never")
        play.caller_says(" I know.")
        play.at(8).marks_return()
        assert (play.did(do.AskAgent)[-1].transcript, play.did(do.AskAgent)[-1].over_speech) == (" I know.", True)
        play.at(9)
        answer(play)
        play.at(10).caller_says(" And now?")
        assert not play.did(do.AskAgent)[-1].over_speech

    def test_what_was_said_before_it_sounded_is_not_though_more_was_said_over_it(self) -> None:
        play = Play(greeting="This call is recorded for quality.", greeting_barge_in="never").start()
        play.caller_says(" A bike, please.")
        play.speech_arrives(play.did(do.Synthesize)[-1].utterance, "This call is recorded for quality.", 3)
        play.at(1).caller_says(" I know.")
        play.at(8).marks_return()
        question = play.did(do.AskAgent)[-1]
        assert (question.transcript, question.over_speech) == (" A bike, please. I know.", False)

    def test_what_cut_it_off_is_not(self) -> None:
        play = self.saying("speech")
        play.caller_says(" Stop it now.")
        assert (occasions(play)[-1], play.did(do.AskAgent)[-1].over_speech) == ("turn.ended", False)

    def test_a_greeting_can_have_a_rule_of_its_own(self) -> None:
        play = Play(greeting="This call is recorded for quality.", greeting_barge_in="never").start()
        play.speech_arrives(play.did(do.Synthesize)[-1].utterance, "This call is recorded for quality.", 3)
        play.at(1).hears(on.TurnStarted(), on.TurnUpdated(" Hello? Hello?"))
        assert not play.did(do.ClearPlayout)
