"""Calls over two bridges behind a load balancer: whichever is asked, the one that holds the call answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.simulator.party import Party
from tests.bus.world import Nodes, eventually, nodes

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESK = "+15550100009"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nodes]:
    async with nodes(tmp_path_factory.mktemp("nodes")) as both:
        yield both


async def test_each_shows_the_calls_of_all(up: Nodes) -> None:
    async with up.call(at=0) as first, up.call(at=1) as second:
        for at in (0, 1):

            async def all_seen(at: int = at) -> bool:
                return {*await up.seen(at)} == {first.call_sid, second.call_sid}

            await eventually(all_seen)
        seen = await up.seen(1)
        assert (seen[first.call_sid]["node"], seen[second.call_sid].get("node")) == ("node-0", None)
    for at in (0, 1):

        async def none_seen(at: int = at) -> bool:
            return await up.seen(at) == {}

        await eventually(none_seen)


async def test_what_happens_in_a_call_is_told_by_the_other_bridge(up: Nodes) -> None:
    told: list[str] = []

    async def follow() -> None:
        async with up.http.get(up.bridges[1].url + "/api/v1/events") as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    told.append(event["type"])
                    if event["type"] == "call.ended":
                        return

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(follow())
        await asyncio.sleep(0.3)
        async with up.call(at=0) as call:
            status, _ = await up.ask(1, "POST", f"/api/v1/calls/{call.call_sid}/say", {"text": "How are you?"})
            assert status == 202
            assert await call.wait_for_agent(10, silence_s=0.2)
    assert told[0] == "call.started"
    assert {"agent.speaking", "agent.spoke"} <= {*told}


async def test_a_call_is_acted_on_by_either_and_the_answer_is_the_holders(up: Nodes) -> None:
    async with up.call(at=0) as call:
        path = f"/api/v1/calls/{call.call_sid}"
        status, answer = await up.ask(1, "POST", f"{path}/say", {"text": "Good morning."})
        assert (status, answer["action"]) == (202, "say")
        status, answer = await up.ask(1, "POST", f"{path}/digits", {"digits": "not keys"})
        assert (status, answer["code"]) == (422, "invalid")
        status, answer = await up.ask(1, "POST", f"{path}/hang-up")
        assert status == 202
        async with asyncio.timeout(10):
            assert await call.ended() == "bridge_hung_up"
    status, answer = await up.ask(1, "POST", "/api/v1/calls/CAnobody/say", {"text": "Is anybody there?"})
    assert (status, answer["code"]) == (404, "call_unknown")


async def test_what_the_carrier_asks_of_the_other_bridge_is_answered_by_the_holder(up: Nodes) -> None:
    async with up.call(at=0, parties={DESK: Party("busy")}, report_status=True) as call:
        up.balancer.route = lambda path: 0 if path.startswith("/twilio/media") else 1
        status, _ = await up.ask(1, "POST", f"/api/v1/calls/{call.call_sid}/transfer", {"to": DESK})
        assert status == 202
        assert await call.wait_for_agent(10, silence_s=0.2)  # The caller is told that nobody was reached.
        assert len(call.phones) == 2
        assert call.problems == []


async def test_a_call_of_ours_is_taken_by_whoever_gets_its_stream(up: Nodes) -> None:
    up.balancer.route = lambda path: 1
    up.rest.line = up.line(parties={"+15550100001": Party("answers")})
    status, order = await up.ask(0, "POST", "/api/v1/calls", {"to": "+15550100001", "greeting": "It is for you."})
    assert status == 202

    async def is_at_the_other() -> bool:
        return [call["id"] for call in (await up.seen(1)).values() if "node" not in call] == [order["id"]]

    async def is_(state: str) -> bool:
        return bool((await up.ask(0, "GET", f"/api/v1/calls/{order['id']}"))[1]["status"] == state)

    await eventually(is_at_the_other)
    await eventually(lambda: is_("in-progress"))
    await up.rest.placed[-1].hang_up()
    await eventually(lambda: is_("completed"))


async def test_the_bus_may_go_and_come_back(up: Nodes) -> None:
    async with up.call(at=0) as call:
        await up.bus.stop()
        status, _ = await up.ask(0, "POST", f"/api/v1/calls/{call.call_sid}/say", {"text": "Nothing has happened."})
        assert status == 202
        assert await call.wait_for_agent(10, silence_s=0.2)
        status, answer = await up.ask(1, "POST", f"/api/v1/calls/{call.call_sid}/say", {"text": "Hello?"})
        assert (status, answer["code"], answer["node"]) == (503, "node_away", "node-0")
        status, answer = await up.ask(1, "GET", "/readyz")
        assert (status, answer["bus"]) == (200, "down")
        await up.bus.start()

        async def reached() -> bool:
            say = {"text": "Here we are again."}
            return (await up.ask(1, "POST", f"/api/v1/calls/{call.call_sid}/say", say))[0] == 202

        await eventually(reached)


async def test_the_calls_of_one_that_dies_are_not_shown_any_more(up: Nodes) -> None:
    async with up.call(at=1) as call:

        async def seen() -> bool:
            return call.call_sid in await up.seen(0)

        await eventually(seen)
        await up.bridges[1].kill()
        began = asyncio.get_running_loop().time()

        async def gone() -> bool:
            return not await seen()

        await eventually(gone)
        assert asyncio.get_running_loop().time() - began < 5
