"""Passing the caller on, cold and warm, and taking them back; keys that the carrier sends; hand-offs."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Action, GatherDigits, HandOff, HangUp, Say, SendDigits, Transfer
from bridge.conversation.dialling import may_dial
from tests.conversation.playbook import Play

DESK = "+15550100009"


def spoken(play: Play) -> list[str]:
    return [piece.text for piece in play.did(do.Synthesize) if piece.text]


def occasions(play: Play) -> list[str]:
    return [ask.occasion for ask in play.did(do.AskAgent)]


def answer(play: Play, *actions: Action) -> list[Any]:
    """Let the agent answer the open question with actions alone."""
    reply = play.did(do.AskAgent)[-1].reply
    return play.hears(*(on.AgentActed(reply, action) for action in actions), on.AgentFinished(reply))


def asked(*actions: Action, **policy: Any) -> Play:
    """Return a call whose agent has just answered the caller with these actions."""
    play = Play(**policy).start().at(1).caller_says(" A human, please.")
    answer(play, *actions)
    return play


def away(**policy: Any) -> Play:
    """Return a call that was left for a cold transfer."""
    play = asked(Transfer(DESK), **policy)
    play.hears(on.StreamLost(), on.RecognizerClosed())
    return play


def ended(play: Play) -> journal.CallClosed:
    entry: journal.CallClosed
    (entry,) = play.kept(journal.CallClosed)
    return entry


class TestCold:
    def test_the_stream_is_left_and_speech_to_text_finished_but_the_call_is_not_over(self) -> None:
        play = asked(Transfer(DESK))
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", Transfer(DESK))]
        play.hears(on.StreamLost(), on.RecognizerClosed())
        assert len(play.did(do.FinishRecognizer)) == 1
        assert not play.did(do.Close)
        assert not play.conversation.expects_stream

    @pytest.mark.parametrize("first", ["stream", "result"])
    def test_a_talk_that_came_about_is_the_end_and_the_agent_learns_of_it(self, first: str) -> None:
        play = asked(Transfer(DESK))
        events: list[on.Event] = [on.StreamLost(), on.TransferEnded("completed", 42)]
        play.hears(*(events if first == "stream" else events[::-1]), on.RecognizerClosed())
        assert (ended(play).reason, ended(play).transfer_to) == ("transfer", DESK)
        (told,) = play.did(do.TellAgentEnded)
        assert told.transfer == do.TransferResult(DESK, "completed", 42)
        (tried,) = play.kept(journal.TransferTried)
        assert (tried.to, tried.status, tried.warm, tried.duration_s) == (DESK, "completed", False, 42)

    def test_the_last_words_before_it_are_still_kept(self) -> None:
        play = asked(Transfer(DESK))
        play.hears(on.StreamLost(), on.TurnStarted(), on.TransferEnded("completed"), on.TurnEnded(" Thanks."))
        assert not play.did(do.Close)
        play.hears(on.RecognizerClosed())
        assert [turn.transcript for turn in play.kept(journal.CallerSpoke)] == [" A human, please.", " Thanks."]
        assert play.did(do.Close)

    def test_and_not_answered_when_the_caller_is_back(self) -> None:
        play = asked(Transfer(DESK))
        play.hears(on.TurnStarted(), on.TurnEnded(" Thanks."), on.StreamLost(), on.RecognizerClosed())
        play.at(5).hears(on.TransferEnded("busy"), on.StreamStarted())
        assert occasions(play)[-1] == "transfer.ended"
        answer(play)
        assert " Thanks." not in [ask.transcript for ask in play.did(do.AskAgent)]

    @pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled"])
    def test_who_was_not_reached_the_caller_comes_back_from_and_the_agent_is_told(self, status: str) -> None:
        play = away().at(20)
        play.hears(on.TransferEnded(status))
        assert play.conversation.expects_stream
        play.at(21).hears(on.StreamStarted())
        assert play.did(do.OpenRecognizer) == [do.OpenRecognizer()]
        ask = play.did(do.AskAgent)[-1]
        assert (ask.occasion, ask.transfer) == ("transfer.ended", do.TransferResult(DESK, status))
        play.agent_says("They are busy. Shall I take a message?", seconds=2)
        assert play.did(do.SendAudio)[-1].utterance == play.did(do.Synthesize)[-1].utterance
        play.marks_return()
        play.at(26).caller_says(" Yes.")
        assert play.did(do.AskAgent)[-1].transcript == " Yes."

    def test_an_agent_that_says_nothing_to_it_does_not_leave_the_caller_alone(self) -> None:
        play = away(transfer_failed="Nobody is there.").at(5)
        play.hears(on.TransferEnded("busy"), on.StreamStarted())
        answer(play)
        assert spoken(play) == ["Nobody is there."]

    def test_nor_does_one_that_fails(self) -> None:
        play = away(transfer_failed="Nobody is there.").at(5)
        play.hears(on.TransferEnded("busy"), on.StreamStarted())
        play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
        assert spoken(play) == ["Nobody is there."]

    def test_a_result_that_is_told_twice_is_told_once(self) -> None:
        play = away().at(5)
        play.hears(
            on.TransferEnded("busy"), on.TransferEnded("failed"), on.StreamStarted(), on.TransferEnded("busy")
        )
        answer(play, Say("Sorry."))
        assert occasions(play).count("transfer.ended") == 1
        assert [entry.status for entry in play.kept(journal.TransferTried)] == ["busy"]

    def test_whoever_does_not_come_back_is_gone(self) -> None:
        play = away(reattach_s=10).at(5)
        play.hears(on.TransferEnded("busy"))
        play.at(14)
        assert not play.did(do.Close)
        play.at(16)
        assert ended(play).reason == "transfer"

    def test_hanging_up_while_it_rings_ends_the_call_with_what_the_carrier_tells_after_it(self) -> None:
        play = away().at(5)
        play.hears(on.StreamStopped("caller"))
        assert not play.did(do.Close)
        play.hears(on.TransferEnded("canceled"))
        play.at(30)
        assert ended(play).reason == "transfer"
        assert [entry.status for entry in play.kept(journal.TransferTried)] == ["canceled"]

    def test_and_without_it_if_the_carrier_does_not_tell(self) -> None:
        play = away().at(5)
        play.hears(on.StreamStopped("caller"))
        play.at(11)
        assert ended(play).reason == "transfer"
        assert not play.kept(journal.TransferTried)

    def test_a_bridge_that_stops_does_not_wait_for_the_two_to_be_done(self) -> None:
        play = away().at(5)
        play.hears(on.StreamStopped("shutdown"))
        assert ended(play).reason == "shutdown"

    def test_a_stop_in_the_very_moment_of_leaving_is_no_transfer(self) -> None:
        play = asked(Transfer(DESK))
        play.hears(on.StreamStopped("shutdown"), on.RecognizerClosed())
        assert ended(play).reason == "shutdown"

    def test_a_long_talk_is_waited_for(self) -> None:
        play = away().at(4 * 3600)
        assert not play.did(do.Close)
        play.at(4 * 3600 + 600)
        assert play.did(do.Close)

    def test_our_own_last_resort_that_is_not_reached_ends_with_a_farewell(self) -> None:
        play = Play(failure_transfer=DESK, farewell="Good-bye.").start().at(1)
        play.hears(on.RecognizerFailed("speech_auth", "401", final=True), on.StreamLost(), on.RecognizerClosed())
        play.hears(on.TransferEnded("busy"))
        assert play.did(do.LeaveCall)[-1] == do.LeaveCall("speech_failed", farewell="Good-bye.")
        assert ended(play).reason == "speech_failed"

    def test_what_else_the_answer_wanted_is_not_done_behind_it(self) -> None:
        play = asked(Transfer(DESK), HangUp("done"))
        play.hears(on.StreamLost(), on.RecognizerClosed(), on.TransferEnded("busy"), on.StreamStarted())
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", Transfer(DESK))]

    def test_a_recogniser_that_broke_on_the_way_is_no_outage_afterwards(self) -> None:
        play = away(outage_limit_s=5.0)
        play.hears(on.RecognizerLost("speech_server", "1011"))
        play.at(30).hears(on.TransferEnded("busy"), on.StreamStarted())
        play.at(32)
        assert len(play.did(do.LeaveCall)) == 1


class TestWhereTo:
    """`transfer.allow`: a model that was talked into it rings nobody whom the settings do not have."""

    @pytest.mark.parametrize("summary", ["", "A caller."])
    def test_who_is_not_allowed_is_not_called_and_the_agent_is_told(self, summary: str) -> None:
        play = asked(Transfer("+19005550100", summary), transfer_allow=("+1555*",), warm=True)
        assert not play.did(do.LeaveCall)
        assert not play.did(do.CallOther)
        assert occasions(play)[-1] == "transfer.ended"
        (problem,) = play.kept(journal.ProblemMet)
        assert (problem.source, problem.code) == ("agent", "transfer_refused")
        assert [tried.status for tried in play.kept(journal.TransferTried)] == ["failed"]

    def test_who_is_allowed_is_called(self) -> None:
        assert asked(Transfer(DESK), transfer_allow=("+1555*",)).did(do.LeaveCall)

    def test_our_own_last_resort_needs_no_leave(self) -> None:
        play = asked(Transfer(DESK), transfer_allow=(), failure_transfer=DESK)
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", Transfer(DESK))]

    @pytest.mark.parametrize(
        ("to", "patterns", "may"),
        [
            (DESK, ("*",), True),
            ("sip:ann@pbx.example.com", ("*",), True),
            (DESK, (), False),
            (DESK, (DESK,), True),
            (DESK + "1", (DESK,), False),
            (DESK, ("+49*", "+1555*"), True),
            ("+19005550100", ("+49*", "+1555*"), False),
            ("sip:+1555@evil.example", ("+1555*",), False),
            ("sip:ann@pbx.example.com", ("sip:*@pbx.example.com",), True),
            ("SIP:ann@PBX.example.com", ("sip:*@pbx.example.com",), True),
            ("sip:ann@evil.example?x=@pbx.example.com", ("sip:*@pbx.example.com",), False),
            ("sip:ann@evil.example;x=@pbx.example.com", ("sip:*@pbx.example.com",), False),
            ("sip:ann@pbx.example.com.evil.example", ("sip:*@pbx.example.com",), False),
            ("sip:ann@pbxxexample.com", ("sip:*@pbx.example.com",), False),
        ],
    )
    def test_the_patterns(self, to: str, patterns: tuple[str, ...], may: bool) -> None:
        assert may_dial(to, patterns) is may


class TestWarm:
    WANTED = Transfer(DESK, "A caller with a broken bike.")

    def consulting(self, **policy: Any) -> Play:
        return asked(self.WANTED, warm=True, **policy)

    def test_the_caller_stays_while_the_other_side_is_called(self) -> None:
        play = self.consulting()
        assert play.did(do.CallOther) == [do.CallOther(self.WANTED)]
        assert not play.did(do.LeaveCall)
        play.at(3).caller_says(" Are you still trying?")
        assert play.did(do.AskAgent)[-1].transcript == " Are you still trying?"

    def test_without_a_way_to_call_anybody_it_is_cold(self) -> None:
        play = asked(self.WANTED)
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", self.WANTED)]
        assert not play.did(do.CallOther)

    def test_who_accepts_is_joined_in_their_conference(self) -> None:
        play = self.consulting().at(8)
        play.hears(on.OtherAccepted("room"))
        assert play.did(do.LeaveCall) == [do.LeaveCall("transfer", self.WANTED, "room")]
        assert not play.did(do.CancelOther)
        play.hears(on.StreamLost(), on.RecognizerClosed())
        play.at(50).hears(on.TransferEnded("answered"))
        (tried,) = play.kept(journal.TransferTried)
        assert (tried.status, tried.warm, tried.duration_s) == ("completed", True, 42)
        assert ended(play).reason == "transfer"

    @pytest.mark.parametrize("status", ["declined", "busy", "no-answer", "failed"])
    def test_who_does_not_the_agent_is_told_of_at_once(self, status: str) -> None:
        play = self.consulting().at(8)
        play.hears(on.TransferEnded(status))
        ask = play.did(do.AskAgent)[-1]
        assert (ask.occasion, ask.transfer) == ("transfer.ended", do.TransferResult(DESK, status))
        assert [entry.warm for entry in play.kept(journal.TransferTried)] == [True]
        assert not play.did(do.LeaveCall)

    def test_but_not_into_the_callers_words(self) -> None:
        play = self.consulting().at(8)
        play.hears(on.TurnStarted(), on.TurnUpdated(" And my"), on.TransferEnded("busy"))
        assert "transfer.ended" not in occasions(play)
        play.hears(on.TurnEnded(" And my saddle."))
        assert occasions(play)[-1] == "turn.ended"
        answer(play)
        assert occasions(play)[-1] == "transfer.ended"

    def test_nor_into_its_own_words(self) -> None:
        play = self.consulting().at(8).caller_says(" Hello?")
        play.agent_says("I am still calling them.", seconds=2)
        play.hears(on.TransferEnded("busy"))
        assert occasions(play)[-1] == "turn.ended"
        play.at(11).marks_return()
        assert occasions(play)[-1] == "transfer.ended"

    def test_a_caller_who_hangs_up_is_not_looked_for_any_more(self) -> None:
        play = self.consulting().at(8)
        play.hears(on.StreamStopped("caller"), on.RecognizerClosed())
        assert len(play.did(do.CancelOther)) == 1
        assert [entry.status for entry in play.kept(journal.TransferTried)] == ["canceled"]
        play.hears(on.OtherAccepted("room"))
        assert not play.did(do.LeaveCall)

    def test_another_transfer_takes_the_place_of_the_first(self) -> None:
        play = self.consulting().at(3).caller_says(" No, sales!")
        other = Transfer("+15550100010", "A caller for sales.")
        answer(play, other)
        assert len(play.did(do.CancelOther)) == 1
        assert play.did(do.CallOther) == [do.CallOther(self.WANTED), do.CallOther(other)]

    def test_a_waiting_caller_is_not_asked_whether_they_are_there(self) -> None:
        play = self.consulting(silence_s=10, filler="One moment, please.").at(12)
        assert spoken(play) == ["One moment, please."]
        assert "silence" not in occasions(play)


class TestKeysByTheCarrier:
    def test_the_call_is_left_for_them_and_the_rest_of_the_answer_waits(self) -> None:
        play = asked(SendDigits("12#", by_carrier=True), GatherDigits(length=2))
        assert play.did(do.LeaveCall) == [do.LeaveCall("digits", digits="12#")]
        assert not play.did(do.SendTones)
        play.hears(on.StreamLost(), on.RecognizerClosed())
        assert play.conversation.expects_stream
        play.at(4).hears(on.StreamStarted(), on.DigitPressed("4"), on.DigitPressed("2"))
        assert (occasions(play)[-1], play.did(do.AskAgent)[-1].digits) == ("digits", "42")

    def test_what_stands_behind_them_is_done_when_the_caller_is_back(self) -> None:
        play = asked(SendDigits("1", by_carrier=True), HangUp("done"))
        play.hears(on.StreamLost(), on.RecognizerClosed())
        play.at(3).hears(on.StreamStarted())
        assert play.did(do.LeaveCall)[-1] == do.LeaveCall("done")

    def test_a_carrier_that_does_not_bring_the_call_back_has_ended_it(self) -> None:
        play = asked(SendDigits("1", by_carrier=True), reattach_s=10)
        play.hears(on.StreamLost(), on.RecognizerClosed())
        play.at(13)
        assert ended(play).reason == "digits"


def test_a_hand_off_ends_the_agents_part_with_its_data() -> None:
    play = asked(HandOff('{"reason":"human"}'))
    assert play.did(do.LeaveCall) == [do.LeaveCall("handoff", handoff='{"reason":"human"}')]
    assert not play.conversation.expects_stream
    play.hears(on.StreamLost(), on.RecognizerClosed())
    assert ended(play).reason == "handoff"
