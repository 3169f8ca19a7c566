"""The order of jobs that wait for a process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.speech_server.jobs import Recognize
from bridge.speech_server.waiting import Load, Priority, Ticket, WaitingJobs

JOB = Recognize(0, b"", 8000, 0)


def ticket(name: str, priority: Priority, since: float = 0.0) -> Ticket[str]:
    return Ticket(lambda: JOB, priority, since, name)


def test_what_somebody_needs_goes_first_and_else_first_come_first_served() -> None:
    waiting: WaitingJobs[str] = WaitingJobs()
    for name, priority in (("f", Priority.FILE), ("p1", Priority.PREVIEW), ("p2", Priority.PREVIEW)):
        waiting.put(ticket(name, priority))
    for name in ("t1", "t2"):
        waiting.put(ticket(name, Priority.FINAL))
    assert [each.answer for each in waiting.take_all()] == ["t1", "t2", "p1", "p2", "f"]
    assert waiting.take() is None


def test_what_is_not_wanted_any_more_is_gone_at_once() -> None:
    waiting: WaitingJobs[str] = WaitingJobs()
    first, second = ticket("1", Priority.PREVIEW), ticket("2", Priority.PREVIEW)
    waiting.put(first)
    waiting.put(second)
    waiting.drop(first)
    waiting.drop(first)
    assert len(waiting) == 1
    assert waiting.take() is second


def test_a_job_put_back_goes_before_its_line() -> None:
    waiting: WaitingJobs[str] = WaitingJobs()
    begun = ticket("begun", Priority.FINAL)
    waiting.put(ticket("next", Priority.FINAL))
    waiting.put_back(begun)
    assert waiting.take() is begun


def test_how_far_behind_it_is_does_not_count_what_may_be_left_out() -> None:
    waiting: WaitingJobs[str] = WaitingJobs()
    waiting.put(ticket("preview", Priority.PREVIEW, since=1.0))
    assert waiting.behind_s(9.0) == 0.0
    waiting.put(ticket("old", Priority.FINAL, since=7.0))
    waiting.put(ticket("young", Priority.FINAL, since=8.0))
    assert waiting.behind_s(9.0) == 2.0


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "drop"]), st.sampled_from(Priority)), max_size=60))
def test_nothing_is_lost_and_nothing_comes_twice(steps: list[tuple[str, Priority]]) -> None:
    waiting: WaitingJobs[str] = WaitingJobs()
    inside: list[Ticket[str]] = []
    for step, priority in steps:
        if step == "put":
            inside.append(ticket("", priority))
            waiting.put(inside[-1])
        elif step == "drop" and inside:
            waiting.drop(inside.pop())
        elif step == "take":
            taken = waiting.take()
            expected = min(inside, key=lambda each: each.priority, default=None)
            assert taken is expected
            if taken is not None:
                inside.remove(taken)
        assert len(waiting) == len(inside)


def test_load_is_the_share_of_the_last_moments() -> None:
    load = Load(2)
    assert load.share(0.0) == 0.0
    for second in range(60):  # One of two processes works all the time.
        load.add(1.0, second + 1.0)
    assert 0.4 < load.share(60.0) < 0.6
    assert load.share(70.0) < 0.5 * load.share(60.0)
    assert load.share(260.0) < 0.001


def test_with_too_little_time_nothing_is_taken_that_can_wait() -> None:
    waiting: WaitingJobs[str] = WaitingJobs()
    waiting.put(ticket("preview", Priority.PREVIEW))
    assert waiting.take(only_finals=True) is None
    waiting.put(ticket("final", Priority.FINAL))
    assert [each.answer for each in (waiting.take(only_finals=True), waiting.take()) if each] == [
        "final",
        "preview",
    ]
