"""A plain client of the speech server, on another library than the server's."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from websockets.asyncio.client import ClientConnection, connect

SILENCE = b"\xff"
"""Mu-law."""


def seconds_of_silence(seconds: float) -> bytes:
    return SILENCE * int(8000 * seconds)


def open_socket(url: str, path: str, **query: Any) -> connect:
    address = url.replace("http://", "ws://") + path
    if query:
        address += "?" + urlencode(query, quote_via=quote)
    return connect(address, compression=None)


def turns_socket(url: str, **query: Any) -> connect:
    return open_socket(
        url, "/stt/turns/websocket", **{"model": "ink-2", "encoding": "pcm_mulaw", "sample_rate": 8000, **query}
    )


def manual_socket(url: str, **query: Any) -> connect:
    return open_socket(
        url, "/stt/websocket", **{"model": "ink-2", "encoding": "pcm_mulaw", "sample_rate": 8000, **query}
    )


async def read_to_end(socket: ClientConnection) -> list[dict[str, Any]]:
    """Every message until the server closes."""
    return [json.loads(message) async for message in socket]


async def read_until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Messages up to and with the first of a type."""
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] != kind:
        messages.append(json.loads(await socket.recv()))
    return messages


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def assert_legal(messages: list[dict[str, Any]]) -> None:
    """The order of a turns session, and texts that only grow."""
    after = {
        "idle": {"turn.start": "speaking"},
        "speaking": {
            "turn.update": "speaking",
            "turn.eager_end": "eager",
            "turn.end": "idle",
        },
        "eager": {"turn.resume": "speaking", "turn.end": "idle"},
    }
    assert messages[0]["type"] == "connected"
    assert len({message["request_id"] for message in messages}) == 1
    state, text = "idle", ""
    for message in messages[1:]:
        kind = message["type"]
        assert kind in after[state], f"{kind} while {state}"
        if kind == "turn.start":
            text = ""
        if "transcript" in message:
            assert message["transcript"].startswith(text)
            assert kind != "turn.update" or message["transcript"] != text
            text = message["transcript"]
        state = after[state][kind]
    assert state == "idle"
