"""What the carrier tells of a call, late, twice and out of order, and what is made of it."""

from __future__ import annotations

import itertools

import pytest

from bridge.outbound.order import Order
from bridge.outbound.progress import OutboundCall

ORDER = Order("+15550100001", "+15550100002")
TOLD = (("initiated", 0), ("ringing", 1), ("in-progress", 2), ("completed", 3))


def dialing() -> OutboundCall:
    return OutboundCall("c1", ORDER, requested_at=0, status="dialing")


@pytest.mark.parametrize("order", [*itertools.permutations(TOLD)])
def test_whatever_the_order_of_the_callbacks_it_never_goes_back_and_ends_completed(
    order: tuple[tuple[str, int], ...],
) -> None:
    call, seen = dialing(), ["dialing"]
    for status, sequence in [*order, *order]:
        if call.hear("CA1", status, sequence):
            seen.append(call.status)
    ranks = ["dialing", "ringing", "in-progress", "completed"]
    assert [ranks.index(status) for status in seen] == sorted(ranks.index(status) for status in seen)
    assert (seen[-1], call.sid) == ("completed", "CA1")


@pytest.mark.parametrize("end", ["completed", "busy", "no-answer", "failed", "canceled"])
def test_after_its_end_nothing_counts(end: str) -> None:
    call = dialing()
    assert call.hear("CA1", end)
    assert call.over
    assert not call.hear("CA1", "in-progress", 9)
    assert not call.end("failed", "late")
    assert (call.status, call.reason) == (end, "")


def test_what_is_told_of_another_call_does_not_count() -> None:
    call = dialing()
    assert call.hear("CA1", "ringing", 1)
    assert not call.hear("CA2", "no-answer", 5)
    assert (call.is_another("CA2"), call.is_another("CA1"), call.is_another("")) == (True, False, False)
    assert call.hear("CA1", "in-progress", 2)
    assert call.sid == "CA1"


def test_a_callback_is_late_by_its_number() -> None:
    call = dialing()
    assert call.hear("CA1", "ringing", 1)
    assert not call.hear("CA1", "busy", 1)
    assert not call.hear("CA1", "busy", 0)
    assert call.hear("CA1", "busy", 2)


def test_what_comes_without_a_number_counts_by_how_far_it_is() -> None:
    call = dialing()
    assert call.hear("CA1", "in-progress")
    assert call.answered
    assert not call.hear("CA1", "ringing")
    assert not call.hear("CA1", "ringing", 5)
    assert call.hear("CA1", "completed", 6)


def test_words_that_nobody_knows_change_nothing() -> None:
    call = dialing()
    assert not call.hear("CA1", "dreaming", 5)
    assert call.hear("CA1", "ringing", 1)


def test_the_first_sid_is_kept() -> None:
    call = dialing()
    call.hear("CA1", "initiated")
    call.hear("CA2", "ringing")
    assert call.sid == "CA1"
