"""The speech socket's messages, pinned by a session of the protocol's own shape."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bridge.errors import ProtocolError
from bridge.tts.cartesia_wire import (
    Cancel,
    Chunk,
    Done,
    Error,
    FlushDone,
    Generate,
    GenerationConfig,
    PhonemeTimes,
    PhonemeTimestamps,
    ServiceMessage,
    Timestamps,
    Unknown,
    VoiceObject,
    WordTimes,
    encode,
    parse_from_client,
    parse_from_service,
    voice_for,
)

AUDIO = bytes(range(256))

SESSION: list[tuple[dict[str, Any], ServiceMessage]] = [
    (
        {
            "type": "chunk",
            "context_id": "c-1",
            "data": base64.b64encode(AUDIO).decode(),
            "done": False,
            "status_code": 206,
            "step_time": 41.5,
            "flush_id": 1,
        },
        Chunk("c-1", AUDIO, step_time=41.5, flush_id=1),
    ),
    (
        {
            "type": "timestamps",
            "context_id": "c-1",
            "done": False,
            "status_code": 206,
            "word_timestamps": {"words": ["Of", "course."], "start": [0.0, 0.2], "end": [0.15, 0.6]},
        },
        Timestamps("c-1", WordTimes(["Of", "course."], [0.0, 0.2], [0.15, 0.6])),
    ),
    (
        {
            "type": "phoneme_timestamps",
            "context_id": "c-1",
            "done": False,
            "status_code": 206,
            "phoneme_timestamps": {"phonemes": ["ɒ"], "start": [0.0], "end": [0.08]},
        },
        PhonemeTimestamps("c-1", PhonemeTimes(["ɒ"], [0.0], [0.08])),
    ),
    (
        {
            "type": "flush_done",
            "context_id": "c-1",
            "done": False,
            "flush_done": True,
            "flush_id": 1,
            "status_code": 206,
        },
        FlushDone("c-1", 1),
    ),
    ({"type": "done", "context_id": "c-1", "done": True, "status_code": 206}, Done("c-1")),
    (
        {
            "type": "error",
            "context_id": "c-1",
            "done": True,
            "status_code": 400,
            "title": "Bad voice",
            "message": "No such voice.",
            "request_id": "q",
        },
        Error("c-1", "Bad voice", "No such voice.", 400, request_id="q"),
    ),
]


@pytest.mark.parametrize(("wire", "message"), SESSION)
def test_messages_of_the_service_both_ways(wire: dict[str, Any], message: ServiceMessage) -> None:
    assert parse_from_service(json.dumps(wire)) == message
    assert json.loads(encode(message)) == wire


def test_an_error_of_the_connection_has_no_context() -> None:
    message = parse_from_service('{"type":"error","done":true,"error":"old text"}')
    assert message == Error(error="old text")
    assert message.text == "old text"


def test_unknown_fields_and_types() -> None:
    assert parse_from_service('{"type":"done","context_id":"c","mood":1}') == Done("c")
    assert parse_from_service('{"type":"breath","context_id":"c"}') == Unknown("breath")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"context_id":"c"}',
        '{"type":"chunk","context_id":"c"}',
        '{"type":"chunk","context_id":"c","data":"a!b="}',
        '{"type":"timestamps","context_id":"c","word_timestamps":{"words":["a"]}}',
        b'{"type":"done","context_id":"\xff"}',
    ],
)
def test_malformed_messages_raise(text: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_from_service(text)


def test_a_request_on_the_wire() -> None:
    request = Generate(
        context_id="call-7",
        model_id="sonic-latest",
        transcript="Sure, ",
        continue_=True,
        voice=voice_for("2026-03-01", "v1"),
        language="en",
        add_timestamps=True,
        use_normalized_timestamps=False,
        max_buffer_delay_ms=0,
        generation_config=GenerationConfig(speed=1.1),
    )
    assert json.loads(encode(request)) == {
        "context_id": "call-7",
        "model_id": "sonic-latest",
        "transcript": "Sure, ",
        "continue": True,
        "voice": {"mode": "id", "id": "v1"},
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
        "language": "en",
        "add_timestamps": True,
        "use_normalized_timestamps": False,
        "max_buffer_delay_ms": 0,
        "generation_config": {"speed": 1.1},
    }
    assert parse_from_client(encode(request)) == request


def test_the_end_of_a_context_is_an_empty_text_that_is_there() -> None:
    request = Generate(context_id="c", model_id="m", transcript="", voice="v", continue_=False)
    wire = json.loads(encode(request))
    assert wire["transcript"] == ""
    assert wire["continue"] is False


def test_cancel() -> None:
    assert json.loads(encode(Cancel("c"))) == {"context_id": "c", "cancel": True}
    assert parse_from_client('{"context_id":"c","cancel":true}') == Cancel("c")


def test_flush_and_a_cancel_that_is_false() -> None:
    request = parse_from_client(
        '{"context_id":"c","model_id":"m","transcript":"","voice":"v","continue":true,"flush":true,"cancel":false,'
        '"output_format":{"container":"raw","encoding":"pcm_s16le","sample_rate":16000},"language":null}'
    )
    assert isinstance(request, Generate)
    assert (request.flush, request.continue_, request.language) == (True, True, None)
    assert request.output_format.sample_rate == 16_000


@pytest.mark.parametrize("voice", ['"v1"', '{"id":"v1"}', '{"mode":"id","id":"v1"}', '{"id":"v1","later":1}'])
def test_every_shape_of_a_voice_is_read(voice: str) -> None:
    request = parse_from_client(f'{{"context_id":"c","model_id":"m","transcript":"t","voice":{voice}}}')
    assert isinstance(request, Generate)
    assert request.voice_id == "v1"
    assert request.continue_ is False


def test_the_shape_of_a_voice_depends_on_the_version() -> None:
    assert voice_for("2026-08-13", "v") == VoiceObject("v", "id")
    assert voice_for("2026-08-14", "v") == VoiceObject("v")
    wire = encode(Generate(context_id="c", model_id="m", transcript="t", voice=voice_for("2026-08-14", "v")))
    assert json.loads(wire)["voice"] == {"id": "v"}


@pytest.mark.parametrize("text", ["", "{}", '{"context_id":"c"}', '{"context_id":7,"cancel":true}', "close"])
def test_malformed_requests_raise(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_from_client(text)
