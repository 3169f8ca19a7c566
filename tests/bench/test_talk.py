"""The caller of a measurement, against peers that do what the test says: what counts as a fault, and what not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from bridge.bench import talk as talking
from bridge.bench.figures import ASK, ASK_EAGERLY, BARGE_IN, PLAY, RELEASE, VOICE_END, VOICE_START
from bridge.bench.talk import Pace, Talk, clock
from bridge.bench.tally import Tally
from bridge.stt.cartesia_wire import ServiceMessage, TurnEagerEnd, TurnEnd, TurnStart

React = Callable[[Talk, ServiceMessage], None]


PACE = Pace(turn_s=0.024)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CLEAR_S", "_ANSWER_S", "_BEGIN_S", "_GREETING_S"):
        monkeypatch.setattr(talking, name, 0.02)


def good_bridge(talk: Talk, message: ServiceMessage) -> None:
    match message:
        case TurnStart():
            talk.reached(BARGE_IN, clock())
        case TurnEagerEnd():
            talk.asked(clock())
        case TurnEnd():
            talk.reached(RELEASE, clock())
            talk.asked(clock())
            talk.begin(PLAY)
            talk.reached(PLAY, clock())
        case _:
            pass


async def hold(react: React, *, turns: int = 4, greeted: bool = True, listened: bool = True) -> Tally:
    tally = Tally()
    tally.begin_window(0.0)
    talk = Talk(1, tally, random.Random(1), PACE)
    if listened:
        talk.listened_to(lambda message: react(talk, message))
    if greeted:
        talk.begin(PLAY)
        talk.reached(PLAY, clock())
        tally.samples.clear()
    await talk.run(turns)
    return tally


async def test_every_turn_is_counted() -> None:
    tally = await hold(good_bridge)
    assert (tally.turns, tally.unanswered, tally.missing_clears) == (4, 0, 0)
    counts = {measure: len(samples) for measure, samples in tally.samples.items()}
    assert counts == {BARGE_IN: 4, ASK: 2, ASK_EAGERLY: 2, PLAY: 4, RELEASE: 2}


async def test_a_system_that_does_not_ask_eagerly_is_asked_for_when_the_turn_has_ended() -> None:
    def patient(talk: Talk, message: ServiceMessage) -> None:
        if not isinstance(message, TurnEagerEnd):
            good_bridge(talk, message)

    tally = await hold(patient)
    assert (tally.turns, tally.unanswered) == (4, 0)
    assert len(tally.samples[ASK]) == 4
    assert ASK_EAGERLY not in tally.samples


async def test_a_clear_that_never_comes_is_counted_and_the_talk_goes_on() -> None:
    def deaf(talk: Talk, message: ServiceMessage) -> None:
        if not isinstance(message, TurnStart):
            good_bridge(talk, message)

    tally = await hold(deaf)
    assert (tally.turns, tally.unanswered, tally.missing_clears) == (4, 0, 4)


async def test_no_clear_is_missed_where_there_is_nothing_to_clear() -> None:
    def deaf(talk: Talk, message: ServiceMessage) -> None:
        talk.cuts_in = lambda: False
        if not isinstance(message, TurnStart):
            good_bridge(talk, message)

    assert (await hold(deaf)).missing_clears == 1, "the first turn had something to clear"


async def test_turns_without_a_request_go_unanswered() -> None:
    def mute(talk: Talk, message: ServiceMessage) -> None:
        if isinstance(message, TurnStart):
            good_bridge(talk, message)

    tally = await hold(mute)
    assert (tally.turns, tally.unanswered, tally.missing_clears) == (0, 4, 0)


async def test_turns_without_speech_go_unanswered() -> None:
    def silent(talk: Talk, message: ServiceMessage) -> None:
        if isinstance(message, TurnEnd):
            talk.asked(clock())
        else:
            good_bridge(talk, message)

    tally = await hold(silent)
    assert (tally.turns, tally.unanswered) == (0, 4)


async def test_an_agent_that_does_not_speak_first_is_spoken_to() -> None:
    tally = await hold(good_bridge, greeted=False)
    assert (tally.turns, tally.unanswered) == (4, 0)


async def test_a_call_whose_audio_never_comes_is_dropped() -> None:
    tally = await hold(good_bridge, listened=False)
    assert (tally.turns, tally.unanswered, tally.dropped_calls) == (0, 0, 1)


async def test_a_lost_stream_ends_the_talk_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "_ANSWER_S", 30.0)
    ended = 0

    def lost(talk: Talk, message: ServiceMessage) -> None:
        nonlocal ended
        ended += isinstance(message, TurnEnd)
        if ended > 2:
            talk.lost()
        else:
            good_bridge(talk, message)

    tally = await hold(lost)
    assert (tally.turns, tally.unanswered) == (2, 1)


async def test_the_service_waits_for_the_audio_where_it_is_to() -> None:
    tally = Tally()
    tally.begin_window(0.0)
    talk = Talk(1, tally, random.Random(1), PACE)
    talk.listened_to(lambda message: good_bridge(talk, message))

    def heard() -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.005, future.set_result, None)
        return future

    talk.until_heard = heard
    await talk.run(2)
    for measure in (VOICE_START, VOICE_END):
        assert len(tally.samples[measure]) == 2
        assert min(tally.samples[measure]) >= 0.004
