"""The turns and manual sockets' messages, pinned by sessions of the protocol's own shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.errors import ProtocolError
from bridge.stt.cartesia_wire import (
    Close,
    Config,
    Connected,
    Done,
    Error,
    FlushDone,
    ServiceMessage,
    TimedWord,
    Transcript,
    TurnEagerEnd,
    TurnEnd,
    TurnResume,
    TurnStart,
    TurnThresholds,
    TurnUpdate,
    Unknown,
    encode,
    parse_from_service,
    parse_manual_command,
    parse_turns_command,
)

ID = "5d0c1a52-77aa-4f0e-9b1c-3f2a1d9e8c70"

TURNS_SESSION: list[tuple[dict[str, Any], ServiceMessage]] = [
    ({"type": "connected", "request_id": ID}, Connected(ID)),
    ({"type": "turn.start", "request_id": ID}, TurnStart(ID)),
    ({"type": "turn.update", "transcript": "A table", "request_id": ID}, TurnUpdate("A table", ID)),
    ({"type": "turn.eager_end", "transcript": "A table for", "request_id": ID}, TurnEagerEnd("A table for", ID)),
    ({"type": "turn.resume", "request_id": ID}, TurnResume(ID)),
    ({"type": "turn.end", "transcript": "A table for two. ", "request_id": ID}, TurnEnd("A table for two. ", ID)),
    ({"type": "turn.start", "request_id": ID}, TurnStart(ID)),
    ({"type": "turn.end", "transcript": "", "request_id": ID}, TurnEnd("", ID)),
]
MANUAL_SESSION: list[tuple[dict[str, Any], ServiceMessage]] = [
    (
        {"type": "transcript", "text": "At ei", "is_final": False, "request_id": ID},
        Transcript("At ei", is_final=False, request_id=ID),
    ),
    ({"type": "flush_done", "request_id": ID}, FlushDone(ID)),
    (
        {
            "type": "transcript",
            "text": " At eight.",
            "is_final": True,
            "request_id": ID,
            "duration": 0.5,
            "language": "en",
        },
        Transcript(" At eight.", is_final=True, request_id=ID, duration=0.5, language="en"),
    ),
    ({"type": "done", "request_id": ID}, Done(ID)),
    (
        {
            "type": "error",
            "title": "Too many",
            "message": "No more streams.",
            "status_code": 429,
            "error_code": "concurrency_limited",
            "request_id": ID,
        },
        Error("Too many", "No more streams.", 429, "concurrency_limited", request_id=ID),
    ),
]


@pytest.mark.parametrize(("wire", "message"), [*TURNS_SESSION, *MANUAL_SESSION])
def test_messages_of_the_service_both_ways(wire: dict[str, Any], message: ServiceMessage) -> None:
    assert parse_from_service(json.dumps(wire)) == message
    assert parse_from_service(json.dumps(wire).encode()) == message
    assert json.loads(encode(message)) == wire


def test_unknown_fields_are_ignored_and_missing_texts_are_empty() -> None:
    assert parse_from_service('{"type":"turn.end","turn_id":7}') == TurnEnd("")
    assert parse_from_service('{"type":"turn.start","turn_id":7,"later":{"x":[1]}}') == TurnStart()


def test_an_unknown_type_is_no_error() -> None:
    assert parse_from_service('{"type":"turn.sigh","loud":true}') == Unknown("turn.sigh")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "close",
        "[1]",
        '"turn.start"',
        '{"transcript":"no type"}',
        '{"type":7}',
        '{"type":"turn.update","transcript":7}',
        '{"type":"turn.update","transcript":"cut o',
        b'{"type":"turn.update","transcript":"\xff"}',
    ],
)
def test_malformed_messages_raise(text: str | bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_from_service(text)
    assert caught.value.code == "malformed_message"


@pytest.mark.parametrize(
    "words",
    [
        [{"word": "At", "start": 0.1, "end": 0.2}, {"word": "eight.", "start": 0.2, "end": 0.5}],
        {"words": ["At", "eight."], "start": [0.1, 0.2], "end": [0.2, 0.5]},
        [{"words": ["At"], "start": [0.1], "end": [0.2]}, {"words": ["eight."], "start": [0.2], "end": [0.5]}],
    ],
)
def test_words_in_every_shape(words: Any) -> None:
    message = parse_from_service(json.dumps({"type": "transcript", "text": "", "words": words}))
    assert isinstance(message, Transcript)
    assert message.timed_words == (TimedWord("At", 0.1, 0.2), TimedWord("eight.", 0.2, 0.5))


@pytest.mark.parametrize("words", [None, [], 7, ["At"], [{"start": 1}], {"words": [1], "start": ["x"], "end": [2]}])
def test_words_of_no_known_shape_are_none(words: Any) -> None:
    assert Transcript("", words=words).timed_words == ()


def test_words_as_a_server_gives_them() -> None:
    message = Transcript("At", is_final=True, words=[TimedWord("At", 0.1, 0.2)])
    assert message.timed_words == (TimedWord("At", 0.1, 0.2),)
    assert json.loads(encode(message))["words"] == [{"word": "At", "start": 0.1, "end": 0.2}]


def test_the_best_sentence_of_an_error() -> None:
    assert Error("Bad key", "Look at it.").text == "Look at it."
    assert Error("Bad key").text == "Bad key"
    assert Error(error="old server").text == "old server"
    assert Error().text == "no reason given"


def test_commands_of_the_turns_socket() -> None:
    assert encode(Close()) == '{"type":"close"}'
    assert parse_turns_command('{"type":"close"}') == Close()
    config = Config(TurnThresholds(start_threshold=0.7, end_timeout_ms=3000))
    assert json.loads(encode(config)) == {
        "type": "config",
        "turn": {"start_threshold": 0.7, "end_timeout_ms": 3000},
    }
    assert parse_turns_command(encode(config)) == config
    assert parse_turns_command('{"type":"config"}') == Config()
    assert parse_turns_command('{"type":"finalize"}') == Unknown("finalize")
    for text in ("close", "{}", '{"type":"config","turn":{"start_threshold":"high"}}'):
        with pytest.raises(ProtocolError):
            parse_turns_command(text)


def test_commands_of_the_manual_socket_are_bare_words() -> None:
    assert parse_manual_command("finalize") == "finalize"
    assert parse_manual_command("close") == "close"
    assert parse_manual_command("done") == "close"
    assert parse_manual_command('{"type":"close"}') == Unknown('{"type":"close"}')
