"""The protocol, byte by byte: answers cut anywhere, and what servers are known to do differently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.agents.openai.requests import Completions
from bridge.agents.openai.wire import ChatReader, Part, ToolCall, other_limit
from tests.agents.openai.model_server import DONE, calls, event, says


def stream(*steps: Any) -> bytes:
    pieces = [
        step if isinstance(step, bytes) else event({"content": step} if isinstance(step, str) else step)
        for step in steps
    ]
    return b"".join(pieces)


def read(data: bytes, *, size: int = 10_000) -> tuple[list[Part], ChatReader]:
    reader = ChatReader()
    parts = [part for at in range(0, len(data), size) for part in reader.feed(data[at : at + size])]
    return [*parts, *reader.finish()], reader


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_an_answer_may_be_cut_anywhere(size: int, ending: bytes) -> None:
    data = stream("Grüße, ", "👋", *calls(("f", {"a": "ü" * 9}), ("g", {}))).replace(b"\n", ending)
    parts, reader = read(data, size=size)
    assert parts == ["Grüße, ", "👋"]
    assert [(call.name, json.loads(call.arguments)) for call in reader.calls] == [("f", {"a": "ü" * 9}), ("g", {})]
    assert (reader.finish_reason, reader.done, reader.complete) == ("tool_calls", True, True)


def piece(**call: Any) -> dict[str, Any]:
    return {"tool_calls": [call]}


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        pytest.param(
            [piece(id="a", function={"name": "f", "arguments": '{"x":'}), piece(function={"arguments": "1}"})],
            [ToolCall("a", "f", '{"x":1}')],
            id="no index",
        ),
        pytest.param(
            [
                piece(index=0, id="a", function={"name": "f", "arguments": "{}"}),
                piece(index=0, id="b", function={"name": "g", "arguments": "{}"}),
            ],
            [ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")],
            id="every call has index 0",
        ),
        pytest.param(
            [
                piece(index=0, id="a", function={"name": "f", "arguments": ""}),
                piece(index=1, id="b", function={"name": "g", "arguments": ""}),
                piece(index=0, function={"arguments": '{"x"'}),
                piece(index=1, function={"arguments": "{}"}),
                piece(index=0, function={"arguments": ":1}"}),
            ],
            [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")],
            id="interleaved",
        ),
        pytest.param(
            [piece(index=0, function={"name": "f", "arguments": {"x": 1}})],
            [ToolCall("call_1", "f", '{"x":1}')],
            id="no id, and arguments as an object",
        ),
        pytest.param(
            [
                piece(index=0, id="a", function={"name": "f", "arguments": "{"}),
                piece(index=0, id="a", function={"name": "f", "arguments": "}"}),
            ],
            [ToolCall("a", "f", "{}")],
            id="id and name with every fragment",
        ),
        pytest.param(
            [piece(index=0, id="a", function={"name": "f"})], [ToolCall("a", "f", "{}")], id="no arguments"
        ),
        pytest.param([piece(index=0, id="a")], [ToolCall("a", "", "{}")], id="no function"),
    ],
)
def test_function_calls_as_servers_send_them(steps: list[Any], found: list[ToolCall]) -> None:
    parts, reader = read(stream(*steps, event({}, "tool_calls"), DONE))
    assert (parts, reader.calls) == ([], found)


def test_calls_in_one_answer_are_bounded() -> None:
    _, reader = read(stream(*calls(*(("f", {}),) * 40)))
    assert len(reader.calls) == 16


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        ({"content": None}, []),
        ({"content": ""}, []),
        ({"reasoning_content": "Hm."}, []),
        ({"refusal": "I can't."}, ["I can't."]),
        ({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Yes."}]}, ["Yes."]),
        ({"content": 5}, []),
    ],
)
def test_what_is_spoken_of_a_delta(delta: dict[str, Any], text: list[str]) -> None:
    assert read(stream(delta, *says()))[0] == text


def test_chunks_without_a_choice_and_other_choices_say_nothing() -> None:
    usage = b'data: {"choices": [], "usage": {"total_tokens": 5}}\n\n'
    second = b'data: {"choices": [{"index": 1, "delta": {"content": "Or so."}}]}\n\n'
    assert read(stream("Yes.", second, usage, *says()))[0] == ["Yes."]


def test_what_comes_behind_the_end_is_passed_over() -> None:
    parts, reader = read(stream("Yes.", DONE, "No."))
    assert (parts, reader.complete) == (["Yes."], True)


def test_a_stream_may_end_without_done_and_without_a_last_blank_line() -> None:
    parts, reader = read(stream("Yes.", event({}, "stop")).rstrip(b"\n"))
    assert (parts, reader.done, reader.complete) == (["Yes."], False, True)


def test_a_server_that_does_not_stream_is_understood() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Yes.", "tool_calls": [call]}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    reader = ChatReader()
    reader.take_whole()
    assert reader.feed(body[:20]) + reader.feed(body[20:]) == []
    assert reader.finish() == ["Yes."]
    assert (reader.calls, reader.complete) == ([ToolCall("a", "f", "{}")], True)


def test_only_a_complaint_about_the_limit_changes_its_name() -> None:
    assert other_limit("max_tokens", 400, "use max_completion_tokens, not max_tokens") == "max_completion_tokens"
    assert other_limit("max_completion_tokens", 422, "max_completion_tokens is unknown") == "max_tokens"
    assert other_limit("max_tokens", 400, "messages are missing") is None
    assert other_limit("max_tokens", 500, "max_tokens") is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("http://user:pass@127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1/chat/completions"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/chat/completions"),
        ("https://h/openai/chat/completions?api-version=1", "https://h/openai/chat/completions"),
    ],
)
def test_the_address_of_completions(url: str, shown: str) -> None:
    assert Completions(url, api_key="", model="m", max_tokens=1, allow_private=True).shown == shown
