"""Listening in to calls of other bridges: what reaches who listens, and that it stops when nobody does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSMsgType

from bridge.simulator.caller import SimulatedCall
from bridge.tasks import spawn
from tests.bus.world import Nodes, eventually, nodes
from tests.postgres import PostgresServer, start_postgres
from tests.scripted_speech import sound_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

VOICE = bytes(range(256)) * 10


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = start_postgres()
    yield server
    server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> AsyncIterator[Nodes]:
    async with nodes(tmp_path_factory.mktemp("listening"), store=postgres.new_database()) as all_:
        yield all_


@dataclass
class Heard:
    """What came to somebody who listens."""

    socket: aiohttp.ClientWebSocketResponse
    sides: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    texts: list[str] = field(default_factory=list)

    async def follow(self) -> None:
        async for message in self.socket:
            if message.type == WSMsgType.BINARY:
                self.sides[message.data[0]].extend(message.data[5:])
            else:
                self.texts.append(message.json()["type"])

    async def hears(self, side: int, sound: bytes) -> None:
        async def heard() -> bool:
            return sound in self.sides[side]

        await eventually(heard)

    async def told(self, *texts: str) -> None:
        async def told() -> bool:
            return self.texts == [*texts]

        await eventually(told)


@contextlib.asynccontextmanager
async def listening(up: Nodes, at: int, call: str) -> AsyncIterator[Heard]:
    url = f"{up.bridges[at].url}/api/v1/calls/{call}/listen"
    async with up.http.ws_connect(url) as socket:
        heard = Heard(socket)
        following = spawn(heard.follow(), name="follow")
        try:
            yield heard
        finally:
            await socket.close()
            await following


async def refused(up: Nodes, at: int, call: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await up.http.ws_connect(f"{up.bridges[at].url}/api/v1/calls/{call}/listen")
    return error.value.status


async def says(up: Nodes, at: int, call: SimulatedCall, text: str) -> bytes:
    """Let the agent say something, and return its sound."""

    async def asked() -> bool:
        return (await up.ask(at, "POST", f"/api/v1/calls/{call.call_sid}/say", {"text": text}))[0] == 202

    await eventually(asked)
    return b"".join(map(sound_of, range(len(text.split()))))


async def test_both_sides_of_a_call_are_heard_at_another_bridge_until_it_is_over(up: Nodes) -> None:
    async with up.call(at=0) as call, listening(up, 1, call.call_sid) as heard:
        call_id = (await up.seen(0))[call.call_sid]["id"]
        await call.say(VOICE)
        await heard.hears(0, VOICE)
        await heard.hears(1, await says(up, 1, call, "one two three"))
        await call.hang_up()
        await heard.told("ended")
        assert heard.socket.close_code == 1000
    status, audit = await up.ask(0, "GET", "/api/v1/audit")
    assert status == 200
    assert [line["what"] for line in audit["items"] if line["call_id"] == call_id] == ["listened"]


async def test_an_interruption_is_told_at_the_other_bridge_too(up: Nodes) -> None:
    earlier = len(up.speech.stt)
    async with up.call(at=0) as call, listening(up, 1, call.call_sid) as heard:

        async def heard_by_one() -> bool:
            return any(one.audio for one in up.speech.stt[earlier:])

        await eventually(heard_by_one)
        (peer,) = [one for one in up.speech.stt[earlier:] if one.audio]
        await peer.say_turn(" ".join(f"word{number}" for number in range(20)))
        await call.wait_agent_speaking(10)
        await call.pause(0.6)
        await peer.turn("start")
        await heard.told("clear")


async def test_what_cannot_be_listened_to_says_so_at_any_bridge(up: Nodes) -> None:
    assert await refused(up, 1, "CAnobody") == 404
    assert await refused(up, 1, "no name of a call") == 404
    async with up.call(at=0) as call:
        status, answer = await up.ask(1, "GET", f"/api/v1/calls/{call.call_sid}/listen")
        assert (status, answer["code"]) == (426, "websocket_wanted")


async def test_no_more_listen_than_a_call_can_bear_wherever_they_are_and_who_goes_makes_room(up: Nodes) -> None:
    async with up.call(at=0) as call, contextlib.AsyncExitStack() as stack:
        for number in range(20):
            heard = await stack.enter_async_context(listening(up, number % 2, call.call_sid))
        await call.say(VOICE)
        await heard.hears(0, VOICE)
        assert [await refused(up, at, call.call_sid) for at in (0, 1)] == [429, 429]
        await stack.aclose()

        async def room() -> bool:
            with contextlib.suppress(aiohttp.WSServerHandshakeError):
                async with contextlib.AsyncExitStack() as again:
                    for number in range(20):
                        await again.enter_async_context(listening(up, number % 2, call.call_sid))
                    return True
            return False

        await eventually(room)
        assert call.problems == []


async def test_a_call_that_goes_to_another_bridge_is_followed(up: Nodes) -> None:
    async with (
        up.call(at=0) as call,
        listening(up, 0, call.call_sid) as near,
        listening(up, 1, call.call_sid) as far,
    ):
        await call.say(VOICE)
        await asyncio.gather(near.hears(0, VOICE), far.hears(0, VOICE))
        up.balancer.route = lambda _: 1
        call.drop_stream()
        await asyncio.gather(near.told("moved"), far.told("moved"))
        sound = await says(up, 0, call, "one two three four")
        await asyncio.gather(near.hears(1, sound), far.hears(1, sound))
        await call.hang_up()
        await asyncio.gather(near.told("moved", "ended"), far.told("moved", "ended"))
        up.balancer.route = lambda _: None


async def test_one_that_stops_leaves_its_calls_listeners_to_the_next_and_lets_its_own_go(up: Nodes) -> None:
    async with (
        up.call(at=1) as call,
        listening(up, 0, call.call_sid) as far,
        listening(up, 1, call.call_sid) as near,
    ):
        await call.say(VOICE)
        await asyncio.gather(near.hears(0, VOICE), far.hears(0, VOICE))
        up.balancer.resting = lambda at: at == 1
        began = asyncio.get_running_loop().time()
        up.bridges[1].process.terminate()
        assert await up.bridges[1].process.wait() == 0
        took = asyncio.get_running_loop().time() - began
        await far.hears(1, await says(up, 0, call, "one two three"))
        assert far.texts == ["moved"]

        async def gone() -> bool:
            return near.socket.closed

        await eventually(gone)
        assert near.socket.close_code == 1001
        await call.hang_up()
        await far.told("moved", "ended")
    up.balancer.resting = lambda _: False
    await up.start_again(1)
    assert took < 15


async def test_the_calls_of_one_that_dies_are_listened_to_where_they_go_on(up: Nodes) -> None:
    if up.bridges[1].process.returncode is not None:  # Where this is tried again.
        await up.start_again(1)
    async with up.call(at=1) as call, listening(up, 0, call.call_sid) as heard:
        await heard.hears(1, await says(up, 0, call, "one two"))
        await asyncio.sleep(0.3)
        up.balancer.route = lambda _: 0
        await up.bridges[1].kill()
        up.balancer.route = lambda _: None
        await heard.told("moved")
        await heard.hears(1, await says(up, 0, call, "one two three four five"))
        await call.hang_up()
        await heard.told("moved", "ended")
    await up.start_again(1)


async def test_the_bus_may_go_and_come_back_while_somebody_listens(up: Nodes) -> None:
    async with up.call(at=0) as call, listening(up, 1, call.call_sid) as heard:
        await call.say(VOICE)
        await heard.hears(0, VOICE)
        await up.bus.stop()
        await heard.told("moved")
        heard.sides[0].clear()
        await up.bus.start()

        async def again() -> bool:
            await call.say(VOICE)
            return VOICE in heard.sides[0]

        await eventually(again)
        assert call.problems == []


async def test_it_is_the_same_where_each_bridge_has_several_processes(tmp_path: Path) -> None:
    async with (
        nodes(tmp_path, BRIDGE_SERVER__WORKERS="2") as up,
        up.call(at=0) as one,  # The two are in different processes: each goes to the one that has the fewest.
        up.call(at=0) as two,
        listening(up, 1, one.call_sid) as first,
        listening(up, 1, two.call_sid) as second,
    ):
        await one.say(VOICE)
        await two.say(VOICE[::-1])
        await asyncio.gather(first.hears(0, VOICE), second.hears(0, VOICE[::-1]))
        await asyncio.gather(one.hang_up(), two.hang_up())
        await asyncio.gather(first.told("ended"), second.told("ended"))
