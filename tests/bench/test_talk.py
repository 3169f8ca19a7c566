"""The caller of a measurement, against peers that do what the test says: what counts as a fault, and what not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bridge.bench import talk as talking
from bridge.bench.figures import ASK, ASK_EAGERLY, BARGE_IN, PLAY, RELEASE
from bridge.bench.talk import WARM_UP_TURNS, Talk, Tally, clock
from bridge.stt.cartesia_wire import ServiceMessage, TurnEagerEnd, TurnEnd, TurnStart

React = Callable[[Talk, ServiceMessage], None]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_PAUSE_S", 0.001), ("_CLEAR_S", 0.02), ("_ANSWER_S", 0.02), ("_BEGIN_S", 0.02)):
        monkeypatch.setattr(talking, name, seconds)
    monkeypatch.setattr(talking, "_LISTEN_S", (0.001, 0.002))


def good_bridge(talk: Talk, message: ServiceMessage) -> None:
    match message:
        case TurnStart():
            talk.reached(BARGE_IN, clock())
        case TurnEagerEnd():
            talk.reached(ASK_EAGERLY, clock())
        case TurnEnd():
            talk.reached(RELEASE, clock())
            talk.reached(ASK, clock())
            if not talk.held:
                talk.begin(PLAY)
                talk.reached(PLAY, clock())
        case _:
            pass


async def hold(react: React, *, turns: int = 4, greeted: bool = True) -> Tally:
    tally = Tally()
    talk = Talk(1, tally, random.Random(1))

    async def tell(message: ServiceMessage) -> None:
        react(talk, message)

    talk.listened_to(tell)
    if greeted:
        talk.begin(PLAY)
        talk.reached(PLAY, clock())
    await talk.run(turns)
    return tally


async def test_every_turn_is_counted_but_those_that_warm_up() -> None:
    tally = await hold(good_bridge)
    assert (tally.turns, tally.unanswered, tally.missing_clears) == (4, 0, 0)
    counts = {measure: len(samples) for measure, samples in tally.samples.items()}
    assert counts == {BARGE_IN: 4, ASK: 2, ASK_EAGERLY: 2, PLAY: 2, RELEASE: 2}


async def test_a_clear_that_never_comes_is_counted_and_the_talk_goes_on() -> None:
    def deaf(talk: Talk, message: ServiceMessage) -> None:
        if not isinstance(message, TurnStart):
            good_bridge(talk, message)

    tally = await hold(deaf)
    assert (tally.turns, tally.unanswered, tally.missing_clears) == (4, 0, 4)


async def test_turns_without_a_request_go_unanswered() -> None:
    def mute(talk: Talk, message: ServiceMessage) -> None:
        if isinstance(message, TurnStart):
            good_bridge(talk, message)

    tally = await hold(mute)
    assert (tally.turns, tally.unanswered, tally.missing_clears) == (0, 4, 0)


async def test_turns_without_speech_go_unanswered() -> None:
    def silent(talk: Talk, message: ServiceMessage) -> None:
        if isinstance(message, TurnEnd):
            talk.reached(ASK, clock())
        else:
            good_bridge(talk, message)

    tally = await hold(silent)
    assert (tally.turns, tally.unanswered) == (0, 4)


async def test_a_call_that_is_never_greeted_leaves_all_turns_unanswered() -> None:
    tally = await hold(good_bridge, greeted=False)
    assert (tally.turns, tally.unanswered) == (0, 4)


async def test_a_lost_stream_leaves_the_other_turns_unanswered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "_ANSWER_S", 30.0)
    ended = 0

    def lost(talk: Talk, message: ServiceMessage) -> None:
        nonlocal ended
        ended += isinstance(message, TurnEnd)
        if ended > WARM_UP_TURNS:
            talk.lost()
        else:
            good_bridge(talk, message)

    tally = await hold(lost)
    assert (tally.turns, tally.unanswered) == (0, 4)
