"""One phone of many: the carrier's end of a media stream, from the handshake to `stop`, on a bare socket."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
from collections import deque
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from bridge.simulator.line import CallError
from bridge.simulator.load import frames
from bridge.simulator.load.cells import CELL_MS, caller_payload_prefix, caller_payload_rest
from bridge.simulator.load.wheel import clock
from bridge.simulator.phone import BYTES_PER_S
from bridge.twilio import media_stream as wire
from bridge.twilio import signature

RING: Final = 2048
"""Of so many frames a phone remembers when it sent them: 40 s."""
_OPEN_S: Final = 10.0


class Hearing(Protocol):
    """Who is told what the bridge does with a phone. Times are `clock` seconds."""

    def played(self, at: float, audio: bytes, ran_dry: float | None) -> None:
        """Audio came. `ran_dry`: when the phone had played all there was, if it had, and no clear came since."""

    def cleared(self, at: float) -> None:
        """A `clear` came."""

    def refused(self, reason: str) -> None:
        """A frame came that Twilio would have refused."""

    def gone(self) -> None:
        """The bridge has ended the stream."""


class WirePhone(asyncio.Protocol):
    """Open it, put it on a `Wheel`, and it sends one frame each time it is served.

    Frames are numbered from 0, and the audio of each is its cell of `cells.caller_cells(number)`. Marks are
    returned when the audio before them has sounded, to within the 20 ms between two frames.
    """

    def __init__(self, number: int, call_sid: str, account_sid: str, hearing: Hearing) -> None:
        self.number = number
        self.frames = 0
        """How many were sent."""
        self.sent_at = [0.0] * RING
        """When; by number of the frame, modulo `RING`."""
        self.plays_until = 0.0
        """When all audio that has come will have sounded."""
        self._hearing = hearing
        self._stream_sid = f"MZ{number:032x}"
        self._names = wire.CarrierStream(stream_sid=self._stream_sid, call_sid=call_sid, account_sid=account_sid)
        self._template = _media_template(self._stream_sid, number)
        self._sequence = 1
        self._marks: deque[tuple[float, str]] = deque()
        self._playing = False
        self._socket: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._clogged = False
        self._reader = frames.FrameReader()
        self._answer = b""
        self._upgraded: asyncio.Future[None] | None = None
        self._over = False

    # --- the call's life ---

    async def open(self, url: str, auth_token: str, parameters: Mapping[str, str]) -> None:
        """Connect to the address of a `<Stream>`, `ws://…`, and begin the stream. Raises `CallError`."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        self._upgraded = loop.create_future()
        own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(_OPEN_S):
                own.setblocking(False)
                await loop.sock_connect(own, (parts.hostname or "127.0.0.1", parts.port or 80))
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.create_connection(lambda: self, sock=own)
                self._socket = own
                self._write(_handshake(url, auth_token))
                await self._upgraded
        except (OSError, TimeoutError) as error:
            own.close()
            what = "within 10 s" if isinstance(error, TimeoutError) else f"({error})"
            raise CallError(f"cannot open the stream at {url} {what}", code="bridge_unreachable") from error
        self._write(frames.client_frame(self._names.connected().encode()))
        self._write(frames.client_frame(self._names.start(parameters).encode()))

    def hang_up(self) -> None:
        """`stop`, and the WebSocket's close; what follows is read, and told to nobody."""
        if self._over:
            return
        self._tell("stop", {"accountSid": self._names.account_sid, "callSid": self._names.call_sid})
        self._write(frames.client_frame((1000).to_bytes(2, "big"), frames.CLOSE))
        self._over = True

    def cut(self) -> None:
        """Give the connection up, whatever was not sent yet."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    @property
    def open_now(self) -> bool:
        """Whether the stream runs."""
        return self._socket is not None and not self._over

    # --- to the bridge ---

    def serve(self) -> None:
        """Return the marks that are due, and send the next frame."""
        if self._over:
            return
        now = clock()
        while self._marks and self._marks[0][0] <= now:
            self._tell("mark", {"name": self._marks.popleft()[1]})
        number = self.frames
        self._sequence = sequence = self._sequence + 1
        text = self._template % (sequence, number + 1, number * CELL_MS, caller_payload_rest(number))
        self.sent_at[number % RING] = now
        self.frames = number + 1
        self._write(frames.CLIENT_TEXT_HEADS[len(text)] + text)

    def _tell(self, event: str, body: dict[str, str]) -> None:
        """Send one of the rare messages, with the next of the numbers that frames have, too."""
        self._sequence += 1
        head = {"event": event, "sequenceNumber": str(self._sequence)}
        self._write(frames.client_frame(msgspec.json.encode({**head, event: body, "streamSid": self._stream_sid})))

    def _write(self, data: bytes) -> None:
        """Straight to the socket, which is there sooner and for less than by way of the event loop."""
        if self._socket is None or self._transport is None:
            return
        if self._clogged and self._transport.get_write_buffer_size():
            self._transport.write(data)
            return
        self._clogged = False
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # `connection_lost` tells.
        if sent < len(data):
            # The bridge does not keep up. The loop sends the rest, and all that comes until it is done.
            self._clogged = True
            self._transport.write(data[sent:])

    # --- from the bridge ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport  # type: ignore[assignment]  # a socket's is an `asyncio.Transport`

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (how it was lost makes no difference)
        """See `asyncio.Protocol`."""
        self._fail("the connection was closed")
        if not self._over:
            self._over = True
            self._hearing.gone()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        at = clock()
        if self._upgraded is not None:
            self._answer += data
            head, end, data = self._answer.partition(b"\r\n\r\n")
            if not end:
                return
            status = head.split(b"\r\n", 1)[0]
            if b" 101 " not in status + b" ":
                self._fail(
                    f"it was answered with {status.decode(errors='replace')!r}, not 101 (Twilio error 31920)"
                )
                return
            self._upgraded.set_result(None)
            self._upgraded = None
        for opcode, payload in self._reader.feed(data):
            if opcode == frames.TEXT:
                self._take(at, payload)
            elif opcode == frames.PING:
                self._write(frames.client_frame(payload, frames.PONG))
            elif opcode == frames.CLOSE and self._transport is not None:
                self._transport.close()
            elif opcode == frames.BINARY:
                self._hearing.refused("a binary frame")

    def _take(self, at: float, text: bytes) -> None:
        if self._over:
            return
        match wire.parse_from_bridge(text.decode(errors="replace"), self._stream_sid):
            case wire.PlayMedia(audio):
                ran_dry = self.plays_until if self._playing and at > self.plays_until else None
                self._playing = True
                self.plays_until = max(self.plays_until, at) + len(audio) / BYTES_PER_S
                self._hearing.played(at, audio, ran_dry)
            case wire.PlayMark(name):
                self._marks.append((max(self.plays_until, at), name))
            case wire.PlayClear():
                self._playing = False
                self.plays_until = at
                self._marks = deque((at, name) for _, name in self._marks)
                self._hearing.cleared(at)
            case wire.Invalid(_, reason):
                self._hearing.refused(reason)

    def _fail(self, why: str) -> None:
        if self._upgraded is not None and not self._upgraded.done():
            self._upgraded.set_exception(CallError(f"the stream could not be opened: {why}", code="bridge_answer"))


def _media_template(stream_sid: str, number: int) -> bytes:
    """A media message with room for its numbers and for the rest of its payload."""
    # The same text as `media_stream.CarrierStream.media` writes.
    return (
        b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"'
        + caller_payload_prefix(number)
        + b'%b"},"streamSid":"'
        + stream_sid.encode()
        + b'"}'
    )


def _handshake(url: str, auth_token: str) -> bytes:
    parts = urlsplit(url)
    lines = [
        f"GET {parts.path or '/'}{'?' if parts.query else ''}{parts.query} HTTP/1.1",
        f"host: {parts.netloc}",
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {base64.b64encode(secrets.token_bytes(16)).decode()}",
    ]
    if auth_token:
        lines.append(f"{signature.HEADER.lower()}: {signature.sign(auth_token, url, [])}")
    return "\r\n".join([*lines, "", ""]).encode()
