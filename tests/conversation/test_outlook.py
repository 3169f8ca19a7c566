"""What somebody sees who looks at a call from outside."""

from __future__ import annotations

from bridge.conversation import events as on
from bridge.conversation.actions import Transfer
from bridge.conversation.outlook import Saying
from tests.conversation.playbook import Play
from tests.conversation.test_floor import LONG, hear_until, talking
from tests.conversation.test_transfers import answer


def test_the_floor_goes_back_and_forth() -> None:
    play = Play().start().at(1)
    assert play.conversation.floor == "listening"
    play.caller_says(" When are you open?")
    assert play.conversation.floor == "thinking"
    play.agent_says("At nine.", seconds=1)
    assert play.conversation.floor == "talking"
    play.hears(on.TurnStarted())
    assert play.conversation.floor == "listening"
    play.hears(on.TurnEnded(""))
    assert play.conversation.floor == "talking"
    play.at(4)
    assert play.conversation.floor == "listening"


def test_a_call_without_its_stream_is_away() -> None:
    play = Play().start().at(1).caller_says(" A human, please.")
    answer(play, Transfer("+15550100009"))
    assert play.conversation.floor == "away"
    play.hears(on.StreamStopped("agent"))
    play.at(5).hears(on.TransferEnded("busy"), on.StreamStarted())
    assert play.conversation.floor == "thinking"  # The agent is asked what to do now.


def test_what_is_said_is_seen_once_it_sounds_with_how_far_it_was_heard() -> None:
    play = Play().start().at(1)
    play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" When are you open?"))
    play.agent_says(LONG, seconds=8)
    assert play.conversation.saying is None
    play.hears(on.TurnEnded(" When are you open?"))
    assert play.conversation.saying == Saying(2, "turn.ended", 1, LONG, 0)
    hear_until(play, 3)
    saying = play.conversation.saying
    assert saying is not None
    assert 0 < saying.heard < len(LONG)
    assert LONG[saying.heard] == " "


def test_looking_changes_nothing() -> None:
    looked, alone = talking(), talking()
    for play in (looked, alone):
        for second in range(4, 14):
            play.at(second)
            if play is looked:
                assert play.conversation.floor
                play.conversation.saying  # noqa: B018  That is the point.
    assert looked.done == alone.done
