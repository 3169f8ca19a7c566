"""Transfers whose carrier, caller and agent act in the same moment, late, twice, or not at all."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import GatherDigits, HangUp, RecordMessage, Say, SendDigits, Set, Transfer, Tuning
from tests.conversation.playbook import Play
from tests.conversation.test_transfers import DESK, answer, asked, away, ended, occasions, spoken

WARM = Transfer(DESK, "A caller with a broken bike.")


def consulting(**policy: object) -> Play:
    return asked(WARM, warm=True, **policy)


class TestTheOtherSide:
    def test_who_accepts_while_the_callers_stream_is_broken_gets_the_caller(self) -> None:
        play = consulting().at(4)
        play.hears(on.StreamLost())
        assert play.hears(on.OtherAccepted("room"))[-1] == do.LeaveCall("transfer", WARM, "room")
        assert not play.conversation.expects_stream
        play.at(9).hears(on.TransferEnded("completed", 5))
        play.at(30)
        assert ended(play).reason == "transfer"

    def test_is_hung_up_on_when_the_caller_hangs_up_before_they_are_joined(self) -> None:
        play = consulting().at(4)
        play.hears(on.OtherAccepted("room"), on.StreamLost(), on.StreamStopped("caller"))
        assert play.did(do.CancelOther) == [do.CancelOther()]
        play.at(30)
        assert ended(play).at_ms > 0

    def test_and_when_the_caller_could_not_be_joined_with_it(self) -> None:
        play = consulting().at(4)
        play.hears(on.OtherAccepted("room"), on.StreamLost())
        assert do.CancelOther() in play.hears(on.TransferEnded("failed"))
        play.hears(on.StreamStarted())
        assert occasions(play)[-1] == "transfer.ended"

    def test_but_not_when_a_bridge_stops_while_they_talk(self) -> None:
        play = consulting().at(4)
        play.hears(on.OtherAccepted("room"), on.StreamLost(), on.StreamStopped("shutdown"))
        assert not play.did(do.CancelOther)

    def test_nor_where_nobody_was_called(self) -> None:
        play = away().at(5)
        play.hears(on.TransferEnded("busy"), on.StreamStarted())
        assert not play.did(do.CancelOther)

    def test_nor_when_they_have_talked(self) -> None:
        play = consulting().at(4)
        play.hears(on.OtherAccepted("room"), on.StreamLost(), on.TransferEnded("completed", 9))
        assert not play.did(do.CancelOther)

    def test_of_which_the_carrier_tells_nothing_any_more_is_given_up(self) -> None:
        play = consulting(longest_ring_s=30, silence_s=20, filler="").at(205)
        assert not play.did(do.CancelOther)
        play.at(212)
        assert play.did(do.CancelOther) == [do.CancelOther()]
        assert play.did(do.AskAgent)[-1].transfer == do.TransferResult(DESK, "no-answer")
        assert [(tried.status, tried.warm) for tried in play.kept(journal.TransferTried)] == [("no-answer", True)]

    def test_with_the_time_that_the_agent_lets_it_ring(self) -> None:
        play = asked(Transfer(DESK, "A caller.", timeout_s=100), warm=True, silence_s=500).at(275)
        assert not play.did(do.CancelOther)
        play.at(282)
        assert play.did(do.CancelOther)


class TestAnotherTransfer:
    def refused(self) -> Play:
        """Return a call whose first transfer failed, and whose agent wants another before it is told."""
        play = consulting().at(4).caller_says(" Or sales.")
        play.hears(on.TransferEnded("busy"))
        answer(play, Transfer("+15550100010"))
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", Transfer("+15550100010"))]
        return play

    def test_does_not_expect_the_caller_back_because_the_first_did_not_come_about(self) -> None:
        play = self.refused()
        assert not play.conversation.expects_stream
        play.hears(on.StreamLost(), on.RecognizerClosed())
        play.at(600)
        assert not play.did(do.Close)
        play.hears(on.TransferEnded("completed", 590))
        assert ended(play).reason == "transfer"
        assert [tried.status for tried in play.kept(journal.TransferTried)] == ["busy", "completed"]

    def test_tells_its_own_result(self) -> None:
        play = self.refused()
        play.hears(on.StreamLost(), on.RecognizerClosed(), on.TransferEnded("no-answer"), on.StreamStarted())
        told = [ask.transfer for ask in play.did(do.AskAgent) if ask.transfer is not None]
        assert told == [do.TransferResult("+15550100010", "no-answer")]

    def test_a_call_that_is_left_for_good_expects_nobody_back_either(self) -> None:
        play = consulting().at(4).caller_says(" Never mind. Good-bye.")
        play.hears(on.TransferEnded("busy"))
        answer(play, HangUp())
        assert not play.conversation.expects_stream
        assert not play.hears(on.StreamStarted())

    def test_keys_of_the_carrier_do_not_make_it_forget_the_result(self) -> None:
        play = consulting().at(4).caller_says(" Hello?")
        play.hears(on.TransferEnded("busy"))
        answer(play, SendDigits("1", by_carrier=True))
        play.hears(on.StreamLost(), on.StreamStarted())
        assert play.did(do.AskAgent)[-1].transfer == do.TransferResult(DESK, "busy")


class TestTheResult:
    def test_that_the_caller_talked_into_is_told_again_behind_the_answer(self) -> None:
        play = away().at(5)
        play.hears(on.TransferEnded("busy"), on.StreamStarted())
        assert occasions(play)[-1] == "transfer.ended"
        play.hears(on.TurnStarted(), on.TurnUpdated(" Hello?"))
        play.hears(on.TurnEnded(" Hello?"))
        assert occasions(play)[-1] == "turn.ended"
        answer(play)
        ask = play.did(do.AskAgent)[-1]
        assert (ask.occasion, ask.transfer) == ("transfer.ended", do.TransferResult(DESK, "busy"))
        answer(play, Say("They are busy."))
        assert occasions(play).count("transfer.ended") == 2

    def test_but_not_once_something_of_the_answer_was_heard(self) -> None:
        play = away().at(5)
        play.hears(on.TransferEnded("busy"), on.StreamStarted())
        play.agent_says("They are busy, all of them.", seconds=4)
        play.at(8).marks_return(2)
        play.hears(on.TurnStarted(), on.TurnUpdated(" I see, so"), on.TurnEnded(" I see, so what?"))
        answer(play)
        assert occasions(play)[-1] == "turn.ended"


class TestTheReturn:
    def test_speech_to_text_is_set_as_it_was(self) -> None:
        play = asked(Set(tuning=Tuning(language="de", end_threshold=0.1)))
        play.at(3).caller_says(" Next.")
        answer(play, Set(tuning=Tuning(end_threshold=0.2, keyterms=("Velo",))))
        play.at(5).caller_says(" A human!")
        answer(play, Transfer(DESK))
        play.hears(on.StreamLost(), on.TransferEnded("busy"))
        done = play.hears(on.StreamStarted())
        where = done.index(do.OpenRecognizer())
        tuning = Tuning(language="de", end_threshold=0.2, keyterms=("Velo",))
        assert done[where + 1] == do.TuneRecognizer(tuning)

    def test_and_not_touched_where_nothing_was_set(self) -> None:
        play = away().at(5)
        play.hears(on.TransferEnded("busy"), on.StreamStarted())
        assert not play.did(do.TuneRecognizer)

    def test_a_number_that_was_being_gathered_is_not_gathered_on(self) -> None:
        play = consulting().at(4).caller_says(" Hello?")
        answer(play, GatherDigits(masked=True))
        play.hears(on.DigitPressed("4"), on.OtherAccepted("room"), on.StreamLost(), on.TransferEnded("failed"))
        before = play.conversation.masked
        play.hears(on.StreamStarted())
        assert (before, play.conversation.masked) == (True, False)
        assert occasions(play)[-1] == "transfer.ended"
        assert all(not ask.digits for ask in play.did(do.AskAgent))

    def test_words_said_while_the_carrier_sent_keys_are_answered(self) -> None:
        play = asked(SendDigits("1", by_carrier=True))
        play.hears(on.TurnStarted(), on.TurnEnded(" Are you there?"), on.StreamLost(), on.RecognizerClosed())
        play.at(4).hears(on.StreamStarted())
        assert play.did(do.AskAgent)[-1].transcript == " Are you there?"


class TestAMachine:
    def test_that_was_leaving_a_message_is_not_asked_about_it(self) -> None:
        play = Play(voicemail="Please call us back.").start().at(1).caller_says(" You have reached me.")
        answer(play, RecordMessage(silence_s=2))
        play.at(2).hears(on.AnswererKnown("machine_start"))
        assert [left.number for left in play.kept(journal.MessageLeft)] == [1]
        play.at(8)
        assert "message" not in occasions(play)
        assert spoken(play) == ["Please call us back."]

    def test_is_not_done_what_stood_behind_keys(self) -> None:
        play = asked(SendDigits("1", by_carrier=True), GatherDigits(masked=True), voicemail="Please call us back.")
        play.hears(on.StreamLost(), on.AnswererKnown("machine_start"))
        play.hears(on.StreamStarted())
        assert spoken(play) == ["Please call us back."]
        assert not play.conversation.masked

    def test_that_is_left_without_a_word_is_asked_for_no_secret(self) -> None:
        play = asked(SendDigits("1", by_carrier=True), GatherDigits(masked=True), voicemail="")
        play.hears(on.StreamLost(), on.AnswererKnown("machine_start"))
        assert play.conversation.masked
        play.hears(on.StreamStarted())
        assert play.did(do.LeaveCall)[-1] == do.LeaveCall("machine")
        assert not play.conversation.masked  # Its last words are kept.


class TestTheFloor:
    def test_is_not_given_for_a_moment_only_while_words_wait_to_be_answered(self) -> None:
        play = Play(filler="").start().at(1).caller_says(" Hello.")
        play.agent_says("You are in the queue now.", seconds=4, barge_in="never", preemptible=True)
        play.at(2.5).caller_says(" How long?")
        play.hears(on.FloorWanted())
        play.at(9).marks_return()
        assert occasions(play)[-1] == "turn.ended"
        answer(play)
        assert occasions(play).count("volunteered") == 1
        assert occasions(play)[-1] == "volunteered"

    def test_does_not_cost_what_stands_behind_speech_that_may_be_replaced(self) -> None:
        play = Play().start().at(1).caller_says(" A human!")
        answer(play, Say("I will connect you.", preemptible=True), Transfer(DESK))
        play.speech_arrives(1, "I will connect you.", 2)
        play.hears(on.FloorWanted())
        play.at(5).marks_return()
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", Transfer(DESK))]


class TestSecrets:
    CARD = GatherDigits(length=4, masked=True)

    def pressed(self, play: Play, keys: str) -> None:
        play.hears(*(on.DigitPressed(key) for key in keys))

    def test_are_waited_for_without_a_look_at_the_clock_over_and_over(self) -> None:
        play = Play(false_alarm_s=3).start().at(1).caller_says(" Here comes my card.")
        answer(play, self.CARD)
        play.at(2).caller_says(" One moment.").hears(on.TurnStarted())
        play.at(9)  # The playbook minds a deadline that comes again and leads to nothing.
        assert occasions(play)[-1] == "turn.ended"
        play.at(12)
        assert "digits" in occasions(play)

    def test_stay_secret_when_the_caller_speaks_before_the_answer(self) -> None:
        play = asked(self.CARD)
        self.pressed(play, "4111")
        assert play.did(do.AskAgent)[-1].masked
        play.hears(on.TurnStarted(), on.TurnUpdated(" Sorry"), on.TurnEnded(" Sorry, wrong card."))
        ask = play.did(do.AskAgent)[-1]
        assert (ask.occasion, ask.digits, ask.masked) == ("turn.ended", "4111", True)

    def test_so_do_the_keys_pressed_on_behind_their_end(self) -> None:
        play = asked(self.CARD)
        self.pressed(play, "411155")
        assert not play.kept(journal.KeyPressed)

    def test_so_do_keys_that_join_them(self) -> None:
        play = asked(self.CARD)
        self.pressed(play, "4111")
        play.hears(on.TurnStarted(), on.TurnUpdated(" Sorry"))
        self.pressed(play, "2")
        assert not play.kept(journal.KeyPressed)
        play.hears(on.TurnEnded(" Sorry."))
        assert play.did(do.AskAgent)[-1].masked
        answer(play)
        self.pressed(play, "3")
        assert [key.digit for key in play.kept(journal.KeyPressed)] == ["3"]
        assert not play.did(do.AskAgent)[-1].masked

    def test_so_do_keys_that_come_while_the_call_is_away_for_others(self) -> None:
        play = asked(SendDigits("1", by_carrier=True), self.CARD)
        assert play.conversation.masked
        self.pressed(play, "4")
        play.hears(on.StreamLost(), on.StreamStarted())
        self.pressed(play, "111")
        assert not play.kept(journal.KeyPressed)
        assert (play.did(do.AskAgent)[-1].digits, play.did(do.AskAgent)[-1].masked) == ("4111", True)


@pytest.mark.parametrize("state", ["live", "leaving", "away"])
def test_a_transfer_that_nobody_waits_for_any_more_means_nothing(state: str) -> None:
    play = Play().start().at(1).caller_says(" Good-bye.") if state == "live" else asked(Transfer(DESK))
    if state == "away":
        play.hears(on.StreamLost())
    assert play.hears(on.OtherAccepted("room")) == []
