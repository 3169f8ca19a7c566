"""A turn over several connections, in virtual time: every spoken word once, whatever breaks when."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.conversation.events import (
    RecognizerEvent,
    TurnEagerlyEnded,
    TurnEnded,
    TurnResumed,
    TurnStarted,
    TurnUpdated,
)
from bridge.stt.outbox import Outbox
from bridge.stt.overlap import join
from bridge.stt.stitching import ONSET_BYTES, SEARCH_BYTES, Stitcher, quiet_point

SECOND = 8000
CHUNK = 800
SPACING = 4000
"""A word every half second, of which the second half is a pause."""


@dataclass
class Spoken:
    """What the caller says, and when each word is over (position in the audio)."""

    words: list[str]
    ends: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.ends = [SECOND + SPACING * (number + 1) for number in range(len(self.words))]

    @property
    def text(self) -> str:
        return "".join(f" {word}" for word in self.words)


class Service:
    """Hears audio from `begin` on; tells each word some time after it was spoken, each after the one before."""

    def __init__(self, spoken: Spoken, begin: int, lags: list[int]) -> None:
        self.words = [
            (end, word) for end, word in zip(spoken.ends, spoken.words, strict=True) if end - SPACING // 2 >= begin
        ]
        self.tell_at = list(
            itertools.accumulate(
                (max(end, begin) + lag for (end, _), lag in zip(self.words, itertools.cycle(lags), strict=False)),
                max,
            )
        )
        self.started = False
        self.told = 0
        self.over = spoken.ends[-1] + 2 * SECOND + SECOND // 2 if self.words else None

    def hear(self, sent: int) -> list[RecognizerEvent]:
        events: list[RecognizerEvent] = []
        if self.words and not self.started and sent >= self.words[0][0] - SPACING // 2 + 1600:
            self.started = True
            events.append(TurnStarted())
        told = sum(at <= sent for at in self.tell_at)
        if told > self.told:
            self.told = told
            events.append(TurnUpdated(self.text))
        if self.over is not None and sent >= self.over:
            events.append(TurnEnded(self.text))
            self.over, self.words = None, []
        return events

    @property
    def text(self) -> str:
        return "".join(f" {word}" for _, word in self.words[: self.told])


def audio_of(spoken: Spoken, length: int) -> bytes:
    """Loud where a word is, silent elsewhere."""
    audio = bytearray(b"\xff" * length)
    for end in spoken.ends:
        audio[end - SPACING // 2 : end] = b"\x05" * (SPACING // 2)
    return bytes(audio)


def call(spoken: Spoken, drops: list[int], downs: list[int], lags: list[list[int]]) -> list[RecognizerEvent]:
    """A whole call: live audio in pieces, drops at positions of the live audio, outages in pieces of 100 ms."""
    box, stitcher = Outbox(chunk_bytes=CHUNK, keep_bytes=40 * SECOND), Stitcher()
    audio = audio_of(spoken, spoken.ends[-1] + 12 * SECOND + len(drops) * 4 * max(downs) * CHUNK)
    service: Service | None = Service(spoken, 0, lags[0])
    choices = itertools.cycle(lags[1:] or lags)
    events: list[RecognizerEvent] = []
    pending, down, silent = sorted(drops), 0, 0
    outages = itertools.cycle(downs)
    for number, at in enumerate(range(0, len(audio), CHUNK)):
        box.add(audio[at : at + CHUNK])
        if service is not None and pending and at >= pending[0]:
            pending.pop(0)
            service, down = None, next(outages)
            wanted = max(0, box.sent - ONSET_BYTES) if stitcher.resume_at is None else stitcher.resume_at
            before = box.kept(wanted - SEARCH_BYTES, wanted)
            box.rewind(wanted - len(before) + quiet_point(before))
        if service is None:
            down -= 1
            if down > 0:
                continue
            stitcher.resumed(box.sent)
            service = Service(spoken, box.sent, next(choices))
            box.restart(number * 0.1)
        while (box.take((number + 1) * 0.1)) is not None:
            for event in service.hear(box.sent):
                was_open = stitcher.open
                events += stitcher.take(event, box.sent)
                if was_open and not stitcher.open:
                    box.settle()
                else:
                    box.hold(stitcher.hold_from)
        silent = silent + 1 if stitcher.waiting and len(box) < 2 * CHUNK else 0
        if silent >= 25:
            events += stitcher.silence(box.sent)
            box.settle()
    return events


lag = st.integers(0, 2 * SECOND - 1)


@settings(max_examples=400, deadline=None)
@given(
    words=st.lists(st.sampled_from(["no", "yes", "well", "I", "want", "two", "No,"]), min_size=1, max_size=18),
    drops=st.lists(st.integers(0, 14 * SECOND), max_size=6),
    downs=st.lists(st.integers(1, 50), min_size=1, max_size=6),
    lags=st.lists(st.lists(lag, min_size=1, max_size=10), min_size=1, max_size=4),
)
def test_every_word_once_in_one_turn(
    words: list[str], drops: list[int], downs: list[int], lags: list[list[int]]
) -> None:
    check(Spoken(words), drops, downs, lags)


@pytest.mark.parametrize("seed", range(4))
def test_long_turns_full_of_repetitions(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        vocabulary = ["no", "No,", "yes", "well", "I", "want", "two"][: chance.randint(2, 7)]
        words = [word for _ in range(8) for word in [chance.choice(vocabulary)] * chance.randint(1, 4)][:20]
        check(
            Spoken(words),
            [chance.randrange(2 * SECOND, 12 * SECOND) for _ in range(chance.randint(1, 4))],
            [chance.randint(1, 50) for _ in range(4)],
            [[chance.randrange(2 * SECOND) for _ in range(chance.randint(1, 12))] for _ in range(3)],
        )


def check(spoken: Spoken, drops: list[int], downs: list[int], lags: list[list[int]]) -> None:
    events = call(spoken, drops, downs, lags)
    assert [event for event in events if isinstance(event, TurnEnded)] == [TurnEnded(spoken.text)]
    assert events.count(TurnStarted()) == 1
    assert isinstance(events[0], TurnStarted)
    texts = [event.transcript for event in events if isinstance(event, TurnUpdated)]
    for earlier, later in itertools.pairwise([*texts, spoken.text]):
        assert later.startswith(earlier)


# --- playbooks: what each event on a new connection means


def open_turn(text: str, *, told_at: float = 8.0) -> Stitcher:
    """A turn that was dropped at 9 s; its text was told in one piece, so the audio goes again from 5 s on."""
    stitcher = Stitcher()
    stitcher.take(TurnStarted(), SECOND)
    words = text.split(" ")
    early = " ".join(words[:-3])
    stitcher.take(TurnUpdated(early), 3 * SECOND)
    stitcher.take(TurnUpdated(text), int(told_at * SECOND))
    assert stitcher.resume_at == int((told_at - 3) * SECOND)
    stitcher.resumed(stitcher.resume_at)
    return stitcher


@pytest.mark.parametrize(
    ("old", "new", "whole"),
    [
        # The overlap is told in other case and punctuation: each side keeps its own, cut at the last common word.
        (" I'd like a table", " A table, for two.", " I'd like a table, for two."),
        (" I'd like a Table.", " like a table for two", " I'd like a Table for two"),
        # The last word was told when only half of it was spoken.
        (" I'd like to book a tab", " Book a table for two", " I'd like to book a table for two"),
        # The first word of the new text was misheard, or left out.
        (" I'd like to book a table", " nook a table for two", " I'd like to book a table for two"),
        (" I'd like to book a table", " table for two", " I'd like to book a table for two"),
        # A word in the overlap is heard better.
        (" I'd like to look a table", " to book a table for two", " I'd like to look a table for two"),
        # Nothing is invented where the service puts no space, and no words are fused.
        (" I'd like a table", "table for two", " I'd like a table for two"),
        (" one two three four", " 4 five", " one two three 4 five"),
    ],
)
def test_how_two_texts_are_joined(old: str, new: str, whole: str) -> None:
    stitcher = open_turn(old)
    assert stitcher.take(TurnStarted(), 6 * SECOND) == []
    assert stitcher.take(TurnEnded(new), 12 * SECOND) == [TurnEnded(whole)]
    later: list[RecognizerEvent] = [TurnStarted(), TurnUpdated(" Bye"), TurnEnded(" Bye.")]
    assert [event for given_ in later for event in stitcher.take(given_, 14 * SECOND)] == later


def test_nothing_is_told_while_the_new_text_is_inside_the_old() -> None:
    stitcher = open_turn(" I'd like to book a table")
    assert stitcher.take(TurnUpdated(" book"), 6 * SECOND) == []
    assert stitcher.take(TurnEagerlyEnded(" book a"), 7 * SECOND) == []
    assert stitcher.take(TurnResumed(), 7 * SECOND) == []
    assert stitcher.take(TurnUpdated(" book a table"), 8 * SECOND) == []
    assert stitcher.take(TurnUpdated(" book a table for"), 9 * SECOND) == [
        TurnUpdated(" I'd like to book a table for")
    ]


def test_an_end_that_the_earlier_connection_did_not_hear_is_none() -> None:
    stitcher = open_turn(" I'd like to book a table")
    assert stitcher.take(TurnStarted(), 5 * SECOND) == []
    assert stitcher.take(TurnEnded(" to book"), 6 * SECOND) == []
    assert stitcher.open
    assert stitcher.take(TurnStarted(), 7 * SECOND) == []
    assert stitcher.take(TurnUpdated(" a table"), 8 * SECOND) == []
    assert stitcher.take(TurnEnded(" a table for two"), 12 * SECOND) == [
        TurnEnded(" I'd like to book a table for two")
    ]


def test_an_eager_end_before_the_drop() -> None:
    stitcher = Stitcher()
    stitcher.take(TurnStarted(), SECOND)
    stitcher.take(TurnEagerlyEnded(" Two"), 2 * SECOND)
    stitcher.resumed(0)
    assert stitcher.take(TurnEagerlyEnded(" Two"), 3 * SECOND) == []  # as told before
    assert stitcher.take(TurnUpdated(" Two please"), 3 * SECOND) == [TurnResumed(), TurnUpdated(" Two please")]
    assert stitcher.take(TurnEagerlyEnded(" Two please"), 3 * SECOND) == [TurnEagerlyEnded(" Two please")]
    assert stitcher.take(TurnResumed(), 3 * SECOND) == [TurnResumed()]
    assert stitcher.take(TurnEnded(" Two please."), 4 * SECOND) == [TurnEnded(" Two please.")]


def test_a_turn_without_another_word_ends_with_what_it_had() -> None:
    stitcher = open_turn(" I'd like to book a table")
    assert stitcher.waiting
    assert stitcher.silence(9 * SECOND) == [TurnEnded(" I'd like to book a table")]
    assert stitcher.silence(9 * SECOND) == []
    assert stitcher.resume_at is None


def test_a_forgotten_turn_is_not_told_of() -> None:
    stitcher = Stitcher()
    stitcher.take(TurnStarted(), SECOND)
    stitcher.take(TurnUpdated(" Two"), 2 * SECOND)
    stitcher.forget(3 * SECOND)
    assert stitcher.take(TurnUpdated(" Two please"), 4 * SECOND) == []
    assert stitcher.take(TurnEnded(" Two please."), 4 * SECOND) == []
    assert stitcher.take(TurnStarted(), 5 * SECOND) == [TurnStarted()]
    stitcher.forget(5 * SECOND)
    stitcher.resumed(5 * SECOND)
    assert stitcher.take(TurnStarted(), 6 * SECOND) == [TurnStarted()]
    assert stitcher.resume_at == 5 * SECOND  # never before what was given up


def test_text_without_spaces_is_joined_by_characters() -> None:
    stitcher = Stitcher()
    stitcher.take(TurnStarted(), SECOND)
    stitcher.take(TurnUpdated("二人で"), 3 * SECOND)
    stitcher.take(TurnUpdated("二人で予約したい"), 8 * SECOND)
    stitcher.resumed(5 * SECOND)
    assert stitcher.take(TurnEnded("予約したいです。"), 12 * SECOND) == [TurnEnded("二人で予約したいです。")]


def test_audio_begins_again_in_a_pause() -> None:
    audio = b"\x05" * 1600 + b"\xfe" * 800 + b"\x06" * 1600
    assert 1600 < quiet_point(audio) < 2400
    assert quiet_point(b"\xff" * 4000) == pytest.approx(4000, abs=400)
    assert quiet_point(b"\x05" * 10) == 10


def test_a_phrase_that_comes_again_in_other_words_is_not_taken_for_the_first() -> None:
    """The new text begins with a misheard word, and has a phrase again that stands in the old one too."""
    old = "It was the best of times, it was the worst of times. It was the age of wisdom."
    new = "The times. it was the age of wisdom it was the age of foolishness"
    for first in (0, 5, 10):
        assert join(old, new, first, len(old.split()) - 1).text == (
            "It was the best of times, it was the worst of times. It was the age of wisdom"
            " it was the age of foolishness"
        )
