from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from bridge.agents.base import Question
from bridge.agents.webhook.wire import asking_of, encode_question, question_id, signing_key
from bridge.conversation.commands import Interruption, TransferResult
from bridge.errors import SettingsError
from tests.agents.asking import CALL as ASKED_CALL
from tests.agents.asking import CUT_IN, ENDED, STARTED, TURN, headers_of, turn

CALL = {
    "id": "call-1",
    "sid": "CA0123456789abcdef0123456789abcdef",
    "from": "+15550001111",
    "to": "+15552223333",
    "direction": "inbound",
    "parameters": {"campaign": "spring"},
    "started_at": "2026-11-21T05:00:00Z",
}


def test_the_body_of_a_turn_has_every_documented_field() -> None:
    assert json.loads(encode_question(TURN)) == {
        "type": "turn.ended",
        "call": CALL,
        "turn": {"number": 1, "transcript": " What are your hours?", "speculative": False},
        "messages": [
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": " What are your hours?"},
        ],
    }


def test_the_body_before_the_first_turn() -> None:
    assert json.loads(encode_question(STARTED)) == {
        "type": "call.started",
        "call": CALL,
        "turn": {"number": 0, "transcript": "", "speculative": False},
        "messages": [],
    }


def test_an_interruption_is_told_only_when_there_was_one() -> None:
    assert json.loads(encode_question(CUT_IN))["interrupted"] == {
        "heard": "We are open",
        "unheard": " every day.",
    }
    assert "interrupted" not in json.loads(encode_question(TURN))


def test_digits_and_outcome_belong_to_their_own_occasions() -> None:
    digits = json.loads(encode_question(turn(occasion="digits", digits="12#")))
    ended = json.loads(encode_question(ENDED))
    assert (digits["digits"], "outcome" in digits) == ("12#", False)
    assert (ended["outcome"], "digits" in ended) == ({"reason": "caller", "duration_ms": 61_000}, False)


def test_a_transfer_that_did_not_come_about_is_told_with_its_status() -> None:
    result = TransferResult("+15550100009", "busy")
    body = json.loads(encode_question(turn(occasion="transfer.ended", transfer=result)))
    told = {"to": "+15550100009", "status": "busy"}
    assert (body["type"], body["transfer"], "outcome" in body) == ("transfer.ended", told, False)


def test_a_silence_has_nothing_of_its_own() -> None:
    body = json.loads(encode_question(turn(occasion="silence", transcript="")))
    assert (body["type"], {"digits", "transfer", "outcome"} & set(body)) == ("silence", set())


def test_a_speculative_question_says_so() -> None:
    assert json.loads(encode_question(turn(speculative=True)))["turn"]["speculative"] is True


ENCODED = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("secret", "verifier"),
    [
        (ENCODED, Webhook(ENCODED)),
        (ENCODED.rstrip("="), Webhook(ENCODED)),
        ("correct horse battery staple", Webhook(b"correct horse battery staple")),
        ("schlüssel", Webhook("schlüssel".encode())),
    ],
)
def test_the_signature_is_one_of_standard_webhooks(secret: str, verifier: Webhook) -> None:
    body = encode_question(turn(transcript="Grüße 👋"))
    headers = headers_of(TURN, body, key=signing_key(secret), now=time.time())
    assert verifier.verify(body, headers)["turn"]["transcript"] == "Grüße 👋"
    with pytest.raises(WebhookVerificationError):
        verifier.verify(body.replace(b"turn.ended", b"turn.ENDED"), headers)


def test_without_a_secret_nothing_is_signed() -> None:
    body = encode_question(TURN)
    headers = headers_of(TURN, body, key=signing_key(""), now=1_700_000_000.9)
    assert "webhook-signature" not in headers
    assert headers["webhook-timestamp"] == "1700000000"
    assert headers["user-agent"] == "phone-bridge/1"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", "whsec_****"])
def test_a_secret_that_is_no_base64_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(SettingsError) as refused:
        signing_key(secret)
    assert "agent.secret" in refused.value.message
    assert secret.removeprefix("whsec_") not in refused.value.message or secret == "whsec_"


def named(**changes: Any) -> str:
    return question_id(turn(**changes))


def test_a_turn_keeps_its_id_when_a_resumed_call_asks_again() -> None:
    again = named(reply=7, messages=(), interrupted=Interruption("We", " are"))
    assert again == named()
    assert re.fullmatch(r"msg_[0-9a-f]{32}", again)


@pytest.mark.parametrize(
    "changes",
    [
        {"turn": 2},
        {"transcript": "Hm."},
        {"speculative": True},
        {"occasion": "silence"},
        {"occasion": "digits"},
        {"call": replace(ASKED_CALL, id="call-2")},
    ],
)
def test_another_question_has_another_id(changes: dict[str, Any]) -> None:
    assert named(**changes) != named()


@pytest.mark.parametrize("occasion", ["digits", "silence", "transfer.ended"])
def test_what_may_come_again_within_a_turn_is_told_apart_by_its_reply(occasion: str) -> None:
    assert named(occasion=occasion, reply=7) != named(occasion=occasion, reply=8)
    assert named(occasion=occasion, reply=7) == named(occasion=occasion, reply=7)


@pytest.mark.parametrize("occasion", ["call.started", "call.ended"])
def test_a_call_begins_and_ends_once(occasion: str) -> None:
    assert named(occasion=occasion, reply=7, turn=0) == named(occasion=occasion, reply=8, turn=5)


def parent(question: Question, *, now: float = 1.7e9) -> tuple[str, str]:
    """The ids of the trace and of the span that an agent is told of."""
    headers = headers_of(question, encode_question(question), key=b"key", now=now)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
    _, trace, span, _ = headers["traceparent"].split("-")
    return trace, span


def test_a_call_is_one_trace_and_each_question_one_span() -> None:
    first, second = parent(turn(turn=1)), parent(turn(turn=2))
    elsewhere = parent(turn(call=replace(ASKED_CALL, id="call-2")))
    assert first[0] == second[0] != elsewhere[0]
    assert len({first[1], second[1], elsewhere[1]}) == 3


def test_a_question_is_posted_once_and_its_span_does_not_hang_on_the_clock() -> None:
    assert parent(TURN) == parent(TURN, now=1.7e9 + 1)


@pytest.mark.parametrize(
    "again",
    [replace(TURN, reply=TURN.reply + 1), replace(TURN, call=replace(ASKED_CALL, epoch=2))],
    ids=["by a call that was cut off", "by the call's next process"],
)
def test_a_question_that_is_asked_again_is_another_span_under_the_same_id(again: Question) -> None:
    assert question_id(again) == question_id(TURN)
    assert asking_of(again) != asking_of(TURN)
    assert parent(again)[0] == parent(TURN)[0]
    assert parent(again)[1] != parent(TURN)[1]


def test_what_was_remembered_comes_back_where_there_is_something() -> None:
    assert json.loads(encode_question(turn(state={"cart": [1, 2]})))["state"] == {"cart": [1, 2]}
    assert "state" not in json.loads(encode_question(TURN))


def test_keys_that_are_asked_about_again_after_a_crash_are_the_same_question() -> None:
    keys = turn(occasion="digits", digits="12", reply=4)
    assert (
        question_id(replace(keys, reply=5, repeats=4)) == question_id(keys) != question_id(replace(keys, reply=5))
    )
