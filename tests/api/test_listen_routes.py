"""Listening in to live calls by the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yarl
from aiohttp import WSMsgType

from bridge.conversation.events import StreamLost
from bridge.live.listening import Listening
from bridge.simulator.caller import SimulatedCall
from tests.api.live_world import LiveWorld, live_world
from tests.scripted_speech import sound_of


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LiveWorld]:
    async with live_world(tmp_path) as world:
        yield world


def address(world: LiveWorld, call: str) -> str:
    return f"{world.up.url}/api/v1/calls/{call}/listen"


async def test_both_sides_are_heard_until_the_call_is_over(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        peer = await world.speech.listener()
        await world.live()
        async with world.http.ws_connect(address(world, call.call_sid)) as socket:
            voice = bytes(range(256)) * 10
            await call.say(voice)
            await peer.say_turn("Say this back")
            assert await call.wait_for_agent(10, silence_s=0.3)
            await call.hang_up()
            sides: dict[int, bytearray] = {0: bytearray(), 1: bytearray()}
            texts = []
            times: list[int] = []
            async with asyncio.timeout(10):
                async for message in socket:
                    if message.type == WSMsgType.BINARY:
                        sides[message.data[0]] += message.data[5:]
                        times.append(int.from_bytes(message.data[1:5], "big"))
                    else:
                        texts.append(message.json())
    assert voice in sides[0]
    assert sides[1] == b"".join(sound_of(number) for number in range(3))
    assert texts == [{"type": "ended"}]
    assert 0 <= min(times) <= max(times) < 20_000
    assert socket.close_code == 1000


async def test_an_interruption_is_told_so_that_players_fall_silent(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        peer = await world.speech.listener()
        await world.live()
        async with world.http.ws_connect(address(world, call.call_sid)) as socket:
            await peer.say_turn(" ".join(f"word{number}" for number in range(20)))
            await call.wait_agent_speaking(10)
            await call.pause(0.6)
            await peer.turn("start")
            async with asyncio.timeout(10):
                while (message := await socket.receive()).type == WSMsgType.BINARY:
                    pass
            assert message.json()["type"] == "clear"


async def test_what_cannot_be_listened_to_says_so(world: LiveWorld) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await world.http.ws_connect(address(world, "nothing"))
    assert refused.value.status == 404
    async with SimulatedCall(world.line()) as call:
        await world.live()
        async with world.http.get(address(world, call.call_sid)) as response:
            assert (response.status, (await response.json())["code"]) == (426, "websocket_wanted")
        foreign = {"Origin": "https://elsewhere.example"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await world.http.ws_connect(address(world, call.call_sid), headers=foreign)
        assert refused.value.status in {401, 403}


async def test_no_more_listen_than_a_call_can_bear(world: LiveWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.live.taps.MOST_EARS", 1)
    async with SimulatedCall(world.line()) as call:
        (shown,) = await world.live()
        async with world.http.ws_connect(address(world, shown["id"])) as socket:
            await call.say(b"\x00" * 1600)
            assert (await socket.receive(timeout=5)).type == WSMsgType.BINARY
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await world.http.ws_connect(address(world, call.call_sid))
            assert refused.value.status == 429
        async with asyncio.timeout(5):
            while world.up.registry.live:
                try:
                    await (await world.http.ws_connect(address(world, call.call_sid))).close()
                    break
                except aiohttp.WSServerHandshakeError:
                    await asyncio.sleep(0.02)  # Who went is let go in a moment.
        assert world.up.registry.live


async def test_what_is_no_websocket_takes_nobodys_place(world: LiveWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.live.taps.MOST_EARS", 1)
    async with SimulatedCall(world.line()) as call:
        await world.live()
        async with world.http.ws_connect(address(world, call.call_sid)):
            for method in ("GET", "HEAD"):
                async with world.http.request(method, address(world, call.call_sid)) as response:
                    assert response.status == 426


async def test_one_who_is_gone_before_anything_was_sent_leaves_their_place(
    world: LiveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.live.taps.MOST_EARS", 1)
    async with SimulatedCall(world.line()) as call:
        await world.live()
        url = yarl.URL(address(world, call.call_sid))
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = (
            f"GET {url.path} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        closing = b"\x88\x82\0\0\0\0\x03\xe8"  # 1000, masked with zeros.
        writer.write(head.encode() + closing)
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 101 ")
        writer.close()
        async with world.http.ws_connect(address(world, call.call_sid)) as socket:
            await call.say(b"\x00" * 1600)
            assert (await socket.receive(timeout=5)).type == WSMsgType.BINARY


async def test_one_who_listens_and_goes_leaves_nothing_behind(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        (shown,) = await world.live()
        socket = await world.http.ws_connect(address(world, shown["id"]))
        await socket.send_str("whatever")
        await socket.close()
        await call.say(b"\x00" * 1600)
        await call.hang_up()
        assert (await world.journal(call.call_sid))[-1]["reason"] == "caller"


class Nowhere:
    """Other nodes, none of which holds the call."""

    closed = False

    async def open(self, call: str) -> Listening | None:
        del call
        return None


@pytest.mark.parametrize(("stops", "told", "code"), [(False, ["moved", "lost"], 1012), (True, [], 1001)])
async def test_a_call_that_moved_and_is_not_found_again_says_so(
    world: LiveWorld, monkeypatch: pytest.MonkeyPatch, *, stops: bool, told: list[str], code: int
) -> None:
    monkeypatch.setattr("bridge.api.listen_routes._FOLLOWED_WITHIN_S", 0.3)
    nowhere = world.up.worker.hear = Nowhere()
    async with SimulatedCall(world.line()) as call:
        await world.live()
        async with world.http.ws_connect(address(world, call.call_sid)) as socket:
            nowhere.closed = stops
            world.up.registry.live[call.call_sid].abandon()
            async with asyncio.timeout(10):
                heard = [message.json()["type"] async for message in socket if message.type == WSMsgType.TEXT]
    assert (heard, socket.close_code) == (told, code)


async def test_a_call_that_ends_by_a_bug_has_not_moved(world: LiveWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    world.up.worker.hear = Nowhere()
    async with SimulatedCall(world.line()) as call:
        await world.live()
        async with world.http.ws_connect(address(world, call.call_sid)) as socket:
            session = world.up.registry.live[call.call_sid]
            monkeypatch.setattr(session._conversation, "handle", fail)
            session.take(StreamLost())
            async with asyncio.timeout(10):
                heard = [message.json()["type"] async for message in socket if message.type == WSMsgType.TEXT]
    assert (heard, socket.close_code) == (["ended"], 1000)
