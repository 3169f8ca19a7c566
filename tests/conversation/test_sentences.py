"""Cutting streamed text into what can be spoken."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation.sentences import take_sentences


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("Hello.", ""),
        ("Hello. ", "Hello."),
        ("Hello! How are", "Hello!"),
        ("One. Two? Three", "One. Two?"),
        ("It costs 3.50 now", ""),
        ("It costs $3. ", "It costs $3."),
        ("Dr. Smith is here. Yes", "Dr. Smith is here."),
        ("Mr. J. Smith", ""),
        ("Dr. Smith", ""),
        ("So do I. Then", "So do I."),
        ("That is approx. 5 km", ""),
        ("We open at 9 a.m. on", ""),
        ('He said "no." Then', 'He said "no."'),
        ("Wait… what", "Wait…"),
        ("First line\nsecond", "First line\n"),
        ("1. Apples", ""),
        ("In 1990. Then", "In 1990."),
        ("好。再见", "好。"),
        ("", ""),
    ],
)
def test_whole_sentences_come_out_and_the_rest_waits(text: str, ready: str) -> None:
    assert take_sentences(text) == (ready, text.removeprefix(ready))


def test_a_long_answer_costs_no_more_per_sentence_than_a_short_one() -> None:
    start = time.process_time()
    take_sentences("Yes it is. " * 20_000)
    assert time.process_time() - start < 5, "it took minutes when each sentence looked at all before it"


@given(st.text(alphabet=" .!?ab1\n\"'…", max_size=40))
def test_nothing_is_lost_or_changed(text: str) -> None:
    ready, rest = take_sentences(text)
    assert ready + rest == text
