"""Twilio's routes on a real listener, with scripted peers behind them, and Twilio's end of a media stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from bridge.call import session as session_module
from bridge.call.registry import Profile, Registry
from bridge.call.session import Session
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.policy import Policy
from bridge.metrics import Metrics
from bridge.twilio.gate import Gate
from bridge.twilio.media_stream import CarrierStream
from bridge.twilio.routes import TwilioRoutes
from bridge.twilio.signature import sign
from bridge.twilio.tokens import StreamTokens
from tests.call.peers import (
    KeptRecord,
    KeptStore,
    Recognizers,
    Script,
    ScriptedAgent,
    peers,
    profiles,
)

TOKEN = "0123456789abcdef0123456789abcdef"
FACTS = {"from": "+15550100001", "to": "+15550100002", "direction": "inbound"}
FORM = {"CallSid": "CA1", "From": FACTS["from"], "To": FACTS["to"], "Direction": "inbound"}


class House:
    """The routes on a real listener."""

    def __init__(self, *, validate: bool = True) -> None:
        self.agent = ScriptedAgent()
        self.peers = peers(self.agent)
        self.store = KeptStore()
        self.metrics = Metrics()
        self.tokens = StreamTokens(TOKEN)
        self.registry = Registry(profiles(Profile(Policy(), self.peers, "scripted")), self.store)
        self.origin = ""
        self.public_url = ""
        """Where Twilio believes that it is; empty: at `origin`."""
        gate = Gate([TOKEN], validate, lambda: self.public_url or self.origin, self.tokens, self.metrics)
        app = web.Application()
        self.gate = gate
        self.routes = TwilioRoutes(gate, self.registry, self.metrics)
        self.routes.add_to(app)
        self.server = TestServer(app)
        self.http = aiohttp.ClientSession()
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []

    @property
    def recognizers(self) -> Recognizers:
        assert isinstance(self.peers.recognizers, Recognizers)
        return self.peers.recognizers

    @property
    def session(self) -> Session:
        return self.registry.live["CA1"]

    @property
    def record(self) -> KeptRecord:
        return self.store.records[0]

    @property
    def script(self) -> Script:
        script = self.session._conversation
        assert isinstance(script, Script)
        return script

    def refused(self, reason: str) -> float:
        name = "phone_bridge_refused_requests_total"
        return self.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0

    @property
    def malformed(self) -> float:
        name = "phone_bridge_malformed_messages_total"
        return self.metrics.registry.get_sample_value(name, {"peer": "carrier"}) or 0.0

    async def post(self, path: str, form: dict[str, str], signed_for: str | None = None) -> tuple[int, str]:
        """Post a form as Twilio does. `signed_for`: the address that is signed; empty: unsigned."""
        url = (self.public_url or self.origin) + path if signed_for is None else signed_for
        headers = {"X-Twilio-Signature": sign(TOKEN, url, [*form.items()])} if url else {}
        async with self.http.post(self.origin + path, data=form, headers=headers) as response:
            return response.status, await response.text()

    async def ask(self, path: str, form: dict[str, str]) -> ET.Element:
        """Post a form and return the document that is answered."""
        status, text = await self.post(path, form)
        assert status == 200
        return ET.fromstring(text)

    async def connect(self, headers: dict[str, str] | None = None) -> aiohttp.ClientWebSocketResponse:
        socket = await self.http.ws_connect(self.origin + "/twilio/media", headers=headers, autoping=False)
        self.sockets.append(socket)
        return socket

    async def stream(self, **more: Any) -> Stream:
        """Open a media stream of the call CA1, with a token of its own, and wait until it carries the call."""
        stream = Stream(await self.connect())
        await stream.start(self.tokens.issue("CA1", FACTS), **more)
        await stream.taken()
        return stream


class Stream:
    """Twilio's end of a media stream."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, sid: str = "CA1") -> None:
        self.socket = socket
        self.sid = sid
        self.came: list[Any] = []
        self.wire = CarrierStream(stream_sid="MZ1", call_sid=sid, account_sid="AC1")

    async def send(self, *frames: str) -> None:
        for frame in frames:
            await self.socket.send_str(frame)

    async def start(self, token: str | None, parameters: dict[str, str] | None = None, **sound: Any) -> None:
        given = dict(parameters or {})
        if token is not None:
            given["token"] = token
        message = json.loads(self.wire.start(given))
        message["start"]["mediaFormat"].update(sound)
        await self.send(self.wire.connected(), json.dumps(message))

    async def taken(self) -> None:
        """Wait until the bridge has read all that was sent: it answers a ping after that."""
        await self.socket.ping()
        async with asyncio.timeout(5):
            while (message := await self.socket.receive()).type is not WSMsgType.PONG:
                assert message.type is WSMsgType.TEXT, message
                self.came.append(json.loads(message.data))

    async def closed(self) -> int | None:
        async with asyncio.timeout(5):
            while (await self.socket.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}:
                pass
        return self.socket.close_code


@contextlib.asynccontextmanager
async def house_up(*, validate: bool = True) -> AsyncIterator[House]:
    house = House(validate=validate)
    await house.server.start_server()
    house.origin = str(house.server.make_url("")).rstrip("/")
    try:
        yield house
    finally:
        for socket in house.sockets:
            await socket.close()
        await house.http.close()
        await house.registry.close(within_s=5)
        await house.server.close()


def script_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put scripts, which end when they are stopped, in the place of conversations."""

    def scripted(_: Policy) -> Script:
        script = Script()
        script.answer(on.StreamStopped, do.Close())
        return script

    monkeypatch.setattr(session_module, "Conversation", scripted)
