"""What counts as heard, and what can be cut: whole calls, judged by what the record says of the agent's words."""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Say
from tests.conversation.playbook import Play
from tests.conversation.test_floor import LONG, talking

LETTERS = "aa bb cc dd ee ff gg hh"
"""Eight words; the scenes let them last two seconds, four words a second."""


def heard(play: Play) -> str:
    """What counts as heard of the last answer that is over."""
    return str(play.kept(journal.AgentSpoke)[-1].heard)


def interrupt(play: Play) -> Play:
    play.hears(on.TurnStarted(), on.TurnUpdated(" Stop it please"))
    return play


def hung_up(play: Play) -> journal.CallClosed:
    play.hears(on.StreamStopped("caller"), on.RecognizerClosed())
    (closed,) = play.kept(journal.CallClosed)
    assert isinstance(closed, journal.CallClosed)
    return closed


class TestTooEarly:
    def test_a_word_on_its_way_is_not_heard(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says(LETTERS, seconds=2)
        assert heard(interrupt(play.at(1.45))) == ""

    def test_on_a_line_known_to_be_slow_the_way_is_longer(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("One two.", seconds=0.5)
        play.at(3.5).marks_return()
        play.caller_says(" More.")
        play.agent_says(LETTERS, seconds=2)
        assert heard(interrupt(play.at(4.5))) == ""

    def test_marks_that_a_clear_returned_do_not_count_after_a_false_alarm_either(self) -> None:
        play = talking()
        play.hears(on.TurnStarted())
        play.marks_return()
        play.at(3.5).hears(on.TurnEnded(""))
        # The phone has dropped what it held: what goes out now has a quarter of a second to go.
        assert heard(interrupt(play.at(3.7))) == "We are open"

    def test_late_marks_of_the_last_answer_say_nothing_of_this_one(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says(LONG, seconds=8)
        old = [mark.name for mark in play.did(do.SendMark)]
        play.at(1.1).caller_says(" No, wait.")
        play.agent_says(LETTERS, seconds=2)
        play.at(1.2).hears(*(on.MarkReturned(name) for name in old))
        assert heard(interrupt(play)) == ""

    def test_what_a_dead_line_swallowed_was_not_heard_when_the_call_does_not_come_back(self) -> None:
        play = talking().at(8)
        play.hears(on.StreamLost(), on.StreamStopped("caller"))
        assert heard(play) == "We are open"


class TestRules:
    def notice(self) -> tuple[Play, int]:
        play = Play().start().at(1).caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("This is recorded. ", interruptible=False)))
        return play, reply

    def test_what_follows_a_notice_can_be_cut(self) -> None:
        play, reply = self.notice()
        play.hears(on.AgentActed(reply, Say(LONG)), on.AgentFinished(reply))
        play.speech_arrives(1, "This is recorded.", 1.0)
        play.speech_arrives(2, LONG, 8.0)
        play.at(2.3).marks_return(2)
        interrupt(play.at(3))
        assert heard(play).startswith("This is recorded.")
        assert play.kept(journal.AgentSpoke)[-1].interrupted

    def test_a_notice_in_the_making_is_not_given_up(self) -> None:
        play, reply = self.notice()
        play.hears(on.AgentFinished(reply))
        play.at(1.5).caller_says(" What?")
        play.speech_arrives(1, "This is recorded.", 1.0)
        play.at(8)
        assert heard(play) == "This is recorded. "

    def test_a_filler_that_was_heard_does_not_make_two_questions_of_one(self) -> None:
        play = Play(filler="One moment.").start().at(1).caller_says(" When are you open?")
        play.at(4)
        play.speech_arrives(1, "One moment.", 1.0)
        play.at(5.4).marks_return()
        play.at(5.6).caller_says(" On Sundays, I mean.")
        assert heard(play).startswith("One moment.")
        question = play.did(do.AskAgent)[-1]
        assert question.transcript == " When are you open? On Sundays, I mean."
        assert question.interrupted is None


class TestCounting:
    def test_marks_that_never_came_back_are_counted(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("Hi there.", seconds=0.75)
        play.at(8)
        closed = hung_up(play)
        assert (closed.lost_marks, closed.under_runs) == (2, 0)

    def test_the_silence_of_a_false_alarm_is_no_dry_phone(self) -> None:
        play = talking()
        play.hears(on.TurnStarted())
        play.at(5).hears(on.TurnEnded(""))
        play.at(5.5)
        assert hung_up(play).under_runs == 0

    def test_a_pause_between_two_sentences_is_no_dry_phone(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        play.agent_says("Let me see. ", seconds=1.0, more=True)
        play.at(2.4).marks_return()
        play.at(5)
        play.agent_says("From nine.", seconds=1.0)
        play.at(5.5)
        assert hung_up(play).under_runs == 0

    def test_audio_that_was_sent_behind_the_last_whole_word_is_not_taken_for_the_rest(self) -> None:
        play = Play(lead_s=20.0).start().at(1).caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("aaa bbb.")), on.AgentFinished(reply))
        play.hears(on.WordsTimed(1, (on.Word("aaa", 0.0, 1.0), on.Word("bbb.", 1.0, 2.0))))
        play.hears(on.SpeechArrived(1, b"a" * 8400))
        play.hears(on.SpeechFailed(1, "speech_unreachable", "reset", final=False))
        play.speech_arrives(2, " bbb.", 1.0)
        assert sum(len(sent.audio) for sent in play.did(do.SendAudio) if sent.utterance == 2) == 8000
