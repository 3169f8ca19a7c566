"""Counting how often the phone ran dry: what late marks tell of it, and what they do not."""

from __future__ import annotations

import pytest

from bridge.conversation.commands import SendMark
from bridge.conversation.playout import Playout
from bridge.conversation.policy import Policy


def speaking() -> tuple[Playout, list[str]]:
    """Four seconds of speech, all sent at second 0, and its eight marks."""
    playout = Playout(Policy(lead_s=10.0, segment_s=0.5, latency_s=0.1), epoch=1)
    playout.open(1, words_needed=1)
    playout.add_text(1, "a " * 20)
    utterance = playout.find(1)
    assert utterance is not None
    utterance.add_audio(b"a" * 32000)
    utterance.finished = True
    marks = [command.name for command in playout.pump(0.0) if isinstance(command, SendMark)]
    assert len(marks) == 8
    return playout, marks


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ([0.1] * 8, 0),
        ([0.10, 0.14, 0.08, 0.17, 0.1, 0.12, 0.1, 0.1], 0),  # Jitter of the way.
        ([0.1, 0.1, 0.1, 0.6, 0.6, 0.6, 0.6, 0.6], 1),  # The phone waited half a second for its audio.
        ([0.1, 0.1, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9], 2),
        ([0.1, 0.1, 1.1, 0.6, 0.1, 0.1, 0.1, 0.1], 0),  # Only the way back was held up.
        ([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.7], 0),  # One late mark alone tells nothing.
    ],
)
def test_marks_that_stay_late_tell_of_a_gap(late: list[float], expected: int) -> None:
    playout, marks = speaking()
    for number, (name, delay) in enumerate(zip(marks, late, strict=True), start=1):
        playout.mark_returned(name, number * 0.5 + delay)
    assert playout.under_runs == expected


def test_the_way_is_not_taken_for_longer_and_longer() -> None:
    playout = Playout(Policy(lead_s=1.0, segment_s=0.5, latency_s=0.1), epoch=1)
    playout.open(1, words_needed=1)
    playout.add_text(1, "a " * 100)
    utterance = playout.find(1)
    assert utterance is not None
    utterance.add_audio(b"a" * 160000)
    sent = [(0.0, command.name) for command in playout.pump(0.0) if isinstance(command, SendMark)]
    for number in range(1, 30):
        # The phone plays 0.4 s behind the clock, and tells so at once.
        now = number * 0.5 + 0.4
        playout.mark_returned(sent[number - 1][1], now)
        sent += [(now, command.name) for command in playout.pump(now) if isinstance(command, SendMark)]
    assert playout.under_runs == 0
    # Half a second after the last mark, less the way there, half a second more has sounded.
    assert playout.heard_before(14.9 + 0.45, 0.0) > playout.heard_before(14.9, 0.0)
