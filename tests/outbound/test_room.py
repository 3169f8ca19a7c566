"""Calls of ours wait where the bridge has no room for another call, and take their place when it has."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.line import Line
from bridge.simulator.party import Party
from tests.outbound.world import TOKEN, world
from tests.test_calls import live


async def test_an_order_waits_until_there_is_room(tmp_path: Path) -> None:
    async with world(tmp_path, BRIDGE_ADMISSION__MAX_CALLS="1") as it:
        it.party(Party())
        async with SimulatedCall(Line(it.up.url, TOKEN)) as call:
            await live(it.up, call.call_sid)
            order = await it.order()
            await asyncio.sleep(0.3)
            assert (await it.show(order))["status"] == "queued"
            assert it.up.dialer.waiting == 1
        assert (await it.until(order, "in-progress"))["status"] == "in-progress"
        leg = await it.leg()
        await live(it.up, leg.call_sid)
        status, answer = await it.ask("DELETE", "/" + order)
        assert status == 200, answer
