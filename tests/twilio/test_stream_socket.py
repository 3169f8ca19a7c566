"""The fast path of a media stream's frames, and what it leaves to aiohttp's reader."""

from __future__ import annotations

import asyncio
import struct

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from bridge.twilio.stream_socket import FastPath, StreamSocket

TEXT, BINARY, CONTINUATION, CLOSE, PING = 0x81, 0x82, 0x80, 0x88, 0x89


def frame(first: int, payload: bytes, key: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A masked frame, as a client sends it."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((first, 0xFE)) + struct.pack(">H", size)
    else:
        head = bytes((first, 0xFF)) + struct.pack(">Q", size)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


class Reader:
    """Stands for aiohttp's."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return self.ended, b""

    def feed_eof(self) -> None:
        self.ended = True


class Call:
    """Stands for the call."""

    def __init__(self, until: bytes = b"stop") -> None:
        self.reads: list[list[bytes]] = [[]]
        self.until = until

    def text(self, data: bytes) -> bool:
        if data == self.until:
            return False
        self.reads[-1].append(data)
        return True

    def read(self) -> None:
        self.reads.append([])

    @property
    def texts(self) -> list[bytes]:
        return [text for read in self.reads for text in read]


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def call() -> Call:
    return Call()


@pytest.fixture
def path(reader: Reader) -> FastPath:
    return FastPath(reader)


def test_before_it_is_opened_everything_goes_on_and_is_counted(path: FastPath, reader: Reader) -> None:
    data = frame(TEXT, b"a") + frame(PING, b"") + frame(TEXT, b"b" * 300)
    path.feed_data(data[:20])
    path.feed_data(data[20:])
    assert (reader.data, path.passed_on) == (data, 2)


def test_what_came_together_is_handed_on_together(path: FastPath, reader: Reader, call: Call) -> None:
    path.open(call.text, call.read)
    path.feed_data(frame(TEXT, b"a") + frame(TEXT, b"b" * 300) + frame(TEXT, b"c")[:3])
    path.feed_data(frame(TEXT, b"c")[3:])
    assert (call.reads, reader.data) == ([[b"a", b"b" * 300], [b"c"], []], b"")


def test_control_frames_go_to_the_reader_and_texts_go_on(path: FastPath, reader: Reader, call: Call) -> None:
    path.open(call.text, call.read)
    path.feed_data(frame(TEXT, b"a") + frame(PING, b"?") + frame(TEXT, b"b"))
    assert (call.texts, reader.data) == ([b"a", b"b"], frame(PING, b"?"))


@pytest.mark.parametrize(
    "other",
    [
        frame(BINARY, b"x"),
        frame(0x01, b"half") + frame(CONTINUATION, b"of it"),
        frame(TEXT, b"x" * 70_000),
        bytes((TEXT, 1)) + b"unmasked",
        frame(0xC1, b"compressed"),
        frame(TEXT, b"stop"),
    ],
    ids=["binary", "fragments", "long", "unmasked", "reserved bit", "what the call does not want"],
)
def test_after_anything_else_everything_goes_the_long_way(
    path: FastPath, reader: Reader, call: Call, other: bytes
) -> None:
    path.open(call.text, call.read)
    path.feed_data(frame(TEXT, b"a") + other + frame(TEXT, b"b"))
    path.feed_data(frame(TEXT, b"c"))
    assert call.reads[0] == [b"a"]
    assert call.texts == [b"a"]
    assert reader.data == other + frame(TEXT, b"b") + frame(TEXT, b"c")


def test_a_reader_that_ends_the_stream_is_heard(path: FastPath, reader: Reader, call: Call) -> None:
    path.open(call.text, call.read)
    reader.ended = True
    assert path.feed_data(frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"late")) == (True, b"")
    assert call.texts == []


@given(
    st.lists(st.binary(max_size=400), max_size=8),
    st.lists(st.integers(1, 300), max_size=12),
    st.binary(min_size=4, max_size=4),
)
def test_however_it_is_cut_every_text_comes_once_and_in_order(
    texts: list[bytes], cuts: list[int], key: bytes
) -> None:
    reader, call = Reader(), Call(until=b"\x00never")
    path = FastPath(reader)
    path.open(call.text, call.read)
    data = b"".join(frame(TEXT, text, key) for text in texts)
    at = 0
    for cut in cuts:
        path.feed_data(data[at : at + cut])
        at += cut
    path.feed_data(data[at:])
    assert (call.texts, reader.data) == (texts, b"")


async def test_over_a_real_socket() -> None:
    """With aiohttp as it is: the fast path is in place, and closing, pinging and long messages work as ever."""
    call = Call()
    slow: list[str] = []
    sockets: list[StreamSocket] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = StreamSocket(compress=False)
        await socket.prepare(request)
        sockets.append(socket)
        assert socket.fast_path is not None
        first = await socket.receive()
        assert (first.data, socket.fast_path.passed_on) == ("first", 1)
        socket.fast_path.open(call.text, call.read)
        assert socket.write_at_once("opened")
        assert socket.write_at_once("é" * 200)
        assert socket.write_at_once("x" * 70_000)
        slow.extend([message.data async for message in socket])
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    async with TestClient(TestServer(app)) as client, client.ws_connect("/") as socket:
        await socket.send_str("first")
        assert [await socket.receive_str() for _ in range(3)] == ["opened", "é" * 200, "x" * 70_000]
        await socket.send_str("fast")
        await socket.ping(b"?")
        await socket.send_str("faster")
        await socket.send_str("stop")
        await socket.send_str("x" * 70_000)
        await socket.close()
        assert socket.close_code == aiohttp.WSCloseCode.OK
        for _ in range(100):
            if len(slow) == 2:
                break
            await asyncio.sleep(0.01)
    assert (call.texts, slow) == ([b"fast", b"faster"], ["stop", "x" * 70_000])
    assert not sockets[0].write_at_once("too late")
