"""The listener over real sockets: who brings no request, and too many of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from bridge.listener.arrivals import Site
from bridge.listener.entrance import Bounds, Entrance
from bridge.listener.proxies import Proxies

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class House:
    def __init__(self, entrance: Entrance, port: int, refused: Counter[str], runner: web.AppRunner) -> None:
        self.entrance, self.port, self.refused = entrance, port, refused
        self.stop = runner.cleanup
        self._opened: list[asyncio.StreamWriter] = []

    async def connect(self) -> Pair:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._opened.append(writer)
        return reader, writer

    async def ask(self, pair: Pair | None = None) -> bytes:
        """Ask, and return the first line of the answer; empty: the connection was closed."""
        reader, writer = pair or await self.connect()
        writer.write(GET)
        try:
            return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).partition(b"\r\n")[0]
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def close(self) -> None:
        for writer in self._opened:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def house(
    bounds: Bounds,
    trusted: tuple[str, ...] = (),
    idle_s: float = 75,
    proves: bool = False,
    asked: Callable[[], None] = lambda: None,
) -> AsyncIterator[House]:
    refused: Counter[str] = Counter()
    entrance = Entrance(bounds, Proxies(trusted), lambda reason: refused.update([reason]))

    async def answer(request: web.Request) -> web.Response:
        asked()
        if proves:
            entrance.proven(request)
        return web.Response(text="x")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=idle_s)
    await runner.setup()
    await Site(runner, entrance, "127.0.0.1", 0).start()
    it = House(entrance, runner.addresses[0][1], refused, runner)
    try:
        yield it
    finally:
        await it.close()
        await runner.cleanup()


async def test_many_who_come_at_once_are_spread_over_many_turns_of_the_loop() -> None:
    """Calls that go on must not wait until all of them are answered."""
    loop, turn, answered = asyncio.get_running_loop(), 0, Counter[int]()

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    async with house(Bounds(), asked=lambda: answered.update([turn])) as it, contextlib.AsyncExitStack() as stack:
        for _ in range(30):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", it.port))  # The kernel takes it: the loop does not turn here.
            one.send(GET)
        count()
        async with asyncio.timeout(10):
            while answered.total() < 30:  # noqa: ASYNC110  It is the loop itself that is looked at.
                await asyncio.sleep(0)
    assert max(answered.values()) <= 4, answered


async def closed_within(reader: asyncio.StreamReader, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


OK = b"HTTP/1.1 200 OK"


async def test_requests_are_answered_also_byte_by_byte_and_one_after_another() -> None:
    async with house(Bounds()) as it:
        reader, writer = await it.connect()
        for byte in GET:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
        assert await reader.readexactly(1) == b"x"
        assert await it.ask((reader, writer)) == OK
        reader, writer = await it.connect()
        writer.write(GET + GET)
        assert (await reader.readexactly(3 * len(OK))).count(OK) >= 1


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: h\r\n"])
async def test_half_a_request_is_closed_in_time(sent: bytes) -> None:
    async with house(Bounds(head_s=0.2)) as it:
        reader, writer = await it.connect()
        if sent:
            writer.write(sent)
        assert await closed_within(reader, 2)
        assert it.refused == {"head_late": 1}


async def test_who_sends_a_byte_now_and_then_wins_no_time() -> None:
    async with house(Bounds(head_s=0.3)) as it:
        reader, writer = await it.connect()
        closing = asyncio.ensure_future(closed_within(reader, 2))  # noqa: TID251  A test's own.
        for byte in GET[:-1]:
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)
            if closing.done():
                break
        assert await closing
        assert it.refused == {"head_late": 1}


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"\x00" * 100, b"{}", b"get / HTTP/1.1\r\n"])
async def test_what_is_no_request_is_closed_at_once(sent: bytes) -> None:
    async with house(Bounds()) as it:
        reader, writer = await it.connect()
        writer.write(sent)
        assert await closed_within(reader, 2)
        assert it.refused == {"no_request": 1}


async def test_an_idle_connection_is_closed() -> None:
    async with house(Bounds(), idle_s=0.2) as it:
        reader, writer = await it.connect()
        assert await it.ask((reader, writer)) == OK
        await reader.readexactly(1)
        assert await closed_within(reader, 3)


async def test_who_has_brought_nothing_yet_does_not_hold_up_a_stop() -> None:
    async with house(Bounds()) as it:
        reader, _ = await it.connect()
        await asyncio.sleep(0.05)
        assert len(it.entrance.held()) == 1
        await it.stop()
        assert await closed_within(reader, 2)


class TestTooMany:
    async def test_from_one_address(self) -> None:
        async with house(Bounds(per_address=3)) as it:
            silent = [await it.connect() for _ in range(3)]
            assert await it.ask() == b""
            assert it.refused == {"address": 1}
            silent[0][1].close()
            await silent[0][1].wait_closed()
            await asyncio.sleep(0.05)
            assert await it.ask() == OK

    async def test_a_proxy_of_ours_is_many_people(self) -> None:
        async with house(Bounds(per_address=1), trusted=("127.0.0.0/8",)) as it:
            await it.connect()
            assert await it.ask() == OK
            assert not it.refused

    async def test_altogether_and_those_that_are_gone_make_room(self) -> None:
        async with house(Bounds(connections=2), trusted=("127.0.0.0/8",)) as it:
            one, two = await it.connect(), await it.connect()
            assert await it.ask(one) == OK
            assert await it.ask() == b""
            assert it.refused == {"connections": 1}
            one[1].close()
            await one[1].wait_closed()
            await asyncio.sleep(0.15)
            assert await it.ask() == OK
            assert await it.ask(two) == OK

    async def test_who_has_shown_who_they_are_does_not_count(self) -> None:
        async with house(Bounds(connections=2), proves=True) as it:
            for _ in range(5):
                assert await it.ask() == OK
            assert not it.refused


def test_the_bounds_leave_half_of_what_can_be_open_for_calls(monkeypatch: Any) -> None:
    monkeypatch.setattr("bridge.listener.entrance.descriptors", lambda: 100)
    assert Entrance(Bounds(connections=1000), Proxies(), lambda _: None).bounds.connections == 50
