"""ConversationRelay's messages, pinned by a session of the reference's own shape, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.agents.relay import wire
from bridge.errors import ProtocolError
from tests.agents.relay.session import FROM_APP, FROM_TWILIO


@pytest.mark.parametrize(("documented", "message"), FROM_TWILIO)
def test_what_the_bridge_sends_is_what_twilio_sends(documented: dict[str, Any], message: wire.ToApp) -> None:
    assert json.loads(wire.encode(message)) == documented
    assert wire.parse_to_app(json.dumps(documented)) == message


@pytest.mark.parametrize(("documented", "message"), FROM_APP)
def test_what_an_app_sends_is_read(documented: dict[str, Any], message: Any) -> None:
    assert wire.parse_from_app(json.dumps(documented)) == message
    assert json.loads(wire.encode(message)) == documented


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "text", "token": "Hi", "voice": "none of ours"},
        {"type": "text", "token": "Hi", "lang": None, "interruptible": None, "preemptible": None},
    ],
)
def test_fields_that_are_new_or_null_cost_no_message(sent: dict[str, Any]) -> None:
    read = wire.parse_from_app(json.dumps(sent))
    assert isinstance(read, wire.Text)
    assert (read.token, read.last, read.lang or "", bool(read.interruptible)) == ("Hi", False, "", False)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "hello",
        "[]",
        "{}",
        '{"type":7}',
        '{"type":"speak","text":"no such type"}',
        '{"type":"setup","sessionId":"VX","callSid":"CA"}',
        '{"type":"text"}',
        '{"type":"text","token":null}',
        '{"type":"text","token":"Hi","last":"true"}',
        '{"type":"text","token":"Hi","interruptible":"no"}',
        '{"type":"play"}',
        '{"type":"play","source":""}',
        '{"type":"play","source":"https://example.com/a.wav","loop":-1}',
        '{"type":"sendDigits","digits":""}',
        '{"type":"sendDigits","digits":"12a"}',
        '{"type":"language"}',
        '{"type":"language","ttsLanguage":""}',
        '{"type":"end","handoffData":{"reason":"not a text"}}',
        '{"type":"config",',
        "[" * 5000,
        f'{{"type":"sendDigits","digits":"{"1" * 501}"}}',
        f'{{"type":"language","ttsLanguage":"{"x" * 101}"}}',
        f'{{"type":"text","token":"Hola.","lang":"{"x" * 101}"}}',
        f'{{"type":"hints","hints":"{"word," * 101}"}}',
        f'{{"type":"hints","hints":["{"x" * 1201}"]}}',
        f'{{"type":"hints","hints":[{",".join(["1"] * 50_000)}]}}',
        b'{"type":"text","token":"binary"}',
    ],
)
def test_what_cannot_be_read_is_malformed(sent: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.parse_from_app(sent)


def test_a_malformed_message_is_quoted_but_not_without_end() -> None:
    assert wire.complaint('{"foo":"bar"}').description == 'Invalid message received: {"foo":"bar"}'
    assert len(wire.complaint("x" * 100_000).description) < 1100
    assert wire.complaint(b"\x00\x01").description == "Invalid message received: (binary, 2 bytes)"


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "config", "partialPrompts": True, "interruptible": "speech"},
        {"type": "config", "config": {"partialPrompts": True, "interruptible": "speech"}},
    ],
)
def test_changes_of_the_session_are_taken_in_either_shape(sent: dict[str, Any]) -> None:
    changes = {"partialPrompts": True, "interruptible": "speech"}
    assert wire.parse_from_app(json.dumps(sent)) == wire.Config(changes)


@pytest.mark.parametrize(
    ("given", "words"),
    [("Aachen, Ulm ,", ("Aachen", "Ulm")), (["Aachen", 3, " Ulm"], ("Aachen", "Ulm")), (None, ()), ({"a": 1}, ())],
)
def test_hints_are_taken_in_any_shape(given: Any, words: tuple[str, ...]) -> None:
    assert wire.parse_from_app(json.dumps({"type": "hints", "hints": given})) == wire.Hints(words)


def test_undocumented_messages_of_apps_do_no_harm() -> None:
    assert wire.parse_from_app('{"type":"interrupt"}') == wire.Interrupt()
    assert wire.parse_from_app('{"type":"end","reason":"done"}') == wire.End()


@pytest.mark.parametrize(("written", "ms"), [(1240, 1240), ("1240", 1240), ("soon", 0), ("9" * 5000, 999999999)])
def test_the_heard_time_is_read_as_number_and_as_text(written: int | str, ms: int) -> None:
    text = json.dumps({"type": "interrupt", "utteranceUntilInterrupt": "A", "durationUntilInterruptMs": written})
    read = wire.parse_to_app(text)
    assert isinstance(read, wire.Interrupt)
    assert read.heard_ms == ms


def test_an_app_ignores_what_is_new() -> None:
    assert wire.parse_to_app('{"type":"configUpdated","x":1}') == wire.Unknown("configUpdated")
    with pytest.raises(ProtocolError):
        wire.parse_to_app('{"type":"prompt"}')
    with pytest.raises(ProtocolError):
        wire.parse_to_app('"prompt"')


def test_the_id_of_a_session_is_the_calls_own() -> None:
    one, other = wire.session_id("call-1"), wire.session_id("call-2")
    assert one == wire.session_id("call-1") != other
    assert one.startswith("VX")
    assert set(one[2:]) <= set("0123456789abcdef")
    assert len(one) == 34


@pytest.mark.parametrize(
    ("caller", "kind"), [("+15550001111", "PSTN"), ("sip:desk@example.com", "SIP"), ("client:ann", "CLIENT")]
)
def test_the_kind_of_call_is_told(caller: str, kind: str) -> None:
    assert wire.call_type(caller) == kind


TEXTS = st.text('ab 1w#{}[]",\\\x00é€😀', max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
TYPES = st.sampled_from(["text", "play", "sendDigits", "language", "end", "config", "hints", "interrupt", "x"])
FIELDS = st.sampled_from(
    ["token", "last", "lang", "interruptible", "source", "loop", "digits", "ttsLanguage", "handoffData", "hints"]
)


@settings(deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=4), TYPES)
def test_no_message_of_an_app_does_more_than_be_refused(fields: dict[str, Any], kind: str) -> None:
    text = json.dumps({"type": kind, **fields})
    try:
        message = wire.parse_from_app(text)
    except ProtocolError:
        assert json.loads(wire.encode(wire.complaint(text)))["type"] == "error"
        return
    if isinstance(message, wire.Text | wire.PlayMedia | wire.SendDigits | wire.Language | wire.End):
        assert wire.parse_from_app(wire.encode(message)) == message


@settings(deadline=None)
@given(TEXTS | st.binary(max_size=50))
def test_garbage_is_refused(garbage: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.parse_from_app(garbage)
