"""Recordings are fetched from the carrier's own hosts, with its credentials, and as far as they may go."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.errors import CarrierError
from bridge.twilio import recordings
from bridge.twilio.recordings import Recordings


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1", True),
        ("https://api.dublin.ie1.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1", True),
        ("https://api.twilio.com:443/RE1", True),
        ("http://127.0.0.1:9/RE1", True),
        ("http://api.twilio.com/RE1", False),
        ("https://api.twilio.com:8443/RE1", False),
        ("https://twilio.com.evil.example/RE1", False),
        ("https://eviltwilio.com/RE1", False),
        ("https://api.twilio.com@evil.example/RE1", False),
        ("https://key@api.twilio.com/RE1", False),
        ("https://api.twilio.com/RE1?to=evil", False),
        ("http://127.0.0.1:99/RE1", False),
        ("http://169.254.169.254/RE1", False),
        ("https://[::1/RE1", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_whose_addresses_are_asked(url: str, ours: bool) -> None:
    assert Recordings("AC1", "token", "http://127.0.0.1:9").ours(url) is ours
    if url.startswith("http://"):
        assert not Recordings("AC1", "token").ours(url)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Basic " + base64.b64encode(b"AC1:token").decode():
            return web.Response(status=401)
        match request.path:
            case "/RE1.wav":
                return web.Response(body=b"sound")
            case "/RE2.wav":
                return web.Response(status=302, headers={"Location": "http://169.254.169.254/"})
            case _:
                return web.Response(body=bytes(2000))

    app = web.Application()
    app.router.add_get("/{name}", answer)
    server = TestServer(app)
    async with server:
        yield server


@pytest.mark.parametrize(
    ("name", "token", "code"),
    [("RE2", "token", "carrier_server"), ("RE1", "wrong", "carrier_server"), ("RE3", "token", "carrier_request")],
)
async def test_what_is_not_brought(
    server: TestServer, monkeypatch: pytest.MonkeyPatch, name: str, token: str, code: str
) -> None:
    monkeypatch.setattr(recordings, "MAX_BYTES", 1000)
    origin = str(server.make_url("")).rstrip("/")
    ours = Recordings("AC1", token, origin)
    try:
        with pytest.raises(CarrierError) as caught:
            await ours.fetch(f"{origin}/{name}")
        assert caught.value.code == code
        ours.take("token")
        assert await ours.fetch(f"{origin}/RE1") == b"sound"
    finally:
        await ours.close()


async def test_where_nobody_answers() -> None:
    ours = Recordings("AC1", "token", "http://127.0.0.1:9")
    with pytest.raises(CarrierError) as caught:
        await ours.fetch("http://127.0.0.1:9/RE1")
    await ours.close()
    assert caught.value.code == "carrier_unreachable"
