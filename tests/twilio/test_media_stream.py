from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.twilio import media_stream as ms

STREAM = "MZ0123456789abcdef0123456789abcdef"
CALL = "CAfedcba9876543210fedcba9876543210"
ACCOUNT = "AC00112233445566778899aabbccddeeff"

START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "accountSid": ACCOUNT,
        "streamSid": STREAM,
        "callSid": CALL,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t-1", "name": "José"},
    },
    "streamSid": STREAM,
}
STARTED = ms.Started(
    stream_sid=STREAM,
    call_sid=CALL,
    account_sid=ACCOUNT,
    tracks=("inbound",),
    encoding="audio/x-mulaw",
    sample_rate=8000,
    channels=1,
    parameters={"token": "t-1", "name": "José"},
)
SESSION: list[tuple[dict[str, Any], ms.FromCarrier]] = [
    ({"event": "connected", "protocol": "Call", "version": "1.0.0"}, ms.Connected("Call", "1.0.0")),
    (START, STARTED),
    (
        {
            "event": "media",
            "sequenceNumber": "2",
            "media": {"track": "inbound", "chunk": "1", "timestamp": "40", "payload": "//9/fw=="},
            "streamSid": STREAM,
        },
        ms.Media("inbound", 40, b"\xff\xff\x7f\x7f"),
    ),
    (
        {
            "event": "dtmf",
            "streamSid": STREAM,
            "sequenceNumber": "3",
            "dtmf": {"track": "inbound_track", "digit": "#"},
        },
        ms.Digit("#"),
    ),
    (
        {"event": "mark", "sequenceNumber": "4", "streamSid": STREAM, "mark": {"name": "1.2"}},
        ms.Mark("1.2"),
    ),
    (
        {
            "event": "stop",
            "sequenceNumber": "5",
            "streamSid": STREAM,
            "stop": {"accountSid": ACCOUNT, "callSid": CALL},
        },
        ms.Stopped(CALL),
    ),
]


def test_the_numbers_of_the_format_may_be_strings_as_all_others_are() -> None:
    text = json.dumps(START).replace("8000", '"8000"').replace('"channels": 1', '"channels": "1"')
    assert ms.parse_from_carrier(text) == STARTED
    with pytest.raises(ProtocolError):
        ms.parse_from_carrier(json.dumps(START).replace("8000", '"fast"'))


@pytest.mark.parametrize(
    ("wire", "message"), SESSION, ids=lambda one: one.get("event") if isinstance(one, dict) else ""
)
def test_a_session_of_the_carrier(wire: dict[str, Any], message: ms.FromCarrier) -> None:
    assert ms.parse_from_carrier(json.dumps(wire)) == message
    assert ms.parse_from_carrier(json.dumps(wire).encode()) == message


def test_the_simulator_writes_the_same_session() -> None:
    writer = ms.CarrierStream(stream_sid=STREAM, call_sid=CALL, account_sid=ACCOUNT)
    written = [
        writer.connected(),
        writer.start({"token": "t-1", "name": "José"}),
        writer.media(b"\xff\xff\x7f\x7f", 40),
        writer.dtmf("#"),
        writer.mark("1.2"),
        writer.stop(),
    ]
    assert [json.loads(text) for text in written] == [wire for wire, _ in SESSION]


def test_counters_of_the_simulator_are_strings_and_grow() -> None:
    writer = ms.CarrierStream(stream_sid=STREAM, call_sid=CALL, account_sid=ACCOUNT)
    writer.start({})
    media = [json.loads(writer.media(b"\xff" * 160, 20 * n)) for n in range(3)]
    assert [one["sequenceNumber"] for one in media] == ["2", "3", "4"]
    assert [one["media"]["chunk"] for one in media] == ["1", "2", "3"]
    assert [one["media"]["timestamp"] for one in media] == ["0", "20", "40"]


def test_custom_parameters_may_be_missing_and_unknown_fields_are_passed_over() -> None:
    body = {key: value for key, value in START["start"].items() if key != "customParameters"}
    message = ms.parse_from_carrier(
        json.dumps({"event": "start", "start": {**body, "name": "x"}, "extra": [1, {}]})
    )
    assert isinstance(message, ms.Started)
    assert message.parameters == {}
    mark = {"event": "mark", "mark": {"name": "a", "more": 1}, "streamSid": STREAM}
    assert ms.parse_from_carrier(json.dumps(mark)) == ms.Mark("a")


def test_a_timestamp_that_cannot_be_read_costs_no_audio() -> None:
    for timestamp in ("soon", "", "9" * 5000):
        wire = {"event": "media", "media": {"track": "inbound", "timestamp": timestamp, "payload": "/w=="}}
        assert ms.parse_from_carrier(json.dumps(wire)) == ms.Media("inbound", None, b"\xff")
    assert ms.parse_from_carrier('{"event":"media","media":{"timestamp":60,"payload":""}}') == ms.Media(
        "inbound", 60, b""
    )


def test_an_unknown_event_is_survived() -> None:
    assert ms.parse_from_carrier('{"event":"weather","streamSid":"MZ1","weather":{}}') == ms.Unknown("weather")


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        "hello",
        '{"streamSid":"MZ1"}',
        '{"event":7}',
        '{"event":"media"}',
        '{"event":"media","media":{}}',
        '{"event":"media","media":{"payload":5}}',
        '{"event":"mark","mark":"a"}',
        '{"event":"start","start":{"streamSid":"MZ1"}}',
        b"\xff\xfe\x00",
        "\ud800",
        '{"a":' + "[" * 100_000,
    ],
    ids=lambda frame: repr(frame)[:30],
)
def test_a_malformed_frame_is_an_error_of_ours(frame: str | bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        ms.parse_from_carrier(frame)
    assert caught.value.code == "malformed_message"


def test_audio_of_a_media_message() -> None:
    def media(payload: str) -> ms.FromCarrier:
        return ms.parse_from_carrier(json.dumps({"event": "media", "media": {"payload": payload}}))

    assert media(base64.b64encode(bytes(range(256))).decode()) == ms.Media("inbound", None, bytes(range(256)))
    for payload in ("A", "A-_A", "AAAA\n", "é"):
        with pytest.raises(ProtocolError):
            media(payload)


def test_the_bridge_sends_exactly_the_documented_fields() -> None:
    assert json.loads(ms.media_message(STREAM, b"\xff\x00\x7f")) == {
        "event": "media",
        "streamSid": STREAM,
        "media": {"payload": "/wB/"},
    }
    assert json.loads(ms.mark_message(STREAM, 'a "b"')) == {
        "event": "mark",
        "streamSid": STREAM,
        "mark": {"name": 'a "b"'},
    }
    assert json.loads(ms.clear_message(STREAM)) == {"event": "clear", "streamSid": STREAM}


@given(st.binary(max_size=400), st.text(max_size=40))
def test_what_the_bridge_writes_the_simulator_reads(audio: bytes, name: str) -> None:
    assert ms.parse_from_bridge(ms.media_message(STREAM, audio), STREAM) == ms.PlayMedia(audio)
    assert ms.parse_from_bridge(ms.mark_message(STREAM, name), STREAM) == ms.PlayMark(name)
    assert ms.parse_from_bridge(ms.clear_message(STREAM), STREAM) == ms.PlayClear()


@given(st.binary(max_size=400), st.integers(0, 10**9))
def test_what_the_simulator_writes_the_bridge_reads(audio: bytes, timestamp_ms: int) -> None:
    writer = ms.CarrierStream(stream_sid=STREAM, call_sid=CALL, account_sid=ACCOUNT)
    message = ms.parse_from_carrier(writer.media(audio, timestamp_ms))
    assert isinstance(message, ms.Media)
    assert (message.timestamp_ms, message.audio) == (timestamp_ms, audio)


@given(st.text() | st.binary())
def test_no_frame_whatever_raises_anything_else(frame: str | bytes) -> None:
    with contextlib.suppress(ProtocolError):
        ms.parse_from_carrier(frame)
    ms.parse_from_bridge(frame, STREAM)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b'{"event":"clear"}', 31950),
        ("hello", 31951),
        ("[]", 31951),
        ('{"event":"stop","streamSid":"%s"}', 31951),
        ('{"event":"clear"}', 31951),
        ('{"event":"clear","streamSid":"MZother"}', 31951),
        ('{"event":"clear","streamSid":"%s","why":1}', 31951),
        ('{"event":"mark","streamSid":"%s"}', 31951),
        ('{"event":"mark","streamSid":"%s","mark":{"name":1}}', 31951),
        ('{"event":"mark","streamSid":"%s","mark":{"name":"a","n":1}}', 31951),
        ('{"event":"media","streamSid":"%s","media":{"playload":"/w=="}}', 31951),
        ('{"event":"media","streamSid":"%s","media":{"payload":"/w==","track":"outbound"}}', 31951),
        ('{"event":"media","streamSid":"%s","media":{"payload":"/w"}}', 31951),
        ('{"event":"media","streamSid":"%s","media":{"payload":"_w=="}}', 31951),
    ],
)
def test_the_simulator_is_as_strict_as_twilio(frame: str | bytes, code: int) -> None:
    if isinstance(frame, str) and "%s" in frame:
        frame %= STREAM
    message = ms.parse_from_bridge(frame, STREAM)
    assert isinstance(message, ms.Invalid), message
    assert message.code == code
    assert message.reason


@pytest.mark.parametrize("timestamp", ["9" * 400, "9" * 5000, 10**400, "-20", -1, "soon", 2**54])
def test_a_time_that_no_call_has_costs_the_time_and_not_the_sound(timestamp: str | int) -> None:
    """A number that no clock counts to could not even be added to another."""
    body = {"track": "inbound", "timestamp": timestamp, "payload": "//9/fw=="}
    assert ms.parse_from_carrier(json.dumps({"event": "media", "media": body})) == ms.Media(
        "inbound", None, b"\xff\xff\x7f\x7f"
    )
