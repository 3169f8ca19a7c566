from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.conversation import journal as j
from bridge.privacy.bodies import redacted_body
from bridge.privacy.call import HIDDEN_KEY, CallRedaction
from bridge.privacy.redactor import Redactor
from tests.privacy.saying import cards, said
from tests.store.samples import ENTRIES, LOG_ENTRIES, TROUBLED


def told(*turns: str, kinds: tuple[str, ...] = ("card",), gap_ms: int = 3000) -> list[str]:
    """What is kept of turns; the agent's begin with `A:`, and what nobody heard of it with `|`."""
    call = CallRedaction(Redactor(kinds))
    kept: list[str] = []
    for number, text in enumerate(turns):
        at = number * gap_ms
        if text.startswith("A:"):
            heard, _, unheard = text[2:].partition("|")
            entry = call.entry(j.AgentSpoke(1, 1, "turn.ended", heard, unheard, bool(unheard), at, at + 900))
            assert isinstance(entry, j.AgentSpoke)
            kept.append(f"A:{entry.heard}" + (f"|{entry.unheard}" if unheard else ""))
        else:
            spoke = call.entry(j.CallerSpoke(number, text, at, at + 900))
            assert isinstance(spoke, j.CallerSpoke)
            kept.append(spoke.transcript)
    return kept


@pytest.mark.parametrize("entries", [ENTRIES, TROUBLED, LOG_ENTRIES])
def test_ordinary_calls_are_kept_as_they_are(entries: list[j.Entry]) -> None:
    call = CallRedaction(Redactor())
    assert [call.entry(entry) for entry in entries] == entries


@pytest.mark.parametrize(
    ("turns", "kept"),
    [
        # Eight digits that may begin a card number are not waited for; those that follow go with them.
        (
            ["four one one one one one one one", "one one one one, one one one one."],
            ["[card number]", "[card number]."],
        ),
        (
            ["It's 4111", "1111", "1111", "1111, ok?"],
            ["It's 4111", "[card number]", "[card number]", "[card number], ok?"],
        ),
        (["3782 822463", "10005"], ["[card number]", "[card number]"]),
        (["4111 1111 1111 111", "1. Thanks"], ["[card number]", "[card number]. Thanks"]),
        # The caller hesitates, and noise and the agent come between.
        (
            ["4111 1111", "", "uh-huh", "A:Go on.", "1111 1111"],
            ["[card number]", "", "uh-huh", "A:Go on.", "[card number]"],
        ),
        # Read back, in parts and cut off.
        (["4111 1111", "A:4111, 1111, go on"], ["[card number]", "A:[card number], go on"]),
        (["4111 1111 1111 1111", "A:It ends in 1111."], ["[card number]", "A:It ends in 1111."]),
        (["A:Yours is 4111 11|11 1111 1111, right?"], ["A:Yours is [card number]|[card number], right?"]),
        # No card: numbers of phones, orders, dates, times.
        (["My number is 415 555 2671", "and 5 people"], ["My number is 415 555 2671", "and 5 people"]),
        (["415 555", "2671"], ["415 555", "2671"]),
        (["in 2024", "at 10:30"], ["in 2024", "at 10:30"]),
        (["on 25.12.2024", "or 2024-12-26"], ["on 25.12.2024", "or 2024-12-26"]),
        (["order 12345678", "9012"], ["order 12345678", "9012"]),
        (["A:Your order is 45678912.", "Thanks"], ["A:Your order is 45678912.", "Thanks"]),
    ],
)  # fmt: skip
def test_numbers_over_several_turns(turns: list[str], kept: list[str]) -> None:
    assert told(*turns) == kept


def test_a_minute_later_it_is_another_number() -> None:
    assert told("5500 00", "00 0000 0004", gap_ms=70_000) == ["5500 00", "00 0000 0004"]


@given(st.data(), cards(), st.lists(st.integers(1, 14), min_size=1, max_size=3, unique=True))
@settings(deadline=None)
def test_of_a_number_in_turns_fewer_than_ten_digits_stay(data: st.DataObject, card: str, cuts: list[int]) -> None:
    places = sorted({0, len(card), *(cut for cut in cuts if cut < len(card))})
    turns = [data.draw(said(card[first:last])) for first, last in pairwise(places)]
    kept = told(*turns)
    stays = sum(
        last - first for first, last, text in zip(places, places[1:], kept, strict=False) if "[" not in text
    )
    assert stays <= 10
    assert kept[-1].endswith("[card number]") or len(places) == 2


def pressed(keys: str, *, gap_ms: int = 300) -> str:
    call = CallRedaction(Redactor())
    entries = [call.entry(j.KeyPressed(at * gap_ms, key)) for at, key in enumerate(keys)]
    return "".join(entry.digit for entry in entries if isinstance(entry, j.KeyPressed))


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        ("4111111111111111#1226#", "411111??????????#1226#"),
        ("123456789#", "123456789#"),
        ("1234567890123", "1234567890???"),
        ("1*4111111#", "1*411111?#"),
        ("0", "0"),
    ],
)
def test_keys(keys: str, kept: str) -> None:
    assert pressed(keys) == kept.replace("?", HIDDEN_KEY)


def test_keys_that_are_pressed_now_and_then_are_no_number() -> None:
    assert pressed("4111111111", gap_ms=40_000) == "4111111111"


def test_gathered_digits() -> None:
    call = CallRedaction(Redactor())
    assert call.entry(j.DigitsGathered(1, "4111111111111111", 16)) == j.DigitsGathered(1, "", 16, masked=True)
    assert call.entry(j.DigitsGathered(1, "1234567890", 10)) == j.DigitsGathered(1, "1234567890", 10)
    halves = CallRedaction(Redactor())
    assert halves.entry(j.DigitsGathered(1, "55000000", 8)) == j.DigitsGathered(1, "55000000", 8)
    assert halves.entry(j.DigitsGathered(9, "00000004", 8)) == j.DigitsGathered(9, "", 8, masked=True)


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        (j.MessageLeft(1, "4111 1111 1111 1111", 0, 1), j.MessageLeft(1, "[card number]", 0, 1)),
        (j.ProblemMet(1, "agent", "x", "no 4111111111111111"), j.ProblemMet(1, "agent", "x", "no [card number]")),
        (j.NoteTaken(1, {"a": "4111111111111111"}), j.NoteTaken(1, {"a": "[card number]"})),
        (j.PartySpoke("callee", 1, "4111111111111111", 0, 1), j.PartySpoke("callee", 1, "[card number]", 0, 1)),
        (j.AgentRemembered(1, {"a": ["4111111111111111"]}), j.AgentRemembered(1, {"a": ["[card number]"]})),
    ],
)
def test_every_entry_that_holds_words(entry: j.Entry, kept: j.Entry) -> None:
    assert CallRedaction(Redactor()).entry(entry) == kept


@pytest.mark.parametrize(
    ("heard", "kept"),
    [
        ("Your bike is ready. It", "Your bike is ready. It"),
        ("Your card is 4111 1111", "Your card is "),
        ("Your card is four one one one, one", "Your card is "),
        ("Your card is 4111 1111 1111 1111 and it will", "Your card is [card number] and it will"),
        ("That is 20 euros. Would", "That is "),
        ("That is 20 euros. Would you like it", "That is 20 euros. Would you like it"),
    ],
)
def test_a_number_that_is_being_said_is_kept_when_it_is_whole(heard: str, kept: str) -> None:
    entry = j.AgentHeard(1, 1, 1, "turn.ended", heard, 0)
    assert CallRedaction(Redactor()).entry(entry) == msgspec.structs.replace(entry, heard=kept)


def test_what_is_being_said_is_not_kept_where_nobody_knows_what_it_may_become() -> None:
    entry = j.AgentHeard(1, 1, 1, "turn.ended", "Write to ann@exam", 0)
    assert CallRedaction(Redactor(("email",))).entry(entry) == msgspec.structs.replace(entry, heard="")


def test_numbers_of_transfers_go_only_with_phone_numbers() -> None:
    tried, closed = (
        j.TransferTried(1, "+15550100009", "busy"),
        j.CallClosed(1, "transfer", transfer_to="+15550100009"),
    )
    card, phone = CallRedaction(Redactor()), CallRedaction(Redactor(("phone",)))
    assert [card.entry(entry) for entry in (tried, closed)] == [tried, closed]
    kept: list[Any] = [phone.entry(entry) for entry in (tried, closed)]
    assert (kept[0].to, kept[1].transfer_to) == ("[phone number]", "[phone number]")


def test_the_body_of_an_event_is_looked_through_in_the_order_of_its_messages() -> None:
    facts = b'{"type":"call.ended","call":{"id":"4111111111111111","from":"+15551234567",'
    body = facts + (
        b'"parameters":{"c":"4111111111111111"}},'
        b'"messages":[{"role":"user","content":"4111 1111"},{"role":"assistant","content":"411111?"},'
        b'{"role":"user","content":"1111 1111"}],"reason":"caller"}'
    )
    assert redacted_body(Redactor(), body) == facts + (
        b'"parameters":{"c":"[card number]"}},'
        b'"messages":[{"role":"user","content":"[card number]"},{"role":"assistant","content":"[card number]?"},'
        b'{"role":"user","content":"[card number]"}],"reason":"caller"}'
    )
    plain = b'{"type": "call.ended",  "messages": []}'
    assert redacted_body(Redactor(), plain) is plain
    with pytest.raises(ValueError, match=r"truncated"):
        redacted_body(Redactor(), b"{")
