"""Two people talk and are listened to: playbooks of what both recognisers tell, against the journal."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.journal import (
    CallClosed,
    CallOpened,
    Entry,
    Party,
    PartySpoke,
    ProblemMet,
    StreamBroke,
    StreamResumed,
    TransferTried,
    transcript,
)
from bridge.conversation.overheard import Happening, ListenPolicy, Order, Overheard, PartyJoined, PartyTold


class Scene:
    """A call between two people, second by second."""

    def __init__(self, **policy: Any) -> None:
        self.overheard = Overheard(ListenPolicy(**policy))
        self.now = 100.0
        self.orders: list[tuple[float, Order]] = []

    def at(self, second: float) -> Scene:
        """Let time pass up to `second`, with every deadline on the way."""
        moment = 100.0 + second
        while (deadline := self.overheard.deadline) is not None and deadline <= moment:
            self.now = max(self.now, deadline)
            before = self._take(on.DeadlineReached())
            later = self.overheard.deadline
            assert before or later is None or later > self.now, "a deadline that leads to nothing comes again"
        self.now = moment
        return self

    def happens(self, *events: Happening) -> Scene:
        for event in events:
            self._take(event)
        return self

    def told(self, party: Party, *events: on.RecognizerEvent) -> Scene:
        return self.happens(*(PartyTold(party, event) for event in events))

    def says(self, party: Party, text: str) -> Scene:
        return self.told(party, on.TurnStarted(), on.TurnUpdated(text), on.TurnEnded(text))

    def _take(self, event: Happening) -> list[Order]:
        orders = self.overheard.handle(event, self.now)
        self.orders += [(self.now - 100.0, order) for order in orders]
        return orders

    @property
    def entries(self) -> list[Entry]:
        return [order.entry for _, order in self.orders if isinstance(order, do.Record)]

    @property
    def acts(self) -> list[tuple[float, Order]]:
        return [(second, order) for second, order in self.orders if not isinstance(order, do.Record)]

    def kept(self, kind: type[Any]) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kind)]


def started(*parties: Party, **policy: Any) -> Scene:
    scene = Scene(**policy).happens(on.StreamStarted())
    for party in parties or ("caller", "callee"):
        scene.happens(PartyJoined(party)).told(party, on.RecognizerConnected())
    return scene


def test_who_said_what_and_when_is_kept_verbatim() -> None:
    scene = started().at(1).told("callee", on.TurnStarted()).at(1.2)
    scene.told("callee", on.TurnUpdated(" Blue Door")).at(1.5).told("caller", on.TurnStarted())
    scene.told("caller", on.TurnUpdated("Hi"), on.TurnEagerlyEnded("Hi")).at(2)
    scene.told("callee", on.TurnEnded(" Blue Door, Ann speaking. ")).at(2.5)
    scene.told("caller", on.TurnResumed()).at(3).told("caller", on.TurnEnded("Hi, it's Tom."))
    assert scene.entries == [
        CallOpened(),
        PartySpoke("callee", 1, " Blue Door, Ann speaking. ", 1000, 2000),
        PartySpoke("caller", 1, "Hi, it's Tom.", 1500, 3000),
    ]
    lines = transcript(scene.entries)
    assert [(line.speaker, line.text) for line in lines] == [
        ("callee", " Blue Door, Ann speaking. "),
        ("caller", "Hi, it's Tom."),
    ]
    assert scene.acts == []


def test_each_side_counts_its_own_turns_and_noise_is_no_line() -> None:
    scene = started().at(1).says("caller", "One.").says("callee", "Uno.").at(2)
    scene.told("callee", on.TurnStarted(), on.TurnEnded("")).at(4).says("caller", "Two.").says("callee", "Dos.")
    turns = [(turn.party, turn.turn, turn.transcript) for turn in scene.kept(PartySpoke)]
    assert turns == [
        ("caller", 1, "One."),
        ("callee", 1, "Uno."),
        ("callee", 2, ""),
        ("caller", 2, "Two."),
        ("callee", 3, "Dos."),
    ]
    assert [line.text for line in transcript(scene.entries)] == ["One.", "Uno.", "Two.", "Dos."]


def test_at_the_end_both_sessions_are_drained_for_their_last_words() -> None:
    scene = started().at(5).told("caller", on.TurnStarted(), on.TurnUpdated("So I"))
    scene.told("callee", on.TurnStarted(), on.TurnUpdated("Good"))
    scene.happens(on.StreamStopped("caller"))
    assert scene.acts == [(5.0, do.FinishRecognizer())]
    assert scene.overheard.ending
    scene.at(5.5).told("callee", on.TurnEnded("Good-bye."), on.RecognizerClosed())
    assert scene.kept(CallClosed) == []
    scene.at(6).told("caller", on.TurnUpdated("So I thought")).at(6.25).told("caller", on.RecognizerClosed())
    assert scene.entries[1:] == [
        PartySpoke("callee", 1, "Good-bye.", 5000, 5500),
        PartySpoke("caller", 1, "So I thought", 5000, 6000, incomplete=True),
        CallClosed(6250, "caller"),
    ]
    assert scene.acts[1:] == [(6.25, do.Close())]
    assert scene.overheard.deadline is None
    assert scene.happens(on.StreamStopped("shutdown")).says("caller", "late").acts[2:] == []


def test_a_session_that_never_closes_is_not_waited_for_for_ever() -> None:
    scene = started(drain_s=10).at(1).happens(on.StreamStopped("caller")).at(10.9)
    assert scene.kept(CallClosed) == []
    assert scene.at(11).kept(CallClosed) == [CallClosed(11_000, "caller")]


def test_a_call_in_which_nobody_was_heard_ends_at_once() -> None:
    scene = Scene().happens(on.StreamStarted()).at(3).happens(on.StreamStopped("caller"))
    assert scene.entries == [CallOpened(), CallClosed(3000, "caller")]
    assert [order for _, order in scene.acts] == [do.FinishRecognizer(), do.Close()]


def test_one_side_alone_is_waited_for_alone() -> None:
    scene = started("callee").at(1).says("callee", "Hello?").happens(on.StreamStopped("caller"))
    scene.told("callee", on.RecognizerClosed())
    assert scene.kept(CallClosed) == [CallClosed(1000, "caller")]


@pytest.mark.parametrize(
    ("status", "reason"),
    [("completed", "callee"), ("answered", "callee"), ("busy", "not_reached"), ("no-answer", "not_reached")],
)
def test_how_the_dialling_ended_tells_why_the_call_did(status: str, reason: str) -> None:
    scene = started(to="+15550100009").at(7).happens(on.TransferEnded(status, 6), on.TransferEnded("failed", 0))
    scene.at(7.5).happens(on.StreamStopped("caller")).at(30)
    assert scene.kept(TransferTried) == [TransferTried(7000, "+15550100009", status, duration_s=6)]
    assert scene.kept(CallClosed)[0].reason == reason


def test_the_result_of_the_dialling_may_come_after_the_streams_end() -> None:
    scene = started(to="client:ann").at(7).happens(on.StreamStopped("caller"), on.TransferEnded("completed", 5))
    scene.told("caller", on.RecognizerClosed()).told("callee", on.RecognizerClosed())
    assert scene.entries[1:] == [
        TransferTried(7000, "client:ann", "completed", duration_s=5),
        CallClosed(7000, "caller"),
    ]


def test_of_a_call_that_began_elsewhere_only_the_end_is_known() -> None:
    assert started(ended="over").happens(on.StreamStopped("caller")).at(20).kept(CallClosed)[0].reason == "over"
    stopped = started(ended="over").happens(on.StreamStopped("log_stopped")).at(20)
    assert stopped.kept(CallClosed)[0].reason == "log_stopped"


class TestTime:
    def test_no_call_is_listened_to_for_longer_than_allowed(self) -> None:
        scene = started(max_call_s=60).at(59).says("caller", "Well").at(60)
        assert scene.acts == [(60.0, do.LeaveCall("limit")), (60.0, do.FinishRecognizer())]
        assert scene.at(80).kept(CallClosed) == [CallClosed(70_000, "limit")]

    def test_a_turn_that_is_forgotten_ends_when_its_last_words_were_told(self) -> None:
        scene = started(turn_stall_s=15).at(1).told("caller", on.TurnStarted()).at(3)
        scene.told("caller", on.TurnUpdated("Hello")).at(17.9)
        assert scene.kept(PartySpoke) == []
        scene.at(18.1)
        assert scene.kept(PartySpoke) == [PartySpoke("caller", 1, "Hello", 1000, 3000, incomplete=True)]
        scene.told("caller", on.TurnEnded("Hello there"))
        assert scene.kept(PartySpoke)[1:] == [PartySpoke("caller", 2, " there", 18_100, 18_100)]

    def test_a_turn_of_which_something_is_told_goes_on(self) -> None:
        scene = started(turn_stall_s=15).at(1).told("caller", on.TurnStarted())
        for second in range(10, 100, 10):
            scene.at(second).told("caller", on.TurnUpdated("la " * second))
        scene.at(104).told("caller", on.TurnResumed()).at(118)
        assert scene.kept(PartySpoke) == []

    def test_a_turn_that_the_service_forgot_to_end_ends_with_the_next(self) -> None:
        scene = started().at(1).told("caller", on.TurnStarted(), on.TurnUpdated("One")).at(2)
        scene.told("caller", on.TurnStarted(), on.TurnEnded("Two"))
        assert [(turn.transcript, turn.incomplete) for turn in scene.kept(PartySpoke)] == [
            ("One", True),
            ("Two", False),
        ]


class TestOutages:
    def test_a_turn_waits_for_a_service_that_comes_back(self) -> None:
        scene = started(turn_stall_s=15, outage_s=20).at(1).told("caller", on.TurnStarted(), on.TurnUpdated("I"))
        scene.told("caller", on.RecognizerLost("speech_unreachable", "gone")).at(19)
        scene.told("caller", on.RecognizerConnected()).at(20).told("caller", on.TurnUpdated("I am")).at(30)
        scene.told("caller", on.TurnEnded("I am here"))
        assert scene.kept(PartySpoke) == [PartySpoke("caller", 1, "I am here", 1000, 30_000)]
        assert scene.kept(ProblemMet) == [ProblemMet(1000, "stt", "speech_unreachable", "caller: gone")]

    def test_a_turn_does_not_wait_for_longer_than_its_sound_is_kept(self) -> None:
        scene = started(outage_s=20).at(1).told("callee", on.TurnStarted(), on.TurnUpdated("I")).at(2)
        scene.told("callee", on.RecognizerLost("speech_server", "away")).at(21.9)
        assert scene.kept(PartySpoke) == []
        scene.at(22)
        (turn,) = scene.kept(PartySpoke)
        assert (turn.party, turn.transcript, turn.incomplete, turn.degraded) == ("callee", "I", True, True)
        # What the service tells of that turn afterwards is not told twice.
        scene.at(25).told("callee", on.RecognizerConnected(), on.TurnEnded("I am"))
        assert [turn.transcript for turn in scene.kept(PartySpoke)] == ["I", " am"]

    def test_the_other_side_is_heard_meanwhile(self) -> None:
        scene = started().at(1).told("callee", on.RecognizerLost("speech_server", "away"))
        scene.at(2).says("caller", "Hello?").at(3).told("callee", on.RecognizerConnected()).at(60)
        assert [turn.party for turn in scene.kept(PartySpoke)] == ["caller"]
        assert scene.overheard.deadline == 100 + 4 * 3600

    def test_a_refusing_service_is_told_of_and_the_call_goes_on(self) -> None:
        scene = started().at(1)
        scene.told("caller", on.RecognizerFailed("speech_auth", "no key", final=True)).at(60)
        assert scene.kept(ProblemMet) == [ProblemMet(1000, "stt", "speech_auth", "caller: no key")]
        assert scene.acts == []
        assert scene.says("callee", "Bye.").kept(PartySpoke)[0].transcript == "Bye."


class TestBrokenStreams:
    def test_a_stream_that_breaks_may_come_back(self) -> None:
        scene = started().at(4).happens(on.StreamLost()).at(9).happens(on.StreamStarted()).at(20)
        scene.says("caller", "Still here.")
        assert scene.entries[1:3] == [StreamBroke(4000), StreamResumed(9000)]
        assert scene.kept(PartySpoke)[0].transcript == "Still here."
        assert scene.acts == []

    def test_one_that_does_not_ends_the_call(self) -> None:
        scene = started(reattach_s=10).at(4).happens(on.StreamLost(), on.StreamLost()).at(13.9)
        assert scene.acts == []
        assert scene.at(14).acts == [(14.0, do.FinishRecognizer())]
        assert scene.at(40).kept(CallClosed) == [CallClosed(24_000, "lost")]

    def test_a_call_that_is_stopped_before_it_starts_is_recorded_as_empty(self) -> None:
        scene = Scene().at(3).happens(on.StreamStopped("caller"))
        assert scene.entries == [CallClosed(0, "caller")]


RECOGNISER = (
    on.RecognizerConnected(),
    on.RecognizerLost("speech_server", "away"),
    on.RecognizerFailed("speech_limit", "no", final=False),
    on.RecognizerClosed(),
    on.TurnStarted(),
    on.TurnUpdated("one"),
    on.TurnUpdated("one two"),
    on.TurnEagerlyEnded("one two"),
    on.TurnResumed(),
    on.TurnEnded("one two three"),
    on.TurnEnded(""),
)
HAPPENINGS: tuple[Happening, ...] = (
    on.StreamLost(),
    on.StreamStarted(),
    on.TransferEnded("completed", 3),
    *(PartyJoined(party) for party in ("caller", "callee")),
    *(PartyTold(party, event) for party in ("caller", "callee") for event in RECOGNISER),
)


@given(seed=st.integers(0, 2**32), steps=st.integers(0, 60))
def test_whatever_is_told_the_call_never_gets_stuck_and_ends_once(seed: int, steps: int) -> None:
    """There always is a deadline; turns are numbered without a gap; the same events give the same journal."""
    journals = []
    for _ in range(2):
        chance = random.Random(seed)
        scene = Scene().happens(on.StreamStarted())
        second = 0.0
        for _ in range(steps):
            assert scene.overheard.ending or scene.overheard.deadline is not None
            second += chance.choice((0.0, 0.02, 0.5, 3.0, 11.0))
            scene.at(second).happens(chance.choice(HAPPENINGS))
        scene.happens(on.StreamStopped("caller")).at(second + 30)
        journals.append(scene.entries)
        assert scene.overheard.deadline is None
        assert [order for _, order in scene.orders].count(do.Close()) == 1
        assert isinstance(scene.entries[-1], CallClosed)
        for party in ("caller", "callee"):
            numbers = [turn.turn for turn in scene.kept(PartySpoke) if turn.party == party]
            assert numbers == [*range(1, len(numbers) + 1)]
            spoken = [turn for turn in scene.kept(PartySpoke) if turn.party == party]
            assert all(turn.started_ms <= turn.ended_ms for turn in spoken)
    assert journals[0] == journals[1]
