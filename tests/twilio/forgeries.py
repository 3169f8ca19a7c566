"""Whatever a stranger sends to Twilio's addresses: one catalogue, for the tests and for the table of the command.

The addresses are read off the router of a whole bridge, so that a new one is tried as soon as it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from bridge.app import Bridge, running
from bridge.settings import Settings
from bridge.settings.source import load_settings
from bridge.tasks import spawn
from bridge.twilio.media_stream import CarrierStream
from bridge.twilio.signature import sign
from bridge.twilio.tokens import StreamTokens
from tests.scripted_speech import ScriptedSpeech

TOKEN, OLD, OTHER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210", "f" * 32
SID = "CA" + "1" * 32
FORM = {"CallSid": SID, "From": "+15550100001", "To": "+15550100002", "Direction": "inbound", "Digits": "1"}


class World:
    """A bridge with all of Twilio's addresses."""

    def __init__(
        self, up: Bridge, http: aiohttp.ClientSession, apps: list[web.Application], settings: Settings
    ) -> None:
        self.up, self.http, self._settings = up, http, settings
        found = {
            (route.method, route.resource.canonical)
            for route in apps[0].router.routes()
            if route.resource is not None and route.resource.canonical.startswith("/twilio/")
        }
        self.webhooks = sorted(path for method, path in found if method == "POST")
        self.streams = sorted(path for method, path in found if method == "GET")

    async def ask(self, path: str, data: Any = None, method: str = "POST", **headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        body = FORM if data is None and method == "POST" else data
        async with self.http.request(method, self.up.url + path, data=body, headers=sent) as answer:
            await answer.read()
            return answer.status

    def signed(self, path: str, token: str = TOKEN, form: dict[str, str] | None = None) -> str:
        return sign(token, self.up.url + path, [*(FORM if form is None else form).items()])

    def refused(self, reason: str) -> float:
        return self.counted()[reason]

    def counted(self) -> Counter[str]:
        """How many requests were refused, by reason."""
        name = "phone_bridge_refused_requests_total"
        samples = [one for metric in self.up.metrics.registry.collect() for one in metric.samples]
        return Counter({one.labels["reason"]: int(one.value) for one in samples if one.name == name})

    def rotate(self) -> None:
        """The token before is believed no more."""
        given = self._settings.twilio.model_copy(update={"old_auth_tokens": ()})
        self.up.take(self._settings.model_copy(update={"twilio": given}))

    async def token(self) -> str:
        """A ticket of a call that has come in."""
        headers = {"X-Twilio-Signature": self.signed("/twilio/voice")}
        async with self.http.post(self.up.url + "/twilio/voice", data=FORM, headers=headers) as answer:
            return (await answer.text()).partition('name="token" value="')[2].partition('"')[0]

    async def stream(self, *messages: str, **headers: str) -> int | None:
        """Open a media stream, send, and return its status, or with which code it is closed; None: it is not."""
        url = "ws" + self.up.url.removeprefix("http") + self.streams[0]
        lived = self.up.registry.sessions
        try:
            async with self.http.ws_connect(url, headers=headers) as socket:
                for message in messages:
                    await socket.send_str(message)
                closed = spawn(_closed(socket), name="closed")
                try:
                    async with asyncio.timeout(7):
                        while not closed.done() and self.up.registry.sessions == lived:
                            await asyncio.wait([closed], timeout=0.01)
                except TimeoutError:
                    return None
                finally:
                    closed.cancel()
                return closed.result() if closed.done() else None
        except aiohttp.WSServerHandshakeError as error:
            return error.status


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Wait until a stream is closed, which must come without sound, and return the code."""
    while (got := await socket.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED}:
        assert got.type is WSMsgType.TEXT
    return socket.close_code


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
                yield World(up, http, made, settings)


def start(token: str, sid: str = SID) -> list[str]:
    wire = CarrierStream(stream_sid="MZ1", call_sid=sid, account_sid="AC1")
    return [wire.connected(), wire.start({"token": token} if token else {})]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of something that was sent."""

    status: int | None
    """Of HTTP, or the code that a stream was closed with; None: it was let in."""
    reason: str
    """Under which it was counted as refused; empty: it was not."""

    def __str__(self) -> str:
        return " ".join(filter(None, ("let in" if self.status is None else str(self.status), self.reason)))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request to a webhook."""

    kind: str
    path: str
    headers: Mapping[str, str]
    data: Any = None
    method: str = "POST"


SIGNATURE = "X_Twilio_Signature"
FORM_TYPE = {"Content_Type": "application/x-www-form-urlencoded"}
REFUSED = Outcome(403, "signature")
WEBHOOKS: Mapping[str, tuple[Outcome, ...]] = {
    "unsigned": (REFUSED,),
    "forged": (REFUSED,),
    "other key": (REFUSED,),
    "for another address": (REFUSED,),
    "for another host": (REFUSED,),
    "mutated URL": (REFUSED,),
    "mutated body": (REFUSED,),
    "wrong method": (Outcome(405, ""),),
    "wrong type": (Outcome(415, ""),),
    "too long": (Outcome(413, ""),),
    "replayed": (Outcome(200, ""), Outcome(204, "")),
    "old key, still good": (Outcome(200, ""), Outcome(204, "")),
    "old key, retired": (REFUSED,),
}
"""What must come of each kind of request to a webhook. A signature of Twilio's has no date: what is sent again gets
the answer that it got before, and nothing is done twice."""
STREAMS: Mapping[str, Outcome] = {
    "unsigned": Outcome(1008, "token_missing"),
    "forged": Outcome(1008, "token_wrong"),
    "other key": Outcome(1008, "token_wrong"),
    "mutated body": Outcome(1008, "token_wrong"),
    "mutated URL": Outcome(403, "signature"),
    "for another call": Outcome(1008, "wrong_call"),
    "expired": Outcome(1008, "token_expired"),
    "wrong method": Outcome(405, ""),
    "page of another site": Outcome(403, "origin"),
    "no start": Outcome(1008, "no_start"),
    "replayed": Outcome(1008, "token_used"),
    "old key, still good": Outcome(None, ""),
    "old key, retired": Outcome(1008, "token_wrong"),
}
"""The same for the media stream, whose ticket stands for the signed body."""


def attempts(it: World, path: str) -> list[Attempt]:
    """Everything that is sent to a webhook but for what needs a key to be exchanged."""
    good, body = it.signed(path), urlencode(FORM)
    other = next(one for one in it.webhooks if one != path)
    elsewhere = "https://evil.example" + path
    # The host that a request names anybody can choose: only the settings' counts.
    hosts = {"Host": "evil.example", "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https"}
    plain = [
        ("unsigned", {}),
        ("unsigned", {SIGNATURE: ""}),
        ("forged", {SIGNATURE: "AAAA"}),
        ("forged", {SIGNATURE: "é"}),
        ("forged", {SIGNATURE: good[:-2] + "=="}),
        ("other key", {SIGNATURE: it.signed(path, OTHER)}),
        ("for another address", {SIGNATURE: it.signed(other)}),
        ("for another host", {SIGNATURE: sign(OTHER, elsewhere, [*FORM.items()])} | hosts),
        ("for another host", {SIGNATURE: sign(TOKEN, elsewhere, [*FORM.items()])} | hosts),
        ("replayed", {SIGNATURE: good}),
        ("replayed", {SIGNATURE: good}),
        ("old key, still good", {SIGNATURE: it.signed(path, OLD)}),
    ]
    return [
        *(Attempt(kind, path, headers) for kind, headers in plain),
        Attempt("mutated URL", path + "?waited=1", {SIGNATURE: good}),
        Attempt("mutated body", path, {SIGNATURE: good}, {**FORM, "From": "+15550100666"}),
        Attempt("mutated body", path, {SIGNATURE: good}, {**FORM, "Extra": "1"}),
        Attempt("mutated body", path, {SIGNATURE: good}, {"CallSid": SID}),
        Attempt("mutated body", path, {SIGNATURE: good} | FORM_TYPE, body + "&CallSid=CA2"),
        Attempt("wrong method", path, {SIGNATURE: good}, method="GET"),
        Attempt("wrong method", path, {SIGNATURE: good}, FORM, method="PUT"),
        Attempt("wrong type", path, {SIGNATURE: good, "Content_Type": "application/json"}, b"{}"),
        Attempt("too long", path, FORM_TYPE, "x" * 70_000),
    ]


async def outcome(it: World, asked: Awaitable[int | None]) -> Outcome:
    """Wait for what comes of something, and look how it was counted."""
    before = it.counted()
    status = await asked
    (reason,) = (it.counted() - before) or {"": 0}
    return Outcome(status, reason)


async def try_webhook(it: World, attempt: Attempt) -> Outcome:
    return await outcome(it, it.ask(attempt.path, attempt.data, attempt.method, **attempt.headers))


def retired(it: World) -> list[Attempt]:
    """What is sent once the token before is believed no more."""
    return [Attempt("old key, retired", path, {SIGNATURE: it.signed(path, OLD)}) for path in it.webhooks]


async def stream_attempts(it: World) -> AsyncIterator[tuple[str, Outcome]]:
    """Everything that is sent to the media stream, and what comes of it; at the end the old key is retired."""
    facts = {"from": FORM["From"], "to": FORM["To"], "direction": "inbound"}
    url, good = it.up.url + it.streams[0], await it.token()
    long_ago = StreamTokens(TOKEN, clock=lambda: 1_000_000_000.0).issue(SID, facts)
    last = "A" if good[-1] != "A" else "B"
    elsewhere = sign(TOKEN, "ws" + url.removeprefix("http") + "/1", [])
    connected = CarrierStream(stream_sid="MZ1", call_sid=SID, account_sid="AC1").connected()
    opened: list[tuple[str, list[str], dict[str, str]]] = [
        ("unsigned", start(""), {}),
        ("forged", start("rubbish"), {}),
        ("forged", start("x" * 400), {}),
        ("other key", start(StreamTokens(OTHER).issue(SID, facts)), {}),
        ("mutated body", start(good[:-1] + last), {}),
        ("mutated body", start("A" + good[1:]), {}),
        (
            "mutated URL",
            start(good),
            {"x-twilio-signature": elsewhere},
        ),
        ("mutated URL", start(good), {"x-twilio-signature": "AAAA"}),
        ("for another call", start(good, "CA" + "2" * 32), {}),
        ("expired", start(long_ago), {}),
        ("page of another site", start(good), {"origin": "https://evil.example"}),
        ("no start", [connected] * 5, {}),
    ]
    for kind, messages, headers in opened:
        yield kind, await outcome(it, it.stream(*messages, **headers))
    yield "wrong method", await outcome(it, it.ask(it.streams[0], method="POST"))
    assert not it.up.registry.sessions, "nothing was done for any of them"
    assert await it.stream(*start(good)) is None, "and a good one does come in"
    signed = {"x-twilio-signature": sign(TOKEN, "ws" + url.removeprefix("http"), [])}
    for headers in ({}, signed):
        yield "replayed", await outcome(it, it.stream(*start(good), **headers))
    old = StreamTokens(OLD)
    before, after = "CA" + "3" * 32, "CA" + "4" * 32
    yield "old key, still good", await outcome(it, it.stream(*start(old.issue(before, facts), before)))
    it.rotate()
    yield "old key, retired", await outcome(it, it.stream(*start(old.issue(after, facts), after)))
