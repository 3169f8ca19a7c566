"""What somebody who looks after a call says and does: the agent gives way, the caller does not."""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HangUp,
    Note,
    RecordMessage,
    Say,
    SendDigits,
    Set,
    Transfer,
    Tuning,
)
from tests.conversation.playbook import Play
from tests.conversation.test_floor import hear_until, talking
from tests.conversation.test_transfers import answer, occasions


def operator(play: Play, *actions: Action) -> list[do.Command]:
    return play.hears(on.OperatorActed(actions))


def spoken(play: Play, text: str, seconds: float = 1.0) -> None:
    """Let the audio of what was asked for last arrive."""
    play.speech_arrives(play.did(do.Synthesize)[-1].utterance, text, seconds)


class TestSaying:
    def test_it_is_said_at_once_when_nobody_speaks_and_the_agent_learns_of_it(self) -> None:
        play = Play().start().at(2)
        operator(play, Say("A colleague will call you back."))
        spoken(play, "A colleague will call you back.")
        play.at(5).marks_return()
        (said,) = play.kept(journal.AgentSpoke)
        assert (said.occasion, said.heard, said.turn) == ("operator", "A colleague will call you back.", 0)
        assert occasions(play) == ["call.started"]
        play.at(6).caller_says(" Thank you.")
        assert play.did(do.AskAgent)[-1].messages == (
            do.Message("assistant", "A colleague will call you back."),
            do.Message("user", "Thank you."),
        )

    def test_it_cuts_off_what_the_agent_says_even_if_callers_may_not(self) -> None:
        for rule in ("speech", "never"):
            play = talking(barge_in=rule)
            assert operator(play, Say("Stop."))[0] == do.ClearPlayout()
            (cut,) = play.kept(journal.AgentSpoke)
            assert cut.heard
            assert cut.unheard
            assert not cut.interrupted
            spoken(play, "Stop.")
            play.at(7).marks_return()
            assert play.kept(journal.AgentSpoke)[-1].occasion == "operator"
            assert occasions(play) == ["call.started", "turn.ended"]  # The rest is not said any more.

    def test_a_question_without_a_word_of_its_answer_is_asked_again_behind_it(self) -> None:
        play = Play().start().at(1).caller_says(" When are you open?")
        assert do.CancelReply(2) in operator(play, Say("One moment."))
        spoken(play, "One moment.")
        play.at(2)
        assert occasions(play) == ["call.started", "turn.ended"]
        play.at(5).marks_return()
        ask = play.did(do.AskAgent)[-1]
        assert (ask.occasion, ask.turn, ask.transcript) == ("turn.ended", 1, " When are you open?")
        assert [message.content for message in ask.messages] == ["When are you open?", "One moment."]

    def test_keys_without_a_word_of_their_answer_are_told_again_behind_it(self) -> None:
        play = Play().start().at(1)
        play.hears(on.DigitPressed("5"))
        operator(play, Say("One moment."))
        spoken(play, "One moment.")
        play.at(5).marks_return()
        assert [ask.digits for ask in play.did(do.AskAgent)] == ["", "5", "5"]

    def test_keys_of_a_secret_that_was_asked_for_stay_one_when_the_question_was_cut_off(self) -> None:
        play = Play().start().at(1).caller_says(" I want to pay.")
        answer(play, Say("Please key in your number."), GatherDigits(length=4, masked=True))
        spoken(play, "Please key in your number.", 4.0)
        hear_until(play, 3)
        operator(play, Say("One moment."))
        spoken(play, "One moment.")
        for key in "4111":
            play.hears(on.DigitPressed(key))
        play.at(9).marks_return()
        assert not play.kept(journal.KeyPressed)
        asked = play.did(do.AskAgent)[-1]
        assert (asked.occasion, asked.digits, asked.masked) == ("digits", "4111", True)

    def test_a_secret_stays_one_when_it_is_told_again(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        answer(play, GatherDigits(length=2, masked=True))
        play.at(2).hears(on.DigitPressed("4"), on.DigitPressed("2"))
        assert (play.did(do.AskAgent)[-1].digits, play.did(do.AskAgent)[-1].masked) == ("42", True)
        operator(play, Say("One moment."))
        spoken(play, "One moment.")
        play.at(6).marks_return()
        assert (play.did(do.AskAgent)[-1].digits, play.did(do.AskAgent)[-1].masked) == ("42", True)

    def test_it_waits_for_the_callers_words_and_is_said_before_they_are_answered(self) -> None:
        play = Play().start().at(2)
        play.hears(on.TurnStarted(), on.TurnUpdated(" I am"))
        assert operator(play, Say("One moment.")) == []
        play.at(3).hears(on.TurnEnded(" I am late."))
        assert occasions(play) == ["call.started"]
        spoken(play, "One moment.")
        play.at(3.5)
        assert not play.kept(journal.AgentSpoke)  # What was said before it does not cut it off.
        play.at(6).marks_return()
        assert play.did(do.AskAgent)[-1].transcript == " I am late."

    def test_a_key_beside_these_words_does_not_cut_it_off(self) -> None:
        play = Play().start().at(2)
        play.hears(on.TurnStarted(), on.TurnUpdated(" I am"), on.DigitPressed("5"))
        operator(play, Say("One moment."))
        play.at(3).hears(on.TurnEnded(" I am late."))
        spoken(play, "One moment.")
        play.at(3.5)
        assert not play.kept(journal.AgentSpoke)
        play.at(6).marks_return()
        assert (play.did(do.AskAgent)[-1].transcript, play.did(do.AskAgent)[-1].digits) == (" I am late.", "5")

    def test_it_does_not_wait_for_a_noise(self) -> None:
        play = Play(false_alarm_s=2.0).start().at(2)
        play.hears(on.TurnStarted())
        operator(play, Say("Hello?"))
        play.at(3.9)
        assert not play.did(do.Synthesize)
        play.at(4)
        assert [piece.text for piece in play.did(do.Synthesize)] == ["Hello?"]

    def test_nor_for_one_over_speech_that_may_not_be_cut(self) -> None:
        play = talking(barge_in="never", false_alarm_s=2.0)
        play.hears(on.TurnStarted())
        operator(play, Say("Hello?"))
        play.at(5.1)
        assert play.did(do.Synthesize)[-1].text == "Hello?"

    def test_the_caller_may_interrupt_it(self) -> None:
        play = Play().start().at(2)
        operator(play, Say("We are sorry for the inconvenience that this causes."))
        spoken(play, "We are sorry for the inconvenience that this causes.", 4)
        play.at(3.5).marks_return(2)
        play.caller_says(" No problem.")
        (said,) = play.kept(journal.AgentSpoke)
        assert said.interrupted
        assert play.did(do.AskAgent)[-1].interrupted == do.Interruption(said.heard, said.unheard)

    def test_unless_it_says_that_it_may_not(self) -> None:
        play = Play().start().at(2)
        operator(play, Say("This call is recorded.", interruptible=False))
        spoken(play, "This call is recorded.", 2)
        play.at(3).caller_says(" No problem.")
        assert not play.kept(journal.AgentSpoke)

    def test_a_second_sentence_follows_the_first(self) -> None:
        play = Play().start().at(2)
        operator(play, Say("One."))
        spoken(play, "One.")
        operator(play, Say("Two."))
        spoken(play, "Two.")
        assert not play.did(do.ClearPlayout)
        play.at(6).marks_return()
        (said,) = play.kept(journal.AgentSpoke)
        assert said.heard == "One. Two."

    def test_a_prepared_answer_is_dropped_for_it(self) -> None:
        play = Play().start().at(2)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" I am late."))
        operator(play, Say("One moment."))
        play.hears(on.TurnEnded(" I am late."))
        assert play.did(do.Synthesize)[-1].text == "One moment."
        spoken(play, "One moment.")
        play.at(6).marks_return()
        assert [ask.speculative for ask in play.did(do.AskAgent)] == [False, True, False]

    def test_where_speech_fails_there_is_nothing_to_apologise_for(self) -> None:
        play = Play().start().at(2)
        operator(play, Say("One moment."))
        play.hears(on.SpeechFailed(1, "speech_server", "500"))
        assert [piece.text for piece in play.did(do.Synthesize)] == ["One moment."]
        play.at(3).caller_says(" Hello?")
        assert occasions(play)[-1] == "turn.ended"

    def test_it_waits_for_the_end_of_a_message(self) -> None:
        play = Play().start().at(1).caller_says(" Nobody there?")
        answer(play, RecordMessage(silence_s=2))
        operator(play, Say("I am here."))
        assert not play.did(do.Synthesize)
        play.at(4)
        assert play.kept(journal.MessageLeft)
        assert play.did(do.Synthesize)[-1].text == "I am here."

    def test_it_works_where_nobody_answers(self) -> None:
        play = Play(agent=False).start().at(2)
        operator(play, Say("Hello."))
        spoken(play, "Hello.")
        play.at(3).caller_says(" Who is there?")
        play.at(9).marks_return()
        (said,) = play.kept(journal.AgentSpoke)
        assert said.occasion == "operator"
        assert not play.did(do.AskAgent)


class TestDoing:
    def test_hanging_up_is_done_at_once_whoever_speaks(self) -> None:
        play = talking()
        play.hears(on.TurnStarted(), on.TurnUpdated(" Wait"))
        (leave,) = [one for one in operator(play, HangUp("operator")) if isinstance(one, do.LeaveCall)]
        assert leave == do.LeaveCall("operator")

    def test_an_answer_that_was_prepared_is_dropped_by_it(self) -> None:
        play = Play().start().at(2)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" I am late."))
        operator(play, HangUp("operator"))
        assert play.kept(journal.SpeculationDropped)
        assert not play.kept(journal.AgentSpoke)
        assert play.did(do.LeaveCall) == [do.LeaveCall("operator")]

    def test_a_good_bye_is_heard_first_and_no_words_keep_the_call(self) -> None:
        play = Play().start().at(2)
        operator(play, Say("Good-bye.", interruptible=False), HangUp("operator"))
        spoken(play, "Good-bye.")
        play.at(2.5).caller_says(" Wait, please.")
        play.hears(on.TurnStarted(), on.TurnUpdated(" I have a question"))
        play.at(3)
        assert not play.did(do.LeaveCall)
        play.at(3.2).marks_return()
        play.at(4)
        assert play.did(do.LeaveCall) == [do.LeaveCall("operator")]
        assert occasions(play) == ["call.started"]

    def test_a_good_bye_that_cannot_be_said_ends_the_call_all_the_same(self) -> None:
        play = Play().start().at(2)
        operator(play, Say("Good-bye.", interruptible=False), HangUp("operator"))
        play.hears(on.SpeechFailed(1, "speech_server", "500"))
        assert play.did(do.LeaveCall) == [do.LeaveCall("operator")]

    def test_what_the_agent_wanted_to_do_behind_its_words_is_not_done(self) -> None:
        play = Play().start().at(1).caller_says(" Bye.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say("Good-bye.")), on.AgentActed(reply, HangUp()), on.AgentFinished(reply))
        spoken(play, "Good-bye.")
        operator(play, Say("One more thing."))
        spoken(play, "One more thing.")
        play.at(6).marks_return()
        assert not play.did(do.LeaveCall)

    def test_a_transfer(self) -> None:
        play = talking()
        wanted = Transfer("+15550100009")
        operator(play, wanted)
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", wanted)]

    def test_tones_follow_in_sequence(self) -> None:
        play = Play().start().at(1)
        commands = operator(play, SendDigits("12"))
        assert commands == [do.SendTones(1, "12")]

    def test_what_comes_while_the_stream_is_lost_is_done_when_it_is_back(self) -> None:
        play = Play().start().at(2)
        play.hears(on.StreamLost())
        assert operator(play, Say("Hello?")) == []
        play.at(3).hears(on.StreamStarted())
        assert play.did(do.Synthesize)[-1].text == "Hello?"

    def test_a_call_that_is_being_left_takes_nothing_any_more(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        answer(play, Transfer("+15550100009"))
        play.hears(on.StreamStopped("agent"))
        operator(play, Say("Hello?"))
        play.at(5).hears(on.TransferEnded("busy"), on.StreamStarted())
        assert not any(piece.text == "Hello?" for piece in play.did(do.Synthesize))

    def test_a_transfer_behind_a_sentence_waits_for_it(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated(" Hello"))
        operator(play, Say("Hello?"))
        operator(play, Transfer("+15550100009"))
        # Both wait for the caller, whose turn ends; then the transfer follows the words.
        play.hears(on.TurnEnded(" Hello"))
        spoken(play, "Hello?")
        play.at(4).marks_return()
        play.at(5)
        assert [leave.transfer_to for leave in play.did(do.LeaveCall)] == ["+15550100009"]

    def test_what_was_to_be_said_is_forgotten_when_the_call_is_left(self) -> None:
        play = Play(warm=True).start().at(1).caller_says(" A human, please.")
        answer(play, Transfer("+15550100009", "A caller."))
        play.at(2).hears(on.TurnStarted(), on.TurnUpdated(" Hello"))
        operator(play, Say("Hello?"))
        play.hears(on.OtherAccepted("room"), on.StreamStopped("agent"))
        play.at(5).hears(on.TransferEnded("busy"), on.StreamStarted())
        play.at(8)
        assert not any(piece.text == "Hello?" for piece in play.did(do.Synthesize))


class TestBeside:
    def test_notes_and_settings_disturb_nothing(self) -> None:
        play = talking()
        tuning = Tuning(end_threshold=0.1)
        assert operator(play, Note({"ticket": 7}), Set(tuning=tuning)) == [do.TuneRecognizer(tuning)]
        (note,) = play.kept(journal.NoteTaken)
        assert (note.at_ms, note.data) == (3000, {"ticket": 7})
        hear_until(play, 8)
        play.at(12)
        assert [(one.occasion, one.unheard) for one in play.kept(journal.AgentSpoke)] == [("turn.ended", "")]

    def test_a_note_is_kept_while_the_caller_is_away(self) -> None:
        play = Play().start().at(1).caller_says(" Hello.")
        answer(play, Transfer("+15550100009"))
        play.hears(on.StreamStopped("agent"))
        play.at(5)
        operator(play, Note({"k": 1}))
        assert play.kept(journal.NoteTaken)
