"""What an attending agent is told at once, and what it is not."""

from __future__ import annotations

from typing import Any, Literal

from bridge.call.attending import Attending
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from tests.call.peers import INFO


class Ear:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def partial(self, transcript: str) -> None:
        self.told.append(("partial", transcript))

    def key(self, digit: str, *, over_speech: bool) -> None:
        self.told.append(("key", digit, over_speech))

    def interrupted(self, heard: str, duration_ms: int) -> None:
        self.told.append(("interrupted", heard, duration_ms))

    def speaking(self, who: Literal["agent", "caller"], *, on: bool) -> None:
        self.told.append((who, on))

    def played(self, text: str) -> None:
        self.told.append(("played", text))


SOUND = do.SendAudio(1, b"a")


def pressed(key: str) -> list[do.Command]:
    return [do.Record(journal.KeyPressed(1, key))]


def spoke(reply: int, sent_ms: int, ended_ms: int, *, interrupted: bool) -> do.Command:
    entry = journal.AgentSpoke(reply, 1, "turn.ended", "All", " right", interrupted, 0, ended_ms, sent_ms=sent_ms)
    return do.Record(entry)


def test_keys_and_words_of_a_secret_are_not_told() -> None:
    ear = Ear()
    attending = Attending(ear, INFO)
    attending.look(on.DigitPressed("1"), pressed("1"))
    attending.look(on.DigitPressed("4"), [], masked=True)
    attending.look(on.TurnStarted(), [], masked=True)
    attending.look(on.TurnUpdated(" four"), [], masked=True)
    attending.look(on.TurnEnded(" four"), [], masked=True)
    attending.look(on.DigitPressed("7"), [])  # Behind its end.
    assert ear.told == [("key", "1", False)]


def test_a_turn_that_began_before_it_is_told_to_be_over() -> None:
    ear = Ear()
    attending = Attending(ear, INFO)
    attending.look(on.TurnStarted(), [])
    attending.look(on.TurnEnded(" Yes."), [], masked=True)
    attending.look(on.TurnEnded(" four"), [], masked=True)
    assert ear.told == [("caller", True), ("caller", False)]


def test_the_agents_own_speech_is_told_all_the_time_and_counted_reply_by_reply() -> None:
    ear = Ear()
    attending = Attending(ear, INFO)
    attending.look(on.DeadlineReached(), [SOUND])
    attending.look(on.DigitPressed("4"), [spoke(1, 1000, 3000, interrupted=False)], masked=True)
    attending.look(on.DeadlineReached(), [SOUND])
    attending.look(on.TurnUpdated(" No"), [spoke(2, 5000, 5400, interrupted=True)])
    assert ear.told == [
        ("agent", True),
        ("agent", False),
        ("played", "All"),
        ("agent", True),
        ("agent", False),
        ("interrupted", "All", 400),
        ("played", "All"),
        ("partial", " No"),
    ]


def test_a_key_that_cuts_a_reply_off_in_a_pause_is_not_over_speech() -> None:
    ear = Ear()
    attending = Attending(ear, INFO)
    attending.look(on.DeadlineReached(), [SOUND])
    attending.look(on.DigitPressed("4"), [*pressed("4"), do.CancelReply(1), spoke(1, 0, 900, interrupted=True)])
    assert ("key", "4", False) in ear.told
    attending.look(on.DeadlineReached(), [SOUND])
    attending.look(on.DigitPressed("5"), pressed("5"))
    assert ear.told[-1] == ("key", "5", True)
