from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.twilio.tokens import MAX_CHARACTERS, StreamTokens, TokenRefused

CALL = "CA" + "2" * 32
OTHER_CALL = "CA" + "3" * 32
FACTS = {"from": "+14155550100", "to": "+14155550199"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def refusal(tokens: StreamTokens, token: str, call_sid: str = CALL) -> str:
    with pytest.raises(TokenRefused) as caught:
        tokens.redeem(token, call_sid)
    return caught.value.reason


def test_a_token_brings_its_facts_back_once() -> None:
    tokens = StreamTokens("secret")
    token = tokens.issue(CALL, FACTS)

    assert tokens.redeem(token, CALL) == FACTS
    assert refusal(tokens, token) == "used"


def test_two_tokens_of_one_call_are_two_tickets() -> None:
    tokens = StreamTokens("secret")
    first, second = tokens.issue(CALL, FACTS), tokens.issue(CALL, FACTS)

    assert first != second
    assert tokens.redeem(first, CALL) == tokens.redeem(second, CALL) == FACTS


def test_a_token_of_another_call_is_refused_and_not_used_up() -> None:
    tokens = StreamTokens("secret")
    token = tokens.issue(CALL, FACTS)

    assert refusal(tokens, token, OTHER_CALL) == "wrong_call"
    assert tokens.redeem(token, CALL) == FACTS


@pytest.mark.parametrize(
    "forged", ["x", "a.b.c", "ümlaut", " ", StreamTokens("other secret").issue(CALL, FACTS), "." * 400]
)
def test_what_is_not_ours_is_refused(forged: str) -> None:
    assert refusal(StreamTokens("secret"), forged) == "wrong"


def test_every_changed_character_makes_a_token_wrong() -> None:
    tokens = StreamTokens("secret")
    token = tokens.issue(CALL, FACTS)

    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert refusal(tokens, changed) == "wrong"


def test_other_spellings_of_its_signature_make_a_token_wrong() -> None:
    """The last character of a signature has two bits that say nothing, and what is not of base64 is passed over."""
    tokens = StreamTokens("secret")
    token = tokens.issue(CALL, FACTS)

    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bytes = [token[:-1] + letters[letters.index(token[-1]) + more] for more in (1, 2, 3)]
    for changed in (*same_bytes, token + "=", token + "!", token + "\n", token + "é"):
        assert refusal(tokens, changed) == "wrong", changed[-3:]
    assert tokens.redeem(token, CALL) == FACTS


def test_no_token_is_missing() -> None:
    assert refusal(StreamTokens("secret"), "") == "missing"


def test_a_token_expires() -> None:
    clock = Clock()
    tokens = StreamTokens("secret", lifetime_s=60, clock=clock)
    early, late = tokens.issue(CALL, FACTS), tokens.issue(CALL, FACTS)

    clock.now += 59.9
    assert tokens.redeem(early, CALL) == FACTS
    clock.now += 1.2
    assert refusal(tokens, late) == "expired"


def test_a_used_token_stays_used_until_it_has_expired() -> None:
    clock = Clock()
    tokens = StreamTokens("secret", lifetime_s=60, clock=clock)
    clock.now += 0.9
    token = tokens.issue(CALL, FACTS)
    tokens.redeem(token, CALL)

    seen = set()
    for _ in range(700):
        clock.now += 0.1
        tokens.issue(OTHER_CALL, FACTS)
        tokens.redeem(tokens.issue(OTHER_CALL, FACTS), OTHER_CALL)
        seen.add(refusal(tokens, token))
    assert seen == {"used", "expired"}


def test_what_is_remembered_is_bounded() -> None:
    tokens = StreamTokens("secret", remembered=3)
    used = [tokens.issue(CALL, FACTS) for _ in range(4)]
    for token in used:
        tokens.redeem(token, CALL)

    assert refusal(tokens, used[3]) == "used"
    assert refusal(tokens, used[2]) == "used"
    assert len(tokens._used) <= 3


def test_processes_with_one_secret_know_each_others_tokens() -> None:
    token = StreamTokens("secret").issue(CALL, FACTS)

    assert StreamTokens("secret").redeem(token, CALL) == FACTS


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=2000), max_size=4))
def test_a_token_always_fits_into_a_parameter(facts: dict[str, str]) -> None:
    tokens = StreamTokens("secret")
    token = tokens.issue(CALL, facts)

    assert len(token) <= MAX_CHARACTERS
    carried = tokens.redeem(token, CALL)
    assert carried.keys() == facts.keys()
    assert all(facts[name].startswith(value) for name, value in carried.items())
    if sum(len(name) + len(value) for name, value in facts.items()) < 50:
        assert carried == facts


def test_codes_are_the_metrics_reasons() -> None:
    assert [TokenRefused(reason).code for reason in ("missing", "wrong", "expired", "used", "wrong_call")] == [
        "token_missing",
        "token_wrong",
        "token_expired",
        "token_used",
        "wrong_call",
    ]
