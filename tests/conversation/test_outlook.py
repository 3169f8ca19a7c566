"""What somebody sees who looks at a call from outside."""

from __future__ import annotations

from bridge.conversation import events as on
from bridge.conversation.actions import RecordMessage, Transfer
from bridge.conversation.outlook import Saying
from tests.conversation.playbook import Play
from tests.conversation.test_floor import LONG, hear_until, talking
from tests.conversation.test_transfers import answer


def floor(play: Play) -> str:
    return play.conversation.floor


def rests(play: Play) -> bool:
    return play.conversation.at_rest


def said(play: Play) -> Saying | None:
    return play.conversation.saying


def test_the_floor_goes_back_and_forth() -> None:
    play = Play().start().at(1)
    assert floor(play) == "listening"
    play.caller_says(" When are you open?")
    assert floor(play) == "thinking"
    play.agent_says("At nine.", seconds=1)
    assert floor(play) == "talking"
    play.hears(on.TurnStarted())
    assert floor(play) == "listening"
    play.hears(on.TurnEnded(""))
    assert floor(play) == "talking"
    play.at(8)
    assert floor(play) == "listening"


def test_a_call_without_its_stream_is_away() -> None:
    play = Play().start().at(1).caller_says(" A human, please.")
    answer(play, Transfer("+15550100009"))
    assert floor(play) == "away"
    play.hears(on.StreamStopped("agent"))
    play.at(5).hears(on.TransferEnded("busy"), on.StreamStarted())
    assert floor(play) == "thinking"  # The agent is asked what to do now.


def test_a_call_is_at_rest_when_neither_side_says_or_awaits_anything() -> None:
    play = Play().start().at(1)
    assert rests(play)
    play.hears(on.TurnStarted())
    assert not rests(play)  # The caller speaks.
    play.hears(on.TurnEnded(" When are you open?"))
    assert not rests(play)  # The agent is asked.
    play.agent_says("At nine.", seconds=1)
    assert not rests(play)  # It speaks,
    play.hears(on.TurnStarted())
    assert not rests(play)  # was silenced,
    play.hears(on.TurnEnded(""))
    assert not rests(play)  # and speaks on.
    play.at(8)
    assert rests(play)
    play.hears(on.DigitPressed("5"))
    assert not rests(play)  # More of them may come.


def test_a_call_that_leaves_a_message_is_not_at_rest() -> None:
    play = Play().start().at(1).caller_says(" Tell them, please.")
    answer(play, RecordMessage())
    assert not rests(play)
    play.hears(on.StreamLost())
    assert not rests(play)


def test_what_is_said_is_seen_once_it_sounds_with_how_far_it_was_heard() -> None:
    play = Play().start().at(1)
    play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" When are you open?"))
    play.agent_says(LONG, seconds=8)
    assert said(play) is None
    play.hears(on.TurnEnded(" When are you open?"))
    assert said(play) == Saying(2, "turn.ended", 1, LONG, 0)
    hear_until(play, 3)
    saying = said(play)
    assert saying is not None
    assert 0 < saying.heard < len(LONG)
    assert LONG[saying.heard] == " "


def test_looking_changes_nothing() -> None:
    looked, alone = talking(), talking()
    for second in range(4, 14):
        alone.at(second)
        looked.at(second)
        assert floor(looked) in {"talking", "listening"}
        saying = said(looked)
        assert saying is None or saying.heard <= len(LONG)
    assert looked.done == alone.done
