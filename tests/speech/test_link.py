"""Addresses, and what refusals mean."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from bridge.speech.link import SpeechLink, is_final


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.cartesia.ai", "wss://api.cartesia.ai/tts/websocket?a=b"),
        ("https://api.cartesia.ai/", "wss://api.cartesia.ai/tts/websocket?a=b"),
        ("http://127.0.0.1:8090", "ws://127.0.0.1:8090/tts/websocket?a=b"),
        ("http://[::1]:8090/speech/v1/", "ws://[::1]:8090/speech/v1/tts/websocket?a=b"),
        ("wss://proxy.example/x", "wss://proxy.example/x/tts/websocket?a=b"),
    ],
)
def test_the_address_of_an_endpoint(base_url: str, url: str) -> None:
    assert SpeechLink(base_url).url("/tts/websocket", "a=b") == url


def test_credentials_in_the_address_are_not_told() -> None:
    link = SpeechLink("https://user:secret@proxy.example/x", api_key="sk_car_1")
    assert link.origin == "https://proxy.example"
    assert "sk_car_1" not in repr(link)


@pytest.mark.parametrize(
    ("status", "code", "final"),
    [
        (400, "speech_request", True),
        (401, "speech_auth", True),
        (402, "speech_plan", True),
        (403, "speech_auth", True),
        (404, "speech_request", True),
        (408, "speech_timeout", False),
        (429, "speech_limit", False),
        (500, "speech_server", False),
        (529, "speech_server", False),
    ],
)
def test_what_a_status_means(status: int, code: str, *, final: bool) -> None:
    error = SpeechLink("http://localhost", api_key="k3y").error_of_status(status, "a k3y\nin two lines")
    assert (error.code, error.final, is_final(error.code)) == (code, final, final)
    assert f"({status}: a ******** in two lines)" in error.message


def test_a_missing_key_is_told_apart_from_a_wrong_one() -> None:
    assert "set speech.api_key" in SpeechLink("http://localhost").error_of_status(401).message
    assert "was refused" in SpeechLink("http://localhost", "k").error_of_status(401).message


@pytest.mark.parametrize(
    ("status", "error_code", "meaning"),
    [
        (429, None, "speech_limit"),
        (None, "concurrency_limited", "speech_limit"),
        (None, "model_not_found", "speech_request"),
        (None, "new_code", "speech_server"),
        (None, None, "speech_server"),
    ],
)
def test_what_an_error_message_means(status: int | None, error_code: str | None, meaning: str) -> None:
    assert SpeechLink("http://localhost").error_of_message(status, error_code, "x").code == meaning


@pytest.mark.parametrize(
    ("close", "code"),
    [(None, "speech_unreachable"), (1000, "speech_unreachable"), (1011, "speech_server"), (1013, "speech_server")],
)
def test_what_a_close_means(close: int | None, code: str) -> None:
    frame = None if close is None else Close(close, "reason")
    error = SpeechLink("http://localhost").error_of_close(ConnectionClosedError(frame, None))
    assert (error.code, error.final) == (code, False)
