"""Who is let in: a table of limits, places that are held, and what the speech service's refusals teach."""

from __future__ import annotations

import asyncio
import time

import pytest

from bridge.call.admission import Admission, Held, Limits, SpeechPlan
from bridge.call.loop_lag import LoopLag

A, B = "+15550100002", "+15550100003"


def live(*numbers: str, streams: int = 1) -> dict[str, Held]:
    return {f"live{count}": Held(number, streams) for count, number in enumerate(numbers)}


@pytest.mark.parametrize(
    ("limits", "there", "wanted", "lag_s", "reason"),
    [
        (Limits(), live(*[A] * 500), Held(A), 60.0, None),
        (Limits(max_calls=2), live(A), Held(A), 0, None),
        (Limits(max_calls=2), live(A, B), Held(A), 0, "calls"),
        (Limits(numbers={A: 1}), live(A, B), Held(A), 0, "number"),
        (Limits(numbers={A: 1}), live(A, B), Held(B), 0, None),
        (Limits(numbers={A: 1}), live(B), Held(A), 0, None),
        (Limits(speech_streams=3), live(A, A), Held(A), 0, None),
        (Limits(speech_streams=3), live(A, A), Held(A, 2), 0, "speech"),
        (Limits(speech_streams=3), live(A, streams=2), Held(A), 0, None),
        (Limits(speech_streams=3), live(A, A, streams=2), Held(A), 0, "speech"),
        (Limits(speech_streams=1), {}, Held(A, 2), 0, None),
        (Limits(max_lag_s=0.25), {}, Held(A), 0.25, None),
        (Limits(max_lag_s=0.25), {}, Held(A), 0.26, "lag"),
        (Limits(max_calls=1, max_lag_s=0.25), live(A), Held(A), 9, "lag"),
    ],
)
def test_the_limits(limits: Limits, there: dict[str, Held], wanted: Held, lag_s: float, reason: str | None) -> None:
    assert Admission(limits).decide("new", wanted, there, lag_s=lag_s, now=0) == reason


class TestPlaces:
    def test_who_was_let_in_holds_a_place_until_it_lives_gives_up_or_is_too_late(self) -> None:
        it = Admission(Limits(max_calls=1))

        def ask(call: str, now: float) -> str | None:
            return it.decide(call, Held(A), {}, lag_s=0, now=now)

        assert ask("one", 0) is None
        assert ask("two", 1) == "calls"
        assert ask("one", 2) is None, "asked again, the answer is the same"
        it.release("one")
        assert ask("two", 3) is None
        assert ask("one", 4) == "calls"
        assert ask("one", 3 + 61) is None, "the other never came"

    def test_a_call_that_lives_counts_once_and_is_always_let_in(self) -> None:
        it = Admission(Limits(max_calls=2))
        assert it.decide("one", Held(A), {}, lag_s=0, now=0) is None
        there = {"one": Held(A)}
        assert it.decide("two", Held(A), there, lag_s=0, now=1) is None
        assert it.full(there, lag_s=0, now=1) == "calls"
        assert it.decide("one", Held(A), there, lag_s=99, now=1) is None
        assert it.full({}, lag_s=0, now=2) is None, "one has ended, two is still to come"

    def test_what_is_held_can_be_asked(self) -> None:
        it = Admission(Limits())
        it.decide("one", Held(A), {}, lag_s=0, now=0)
        assert it.holds("one")
        it.full({"one": Held(A)}, lag_s=0, now=1)
        assert not it.holds("one"), "it lives"

    def test_limits_may_change(self) -> None:
        it = Admission(Limits(max_calls=1))
        assert it.full(live(A), lag_s=0, now=0) == "calls"
        it.limits = Limits(max_calls=2)
        assert it.full(live(A), lag_s=0, now=0) is None


class TestSpeechPlan:
    def test_what_went_on_at_a_refusal_is_the_limit_for_a_while_and_then_one_more_is_tried(self) -> None:
        plan, there = SpeechPlan(), live(A, A, A)
        assert plan.limit(0) == 0
        plan.refused("live2", there, 100)
        assert [plan.limit(now) for now in (100, 159, 160, 174, 175, 190)] == [2, 2, 3, 3, 4, 5]
        plan.refused("live2", there, 191)
        assert plan.limit(191) == 2
        assert plan.limit(191 + 3601) == 0, "in the end it is forgotten"

    def test_calls_that_the_service_refuses_do_not_count_as_going_on(self) -> None:
        plan, there = SpeechPlan(), live(A, A, A, A)
        plan.refused("live3", there, 0)
        plan.refused("live2", there, 1)
        assert plan.limit(1) == 2
        plan.refused("live2", there, 5)
        assert plan.limit(5) == 2, "asking again teaches nothing new"

    def test_it_never_shuts_the_door_for_good(self) -> None:
        it = Admission(Limits())
        it.plan.refused("live0", live(A), 0)
        assert it.plan.limit(0) == 1
        assert it.decide("new", Held(A), {}, lag_s=0, now=1) is None
        assert it.decide("more", Held(A), {}, lag_s=0, now=1) == "speech"


async def test_the_lag_is_that_of_the_loop() -> None:
    lag = LoopLag()
    lag.start()
    try:
        await asyncio.sleep(0.25)
        calm = lag.seconds
        for _ in range(4):
            time.sleep(0.3)  # noqa: ASYNC251  It is what is measured.
            await asyncio.sleep(0.01)
        assert calm < 0.03 < lag.seconds < 0.3
    finally:
        lag.stop()
