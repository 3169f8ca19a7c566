"""A phone of the load against a server that keeps what it gets, and against the codec of both ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from bridge.simulator.line import CallError
from bridge.simulator.load.cells import CELL_BYTES, caller_cells
from bridge.simulator.load.wheel import Wheel, clock
from bridge.simulator.load.wire_phone import WirePhone
from bridge.twilio import media_stream as wire
from bridge.twilio import signature
from tests.serving import served
from tests.waiting import until

CALL_SID, ACCOUNT_SID, TOKEN = "CA" + "1" * 32, "AC" + "2" * 32, "secret"


class Heard:
    def __init__(self) -> None:
        self.audio: list[tuple[bytes, bool]] = []
        self.clears = 0
        self.refusals: list[str] = []
        self.over = asyncio.Event()
        self.news = asyncio.Event()

    def played(self, at: float, audio: bytes, ran_dry: float | None) -> None:
        assert at <= clock()
        self.audio.append((audio, ran_dry is not None))
        self.news.set()

    def cleared(self, at: float) -> None:
        self.clears += 1
        self.news.set()

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)
        self.news.set()

    def gone(self) -> None:
        self.over.set()


class Bridge:
    """The other end: aiohttp, as the bridge itself has it."""

    def __init__(self) -> None:
        self.url = ""
        self.texts: list[str] = []
        self.socket: web.WebSocketResponse | None = None
        self.open = asyncio.Event()
        self.closed = asyncio.Event()
        self.signed: str | None = None
        self.came = asyncio.Condition()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/refused":
            return web.Response(status=403)
        self.signed = request.headers.get(signature.HEADER)
        self.socket = web.WebSocketResponse(compress=False)
        await self.socket.prepare(request)
        self.open.set()
        async for message in self.socket:
            async with self.came:
                self.texts.append(message.data)
                self.came.notify_all()
        self.closed.set()
        return self.socket

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.came:
            await self.came.wait_for(done)

    async def send(self, text: str) -> None:
        assert self.socket is not None
        await self.socket.send_str(text)


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    made = Bridge()
    app = web.Application()
    app.router.add_get("/{path}", made.serve)
    async with served(app, shutdown_timeout=0.1) as url:
        made.url = url.replace("http", "ws", 1)
        yield made


@pytest.fixture
async def phone(bridge: Bridge) -> AsyncIterator[tuple[WirePhone, Heard]]:
    heard = Heard()
    made = WirePhone(7, CALL_SID, ACCOUNT_SID, heard)
    await made.open(f"{bridge.url}/media", TOKEN, {"token": "abc"})
    await bridge.open.wait()
    yield made, heard
    made.cut()


def carrier() -> wire.CarrierStream:
    return wire.CarrierStream(stream_sid=f"MZ{7:032x}", call_sid=CALL_SID, account_sid=ACCOUNT_SID)


async def test_a_stream_is_opened_signed_and_every_frame_is_as_the_carrier_writes_it(
    bridge: Bridge, phone: tuple[WirePhone, Heard]
) -> None:
    one, _ = phone
    for _ in range(3):
        one.serve()
    one.hang_up()
    one.serve()
    await bridge.until(lambda: len(bridge.texts) == 6)
    async with asyncio.timeout(10):
        await bridge.closed.wait()
    assert bridge.signed == signature.sign(TOKEN, f"{bridge.url}/media", [])
    stream, cells = carrier(), caller_cells(7)
    assert bridge.texts == [
        stream.connected(),
        stream.start({"token": "abc"}),
        *(stream.media(cells.span(frame * CELL_BYTES, CELL_BYTES), 20 * frame) for frame in range(3)),
        stream.stop(),
    ]
    assert one.frames == 3
    assert not one.open_now


async def test_a_mark_returns_when_the_audio_before_it_has_sounded(
    bridge: Bridge, phone: tuple[WirePhone, Heard]
) -> None:
    one, heard = phone
    sid = carrier().stream_sid
    await bridge.send(wire.media_message(sid, b"\x01" * 80))
    await bridge.send(wire.mark_message(sid, "first"))
    await bridge.send(wire.media_message(sid, b"\x02" * 80_000))
    await bridge.send(wire.mark_message(sid, "second"))
    await bridge.send("no message")
    await until(lambda: bool(heard.refusals))
    await asyncio.sleep(0.02)
    one.serve()
    assert [audio for audio, _ in heard.audio] == [b"\x01" * 80, b"\x02" * 80_000]
    assert one.plays_until > clock() + 5
    await bridge.send(wire.clear_message(sid))
    await until(lambda: heard.clears == 1)
    assert one.plays_until <= clock()
    one.serve()
    await bridge.until(lambda: len(bridge.texts) == 6)
    named = [text for text in bridge.texts if '"mark"' in text]
    assert ["first" in text or "second" in text for text in named] == [True, True]
    assert [bridge.texts.index(text) for text in named] == [2, 4], "each before the frame that was due with it"
    numbers = [text.split('"sequenceNumber":"')[1].split('"')[0] for text in bridge.texts[1:]]
    assert numbers == ["1", "2", "3", "4", "5"]


async def test_a_phone_that_ran_dry_says_so_unless_a_clear_emptied_it(
    bridge: Bridge, phone: tuple[WirePhone, Heard]
) -> None:
    _, heard = phone
    sid = carrier().stream_sid

    async def send(text: str) -> None:
        heard.news.clear()
        await bridge.send(text)
        async with asyncio.timeout(10):
            await heard.news.wait()
        await asyncio.sleep(0.02)

    piece = wire.media_message(sid, b"\x01" * 80)
    await send(piece)
    await send(piece)
    await send(wire.clear_message(sid))
    await send(piece)
    assert [dry for _, dry in heard.audio] == [False, True, False]


async def test_the_end_of_the_stream_is_told_once_and_not_when_it_was_hung_up(
    bridge: Bridge, phone: tuple[WirePhone, Heard]
) -> None:
    one, heard = phone
    assert bridge.socket is not None
    await bridge.socket.close()
    async with asyncio.timeout(10):
        await heard.over.wait()
    assert not one.open_now
    one.serve()
    assert one.frames == 0


@pytest.mark.parametrize(("path", "words"), [("/refused", "403"), ("/no/such/path", "404")])
async def test_a_refused_stream_is_told(bridge: Bridge, path: str, words: str) -> None:
    with pytest.raises(CallError, match=words):
        await WirePhone(7, CALL_SID, ACCOUNT_SID, Heard()).open(bridge.url + path, "", {})


async def test_nobody_listening_is_told() -> None:
    with pytest.raises(CallError, match="cannot open the stream"):
        await WirePhone(7, CALL_SID, ACCOUNT_SID, Heard()).open("ws://127.0.0.1:9/media", "", {})


async def test_a_bridge_that_reads_slowly_gets_every_frame_in_the_end(
    bridge: Bridge, phone: tuple[WirePhone, Heard]
) -> None:
    one, _ = phone
    count = 30_000
    for _ in range(count):  # more than socket buffers hold, without a chance for the other end to read
        one.serve()
    await bridge.until(lambda: len(bridge.texts) == count + 2)
    last = wire.parse_from_carrier(bridge.texts[-1])
    assert isinstance(last, wire.Media)
    assert last.audio == caller_cells(7).span((count - 1) * CELL_BYTES, CELL_BYTES)


class Member:
    def __init__(self) -> None:
        self.served = 0

    def serve(self) -> None:
        self.served += 1


async def test_the_wheel_serves_everyone_equally_often() -> None:
    lateness: list[float] = []
    wheel = Wheel(lambda _, late: lateness.append(late))
    members = [Member() for _ in range(33)]
    for member in members:
        wheel.add(member)
    wheel.start()
    await until(lambda: members[0].served >= 5)
    wheel.remove(members[1])
    wheel.remove(members[1])
    wheel.stop()
    counts = {member.served for member in members}
    assert max(counts) - min(counts) <= 1
    assert lateness
    served = members[0].served
    await asyncio.sleep(0.05)
    assert members[0].served == served
