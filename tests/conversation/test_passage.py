"""Where a call would end for a failure, its caller may leave a message with the carrier."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Transfer
from bridge.conversation.machine import Conversation
from bridge.conversation.policy import Policy
from tests.conversation.playbook import Play

DESK = "+15550100009"
URL = "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1"
DEAF = on.RecognizerFailed("speech_auth", "no key", final=True)
MESSAGE = do.LeaveCall("speech_failed", voicemail=True)


def failed(**policy: Any) -> Play:
    """Return a call whose speech is out of order from its 2nd second on."""
    play = Play(message_after_failure=True, **policy).start().at(2)
    play.hears(DEAF)
    return play


def away(**policy: Any) -> Play:
    """Return one whose caller hears the carrier's voice by now."""
    play = failed(**policy)
    play.hears(on.StreamLost(), on.RecognizerClosed())
    return play


def ended(play: Play) -> str:
    (entry,) = play.kept(journal.CallClosed)
    return str(entry.reason)


def test_the_stream_is_left_for_it_and_the_call_ends_behind_it() -> None:
    play = away()
    assert play.did(do.LeaveCall) == [MESSAGE]
    assert not play.conversation.expects_stream
    play.at(100)
    assert not play.did(do.Close), "the caller is still speaking"
    play.hears(on.MessageRecorded(URL, 12))
    assert play.kept(journal.MessageLeft) == [journal.MessageLeft(1, "", 88_000, 100_000, URL)]
    assert (ended(play), len(play.did(do.Close))) == ("speech_failed", 1)


def test_who_says_nothing_leaves_nothing() -> None:
    play = away().at(20)
    play.hears(on.MessageRecorded(""))
    assert (play.kept(journal.MessageLeft), ended(play)) == ([], "speech_failed")


def test_who_hangs_up_has_left_what_they_said_until_then() -> None:
    play = away().at(20)
    play.hears(on.StreamStopped("caller"))
    play.at(22).hears(on.MessageRecorded(URL, 9))
    assert [entry.url for entry in play.kept(journal.MessageLeft)] == [URL]
    assert ended(play) == "speech_failed"


@pytest.mark.parametrize("reason", ["caller", "shutdown"])
def test_a_carrier_that_tells_nothing_is_not_waited_for(reason: str) -> None:
    play = away().at(20)
    play.hears(on.StreamStopped(reason))
    play.at(26)
    assert len(play.did(do.Close)) == 1


def test_nor_one_that_never_asks_what_comes_next() -> None:
    play = away().at(7)
    play.hears(on.TransferEnded("failed"))
    assert ended(play) == "speech_failed"


def test_nor_one_that_never_comes_back_from_it() -> None:
    play = away(longest_message_s=60.0, reattach_s=10.0)
    play.at(131.9)
    assert not play.did(do.Close)
    play.at(132)
    assert len(play.did(do.Close)) == 1


def test_an_agent_that_fails_again_and_again_ends_in_it_without_a_farewell_of_ours() -> None:
    play = Play(message_after_failure=True, failures_allowed=1).start().at(1).caller_says(" Hello?")
    play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
    assert play.did(do.LeaveCall) == [do.LeaveCall("agent_failed", voicemail=True)]
    assert not play.did(do.Synthesize)


def test_first_the_caller_is_passed_on_where_there_is_somebody() -> None:
    play = failed(failure_transfer=DESK)
    assert [leave.transfer for leave in play.did(do.LeaveCall)] == [Transfer(DESK)]
    play.hears(on.StreamLost(), on.RecognizerClosed())
    play.at(20).hears(on.TransferEnded("busy"))
    assert play.did(do.LeaveCall)[-1] == MESSAGE
    assert not play.did(do.Close)
    play.at(40).hears(on.MessageRecorded(URL, 10))
    assert len(play.kept(journal.MessageLeft)) == len(play.kept(journal.TransferTried)) == 1
    assert ended(play) == "speech_failed"


def test_who_came_back_from_there_to_an_agent_that_still_fails_is_not_passed_on_for_ever() -> None:
    texts = {"handover": "Bye.", "transfer_failed": ""}
    play = Play(message_after_failure=True, failure_transfer=DESK, failures_allowed=1, **texts).start()
    play.at(1).caller_says(" Hello?")
    play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
    play.speech_arrives(play.did(do.Synthesize)[-1].utterance, "Bye.", 0.5)
    play.at(3).marks_return()
    play.hears(on.StreamLost(), on.RecognizerClosed(), on.TransferEnded("busy"), on.StreamStarted())
    for ask in play.did(do.AskAgent)[1:]:
        play.hears(on.AgentFinished(ask.reply))
    play.at(20).caller_says(" Hello?")
    play.hears(on.AgentFailed(play.did(do.AskAgent)[-1].reply, "agent_status", "500"))
    assert play.did(do.LeaveCall)[-1] == do.LeaveCall("agent_failed", voicemail=True)


@pytest.mark.parametrize("off", [{"message_after_failure": False}, {}])
def test_elsewhere_nothing_changes(off: dict[str, Any]) -> None:
    play = Play(**{"message_after_failure": True, **off}).start().at(2)
    play.hears(on.AnswererKnown("machine_start") if not off else on.DeadlineReached(), DEAF)
    (leave,) = play.did(do.LeaveCall)
    assert not leave.voicemail


def test_a_process_that_goes_on_with_the_call_takes_the_message_too() -> None:
    play = away()
    went_on = Conversation.resume(play.entries, Policy(message_after_failure=True), epoch=2, began=0.0, now=9.0)
    assert went_on.departure == MESSAGE
    commands = went_on.handle(on.MessageRecorded(URL, 5), 30.0)
    kept = [command.entry for command in commands if isinstance(command, do.Record)]
    assert kept == [journal.MessageLeft(1, "", 25_000, 30_000, URL), journal.CallClosed(30_000, "speech_failed")]
    assert not went_on.leaves_for_a_while
