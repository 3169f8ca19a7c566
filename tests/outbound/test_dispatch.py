"""Whose turn it is: the queue, its limits, its keys, and what the carrier does not take at once."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.outbound.dispatch import KEY_KEPT_S, Dispatch, KeyConflictError, Limits, QueueFullError
from bridge.outbound.order import Order
from bridge.outbound.progress import OutboundCall

ORDER = Order("+15550100001", "+15550100002")
OTHER = Order("+15550100003", "+15550100002")


def dispatch(**limits: float) -> Dispatch:
    usual = {"calls_per_second": 1.0, "concurrent_calls": 10, "queue_length": 100, "remembered": 100}
    return Dispatch(Limits(**{**usual, **limits}))  # type: ignore[arg-type]  # whole numbers where they are wanted


def submit(queue: Dispatch, *names: str, now: float = 0.0) -> list[OutboundCall]:
    return [queue.submit(name, ORDER, now) for name in names]


def ids(calls: list[OutboundCall]) -> list[str]:
    return [call.id for call in calls]


def over(queue: Dispatch, call: OutboundCall, status: str = "completed") -> None:
    call.hear("CA" + call.id, status)
    assert queue.settle(call)


def test_so_many_a_second_in_the_order_in_which_they_came() -> None:
    queue = dispatch(calls_per_second=5)
    submit(queue, *"abcd")
    assert ids(queue.due(0.0)) == ["a"]
    assert queue.deadline(0.0) == pytest.approx(0.2)
    assert queue.due(0.19) == []
    assert ids(queue.due(0.2)) == ["b"]
    assert ids(queue.due(5.0)) == ["c"], "after a pause there is no burst"
    assert ids(queue.due(5.2)) == ["d"]
    assert queue.deadline(9.0) is None


def test_so_many_at_the_same_time() -> None:
    queue = dispatch(calls_per_second=100, concurrent_calls=2)
    first, second, third = submit(queue, *"abc")
    assert ids(queue.due(0.0) + queue.due(1.0)) == ["a", "b"]
    assert (queue.deadline(1.0), queue.waiting, third.status) == (None, 1, "queued")
    over(queue, second, "busy")
    assert ids(queue.due(1.5)) == ["c"]
    over(queue, first)
    assert queue.deadline(2.0) is None
    assert ids(queue.active) == ["c"]


def test_more_than_may_wait_are_refused() -> None:
    queue = dispatch(queue_length=2)
    submit(queue, *"ab")
    with pytest.raises(QueueFullError, match="BRIDGE_OUTBOUND__QUEUE_LENGTH"):
        queue.submit("c", ORDER, 0)
    queue.due(0)
    assert queue.submit("c", ORDER, 0).status == "queued"


def test_where_the_house_has_no_room_the_first_waits_and_holds_up_the_rest() -> None:
    queue = dispatch(calls_per_second=5)
    submit(queue, *"ab")
    asked: list[str] = []

    def none(call: OutboundCall) -> bool:
        asked.append(call.id)
        return False

    assert queue.due(0.0, none) == []
    assert (asked, queue.waiting) == (["a"], 2)
    assert queue.deadline(3.0) == 3.0, "it is looked for room again"
    assert ids(queue.due(3.0)) == ["a"]


class TestKeys:
    def test_the_same_key_gets_the_same_call(self) -> None:
        queue = dispatch()
        call = queue.submit("a", ORDER, 0, key="k")
        assert queue.submit("b", ORDER, 1, key="k") is call
        assert queue.submit("b", ORDER, 1, key="l") is not call
        queue.due(2)
        over(queue, call)
        assert queue.submit("c", ORDER, 3, key="k") is call
        assert queue.waiting == 1

    def test_another_order_under_the_same_key_is_refused_and_the_call_is_named(self) -> None:
        queue = dispatch()
        call = queue.submit("a", ORDER, 0, key="k")
        with pytest.raises(KeyConflictError, match="Idempotency-Key") as caught:
            queue.submit("b", OTHER, 1, key="k")
        assert caught.value.call is call

    def test_a_repeat_is_answered_even_when_the_queue_is_full(self) -> None:
        queue = dispatch(queue_length=1)
        call = queue.submit("a", ORDER, 0, key="k")
        assert queue.submit("b", ORDER, 0, key="k") is call

    def test_a_key_is_forgotten_after_a_day(self) -> None:
        queue = dispatch()
        call = queue.submit("a", ORDER, 0, key="k")
        assert queue.submit("b", ORDER, KEY_KEPT_S - 1, key="k") is call
        assert queue.submit("b", OTHER, KEY_KEPT_S, key="k") is not call

    def test_a_request_that_is_refused_leaves_its_key_free(self) -> None:
        queue = dispatch(queue_length=1)
        submit(queue, "a")
        with pytest.raises(QueueFullError):
            queue.submit("b", ORDER, 0, key="k")
        queue.due(0)
        assert queue.submit("c", OTHER, 0, key="k").id == "c"

    def test_no_more_keys_are_kept_than_may_be(self) -> None:
        queue = dispatch(remembered=3, queue_length=3)
        kept = [queue.submit("a", ORDER, 0, key="1")]
        for number in range(2, 5):
            queue.due(number)
            kept.append(queue.submit(str(number), ORDER, number, key=str(number)))
        queue.due(9)
        assert queue.submit("x", ORDER, 9, key="4") is kept[-1]
        assert queue.submit("y", ORDER, 9, key="1") is not kept[0]


class TestPuttingOff:
    def test_what_the_carrier_does_not_take_goes_to_the_front_and_holds_up_the_rest(self) -> None:
        queue = dispatch(calls_per_second=10)
        first, _ = submit(queue, *"ab")
        (active,) = queue.due(0)
        assert active is first
        assert queue.put_off(first, 0.05)
        assert (first.status, queue.active) == ("queued", [])
        assert queue.deadline(0.1) == pytest.approx(1.05)
        assert ids(queue.due(1.05)) == ["a"]
        assert ids(queue.due(2)) == ["b"]

    def test_each_time_it_waits_longer_and_in_the_end_it_is_given_up(self) -> None:
        queue = dispatch(calls_per_second=100)
        (call,) = submit(queue, "a")
        now, waits = 0.0, []
        while queue.due(now) == [call] and queue.put_off(call, now):
            due = queue.deadline(now)
            assert due is not None
            waits.append(due - now)
            now = due
        assert waits == [1, 2, 4, 8, 16]
        assert call.attempts == 6
        call.end("failed", "carrier_limit")
        assert queue.settle(call)


def test_a_waiting_call_can_be_taken_back() -> None:
    queue = dispatch()
    first, second = submit(queue, *"ab")
    first.end("canceled", "canceled")
    assert queue.settle(first)
    assert not queue.settle(first)
    assert ids(queue.due(0)) == ["b"]
    assert not queue.settle(second), "it is not over"


def test_all_that_waits_is_given_up_at_a_stop() -> None:
    queue = dispatch()
    submit(queue, *"abc")
    (active,) = queue.due(0)
    assert ids(queue.give_up_waiting("shutdown")) == ["b", "c"]
    assert (queue.waiting, queue.active) == (0, [active])
    assert [queue.find(name).reason for name in "bc" if queue.find(name)] == ["shutdown"] * 2  # type: ignore[union-attr]


def test_calls_are_found_by_both_ids_until_they_are_forgotten() -> None:
    queue = dispatch(calls_per_second=1000, remembered=2)
    calls = submit(queue, *"abc")
    assert queue.find("a") is calls[0]
    assert queue.find("") is None
    for second, call in enumerate(calls):
        queue.due(second)
        over(queue, call)
    assert queue.find("a") is None
    assert queue.find("CAb") is calls[1]
    assert queue.find("c") is calls[2]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(["order", "end", "put_off", "take_back", "wait", "wait"]), max_size=60),
    st.integers(1, 4),
    st.sampled_from([0.5, 1.0, 7.0]),
)
def test_no_limit_is_ever_broken_and_no_call_is_lost(steps: list[str], most: int, rate: float) -> None:
    queue = dispatch(concurrent_calls=most, calls_per_second=rate)
    now, ordered, placed, ended = 0.0, deque[OutboundCall](), [], 0
    for number, step in enumerate(steps):
        active = queue.active
        if step == "order":
            ordered.append(queue.submit(str(number), ORDER, now))
        elif step == "end" and active:
            over(queue, active[0])
            ended += 1
        elif step == "put_off" and active:
            queue.put_off(active[-1], now)
        elif step == "take_back" and queue.waiting:
            call = next(each for each in ordered if each.status == "queued")
            call.end("canceled", "canceled")
            queue.settle(call)
            ended += 1
        elif step == "wait":
            now += 0.3
        for call in queue.due(now):
            placed.append(now)
            assert call.not_before <= now
        assert len(queue.active) <= most
        assert queue.waiting + len(queue.active) + ended == len(ordered)
        deadline = queue.deadline(now)
        assert deadline is None or deadline > now
    for start in placed:
        within = [at for at in placed if start <= at < start + 1]
        assert len(within) <= max(1, rate) + 1e-9
