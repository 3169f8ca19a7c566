"""Answers to who has gone."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bridge.speech_server.answers import error_middleware


async def test_whoever_goes_before_the_socket_is_open_is_no_fault() -> None:
    async def prepare(_: web.Request) -> web.StreamResponse:
        raise ConnectionResetError("Connection lost")  # As aiohttp's `WebSocketResponse.prepare` does.

    answer = await error_middleware(make_mocked_request("GET", "/stt/turns/websocket"), prepare)
    assert answer.status == 499
