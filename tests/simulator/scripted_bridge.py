"""A bridge of a few lines, which answers and streams as a test tells it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the library has no types

TOKEN = "0123456789abcdef0123456789abcdef"
STREAM_TWIML = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Connect{action}><Stream url="{ws}/twilio/media"{more}>'
    '<Parameter name="token" value="t&amp;1"/></Stream></Connect></Response>'
)
HANG_UP = "<Response><Hangup/></Response>"


def loud(ms: int, fill: int = 0x10) -> bytes:
    return bytes([fill]) * (8 * ms)


Documents: TypeAlias = list[str | tuple[int, str]]
"""What a scripted bridge answers in order: TwiML, or a status and a text."""


class Peer:
    """The bridge's end of one media stream, driven by a test."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.received: list[tuple[float, dict[str, Any]]] = []
        self.stream_sid = ""

    async def next(self, event: str | None = None) -> dict[str, Any]:
        """The next message (of that event)."""
        while True:
            message = await self.socket.receive()
            if message.type is not WSMsgType.TEXT:
                raise ConnectionError(message.type.name)
            decoded: dict[str, Any] = json.loads(message.data)
            self.received.append((asyncio.get_running_loop().time(), decoded))
            self.stream_sid = decoded.get("streamSid", self.stream_sid)
            if event in {None, decoded["event"]}:
                return decoded

    async def read_to_the_end(self) -> None:
        try:
            while True:
                await self.next()
        except ConnectionError:
            pass

    async def send(self, event: str, **body: Any) -> None:
        await self.socket.send_json({"event": event, "streamSid": self.stream_sid, **body})

    async def media(self, audio: bytes) -> None:
        await self.send("media", media={"payload": base64.b64encode(audio).decode()})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for _, message in self.received if message["event"] == event]

    def time_of(self, event: str, nth: int = 0) -> float:
        return [at for at, message in self.received if message["event"] == event][nth]


Script = Callable[[Peer], Awaitable[None]]


class Bridge:
    """A scripted bridge: answers documents in order and plays a script on every stream."""

    def __init__(self, documents: Documents, *scripts: Script) -> None:
        self.documents = documents
        self.scripts = list(scripts)
        self.peers: list[Peer] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.forged: list[str] = []
        self.origin = ""
        self.public = ""

    def signed(self, request: web.Request, form: Any) -> bool:
        scheme = "ws" if request.headers.get("Upgrade") else "http"
        url = (self.public or self.origin).replace("http", scheme, 1) + request.raw_path
        fits = RequestValidator(TOKEN).validate(url, form, request.headers.get("X-Twilio-Signature", ""))
        if not fits:
            self.forged.append(request.path)
        return bool(fits)

    async def document(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.requests.append((request.path_qs, {name: str(value) for name, value in form.items()}))
        if not self.signed(request, form):
            return web.Response(status=403)
        if request.path == "/twilio/status":
            return web.Response(status=204)
        answer = self.documents.pop(0) if self.documents else (404, "not in the script")
        status, text = (200, answer) if isinstance(answer, str) else answer
        kind = "text/xml" if text.startswith("<") else "text/plain"
        return web.Response(status=status, text=text, content_type=kind)

    async def media(self, request: web.Request) -> web.StreamResponse:
        if not self.signed(request, {}):
            return web.Response(status=403)
        assert "Sec-WebSocket-Extensions" not in request.headers, "no compression"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        peer = Peer(socket)
        self.peers.append(peer)
        await self.scripts.pop(0)(peer)
        await socket.close()
        return socket


@asynccontextmanager
async def serving(bridge: Bridge) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/twilio/media", bridge.media)
    app.router.add_route("*", "/{path:.*}", bridge.document)
    server = TestServer(app)
    await server.start_server()
    bridge.origin = str(server.make_url("")).rstrip("/")
    ws = (bridge.public or bridge.origin).replace("http", "ws", 1)
    bridge.documents = [
        one if isinstance(one, tuple) else one.replace("{ws}", ws).replace("{origin}", bridge.origin)
        for one in bridge.documents
    ]
    try:
        yield bridge.origin
    finally:
        await server.close()


def stream(action: str = "", more: str = "") -> str:
    return STREAM_TWIML.replace("{action}", f' action="{action}"' if action else "").replace("{more}", more)


async def listen(peer: Peer) -> None:
    await peer.next("start")
    await peer.read_to_the_end()


def audio_of(peer: Peer) -> bytes:
    return b"".join(base64.b64decode(message["media"]["payload"]) for message in peer.of("media"))


async def close_after_a_frame(peer: Peer) -> None:
    await peer.next("media")


async def polite_agent(peer: Peer) -> None:
    """Greets for 300 ms, answers speech for 600 ms after 100 ms of quiet, and stops when it is interrupted."""
    await peer.next("start")
    loop = asyncio.get_running_loop()
    await peer.media(loud(300))
    await peer.mark("greeting")
    until_s, quiet, turn = loop.time() + 0.3, 99, 0
    try:
        while True:
            message = await peer.next("media")
            speaks = set(base64.b64decode(message["media"]["payload"])) != {0xFF}
            quiet = 0 if speaks else quiet + 1
            if speaks and loop.time() < until_s:
                await peer.send("clear")
                until_s = 0.0
            if quiet == 5:
                turn += 1
                await peer.media(loud(600))
                await peer.mark(f"turn {turn}")
                until_s = loop.time() + 0.6
    except ConnectionError:
        pass
