"""Whatever a stranger sends to Twilio's addresses, over real sockets: forged, mutated, old, replayed, unsigned.

The addresses are read off the router of a whole bridge, so that a new one is tried as soon as it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from bridge.app import Bridge, running
from bridge.settings.source import load_settings
from bridge.twilio.media_stream import CarrierStream
from bridge.twilio.signature import sign
from bridge.twilio.tokens import StreamTokens
from tests.scripted_speech import ScriptedSpeech

TOKEN, OLD, OTHER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210", "f" * 32
SID = "CA" + "1" * 32
FORM = {"CallSid": SID, "From": "+15550100001", "To": "+15550100002", "Direction": "inbound", "Digits": "1"}


class World:
    """A bridge with all of Twilio's addresses."""

    def __init__(self, up: Bridge, http: aiohttp.ClientSession, apps: list[web.Application]) -> None:
        self.up, self.http = up, http
        found = {
            (route.method, route.resource.canonical)
            for route in apps[0].router.routes()
            if route.resource is not None and route.resource.canonical.startswith("/twilio/")
        }
        self.webhooks = sorted(path for method, path in found if method == "POST")
        self.streams = sorted(path for method, path in found if method == "GET")

    async def post(self, path: str, data: Any = None, **headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post(self.up.url + path, data=FORM if data is None else data, headers=sent) as answer:
            await answer.read()
            return answer.status

    def signed(self, path: str, token: str = TOKEN, form: dict[str, str] | None = None) -> str:
        return sign(token, self.up.url + path, [*(FORM if form is None else form).items()])

    def refused(self, reason: str) -> float:
        name = "phone_bridge_refused_requests_total"
        return self.up.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0

    async def token(self) -> str:
        """A ticket of a call that has come in."""
        headers = {"X-Twilio-Signature": self.signed("/twilio/voice")}
        async with self.http.post(self.up.url + "/twilio/voice", data=FORM, headers=headers) as answer:
            return (await answer.text()).partition('name="token" value="')[2].partition('"')[0]

    @contextlib.asynccontextmanager
    async def opened(
        self, *messages: str, signature: str | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a media stream, and send."""
        headers = {} if signature is None else {"x-twilio-signature": signature}
        url = "ws" + self.up.url.removeprefix("http") + "/twilio/media"
        async with asyncio.timeout(30), self.http.ws_connect(url, headers=headers) as socket:
            for message in messages:
                await socket.send_str(message)
            yield socket

    async def stream(self, *messages: str, signature: str | None = None) -> int | None:
        """Open a media stream, send, and return with which code it is closed, which must come without sound."""
        async with self.opened(*messages, signature=signature) as socket:
            while (got := await socket.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED}:
                assert got.type is WSMsgType.TEXT
            return socket.close_code

    async def comes_in(self, *messages: str, signature: str | None = None) -> None:
        """Open a media stream, send, and wait until there is a call with it."""
        async with self.opened(*messages, signature=signature):
            while not self.up.registry.sessions:  # noqa: ASYNC110  Nobody tells.
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def world(folder: Path, **environment: str) -> AsyncIterator[World]:
    """Run a bridge, and find what it answers at."""
    made: list[web.Application] = []

    class Seen(web.AppRunner):
        def __init__(self, app: web.Application, **options: Any) -> None:
            made.append(app)
            super().__init__(app, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "AppRunner", Seen)
        async with ScriptedSpeech().running() as speech:
            settings = load_settings(
                environment={
                    "BRIDGE_SERVER__PORT": "0",
                    "BRIDGE_SPEECH__BASE_URL": speech.url,
                    "BRIDGE_TWILIO__ACCOUNT_SID": "AC" + "0" * 32,
                    "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
                    "BRIDGE_TWILIO__API_URL": "http://127.0.0.1:9",
                    "BRIDGE_STORE__RECORDINGS": str(folder),
                    "BRIDGE_AGENT__KIND": "echo",
                    **environment,
                },
                files=(),
            )
            async with running(settings) as up, aiohttp.ClientSession() as http:
                yield World(up, http, made)


def start(token: str, sid: str = SID) -> list[str]:
    wire = CarrierStream(stream_sid="MZ1", call_sid=sid, account_sid="AC1")
    return [wire.connected(), wire.start({"token": token} if token else {})]


async def test_no_webhook_takes_what_twilio_did_not_sign(tmp_path: Path) -> None:
    async with world(tmp_path, BRIDGE_TWILIO__OLD_AUTH_TOKENS=OLD) as it:
        assert len(it.webhooks) >= 9, it.webhooks
        good = {path: it.signed(path) for path in it.webhooks}
        refused = 0
        for path in it.webhooks:
            other = next(one for one in it.webhooks if one != path)
            mutated = {**FORM, "From": "+15550100666"}
            body = urlencode(FORM)
            forged: list[tuple[str, Any, dict[str, str]]] = [
                (path, None, {}),
                (path, None, {"X_Twilio_Signature": ""}),
                (path, None, {"X_Twilio_Signature": "AAAA"}),
                (path, None, {"X_Twilio_Signature": "é"}),
                (path, None, {"X_Twilio_Signature": it.signed(path, OTHER)}),
                (path, None, {"X_Twilio_Signature": good[other]}),
                (path, None, {"X_Twilio_Signature": good[path][:-2] + "=="}),
                (path + "?waited=1", None, {"X_Twilio_Signature": good[path]}),
                (path, mutated, {"X_Twilio_Signature": good[path]}),
                (path, {**FORM, "Extra": "1"}, {"X_Twilio_Signature": good[path]}),
                (path, {"CallSid": SID}, {"X_Twilio_Signature": good[path]}),
                # Signed for the host that the request names, which anybody can choose: only the settings' counts.
                (
                    path,
                    None,
                    {
                        "X_Twilio_Signature": sign(OTHER, "https://evil.example" + path, [*FORM.items()]),
                        "Host": "evil.example",
                        "X_Forwarded_Host": "evil.example",
                        "X_Forwarded_Proto": "https",
                    },
                ),
                (
                    path,
                    None,
                    {
                        "X_Twilio_Signature": sign(TOKEN, "https://evil.example" + path, [*FORM.items()]),
                        "Host": "evil.example",
                        "X_Forwarded_Host": "evil.example",
                    },
                ),
                (path, body + "&CallSid=CA2", {"X_Twilio_Signature": good[path]} | FORM_TYPE),
            ]
            for where, data, headers in forged:
                assert await it.post(where, data, **headers) == 403, (where, data, headers)
            refused += len(forged)
            assert await it.post(path, b"{}", X_Twilio_Signature=good[path], Content_Type="application/json") == 415
            assert await it.post(path, "x" * 70_000, **FORM_TYPE) == 413
        assert it.refused("signature") == refused
        assert not it.up.registry.sessions
        assert it.up.registry.expected == 0, "nothing was done for any of them"
        for path in it.webhooks:
            assert await it.post(path, X_Twilio_Signature=good[path]) in {200, 204}, path
            assert await it.post(path, X_Twilio_Signature=it.signed(path, OLD)) in {200, 204}, path


FORM_TYPE = {"Content_Type": "application/x-www-form-urlencoded"}


async def test_a_form_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.twilio.gate._FORM_WITHIN_S", 0.2)
    async with world(tmp_path) as it:
        port = int(it.up.url.rpartition(":")[2])

        async def half(path: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            writer.write((head + "Content-Length: 100\r\n\r\nCallSid=").encode())
            line = await asyncio.wait_for(reader.readline(), 5)
            writer.close()
            return line

        lines = await asyncio.gather(*map(half, it.webhooks))
        assert {line.split()[1] for line in lines} == {b"408"}


async def test_no_stream_comes_in_without_a_ticket_of_its_own(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.streams == ["/twilio/media"]
        url = "ws" + it.up.url.removeprefix("http") + "/twilio/media"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await it.stream(signature=sign(OTHER, url, []))
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await it.stream(signature="AAAA")

        long_ago = StreamTokens(TOKEN, clock=lambda: 1_000_000_000.0)
        others = StreamTokens(OTHER)
        facts = {"from": "+15550100001", "to": "+15550100002", "direction": "inbound"}
        good = await it.token()
        tried = {
            "token_missing": [start("")],
            "token_wrong": [
                start("rubbish"),
                start(others.issue(SID, facts)),
                start(good[:-1] + ("A" if good[-1] != "A" else "B")),
                start("A" + good[1:]),
                start("x" * 400),
            ],
            "token_expired": [start(long_ago.issue(SID, facts))],
            "wrong_call": [start(good, "CA" + "2" * 32)],
            "no_start": [
                [CarrierStream(stream_sid="MZ1", call_sid=SID, account_sid="AC1").connected()] * 5,
            ],
        }
        for reason, attempts in tried.items():
            for messages in attempts:
                assert await it.stream(*messages) == 1008, (reason, messages)
            assert it.refused(reason) == len(attempts), reason
        assert not it.up.registry.sessions

        signature = sign(TOKEN, url, [])
        await it.comes_in(*start(good), signature=signature)  # A good one does.
        assert it.refused("token_used") == 0
        assert await it.stream(*start(good), signature=signature) == 1008
        assert it.refused("token_used") == 1, "even with the very signature that was good"


async def test_a_stream_that_says_nothing_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.twilio.routes._START_WITHIN_S", 0.2)
    async with world(tmp_path) as it:
        assert await it.stream() == 1008
        assert it.refused("no_start") == 1
