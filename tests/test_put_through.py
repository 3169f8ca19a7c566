"""A bridge dies while a caller is with somebody else, or on the way there: what becomes of call and record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.conversation import journal as j
from bridge.simulator.caller import Line, SimulatedCall
from bridge.simulator.party import Party
from bridge.store.files import read_journal
from tests.bridge_process import TOKEN
from tests.resumed_calls import World, kill, world
from tests.waiting import until

DESK = "+15550100009"


async def ask(made: World, call: SimulatedCall, what: str, **body: Any) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{made.url}/api/v1/calls/{call.call_sid}/{what}", json=body) as response,
    ):
        assert response.status == 202, await response.text()


async def passed_on(made: World, party: Party, **more: Any) -> SimulatedCall:
    """A call that is being passed on."""
    call = SimulatedCall(Line(made.url, TOKEN, parties={DESK: party}, report_status=True))
    await call.place()
    await made.speech.listener(0)
    await ask(made, call, "transfer", to=DESK, **more)
    await until(lambda: call.children)
    return call


async def finished(made: World) -> list[j.Entry]:
    (journal,) = made.journals()
    await until((journal.parent / "timeline.svg").exists, within_s=20)
    _, entries = await asyncio.to_thread(read_journal, journal)
    return entries


def tried(entries: list[j.Entry]) -> list[tuple[str, str]]:
    return [(entry.to, entry.status) for entry in entries if isinstance(entry, j.TransferTried)]


@pytest.mark.parametrize("who", ["caller", "other"])
async def test_two_who_talk_talk_on_and_how_it_ended_is_kept(tmp_path: Path, who: str) -> None:
    async with world(tmp_path) as made:
        made.environment["BRIDGE_SERVER__RESUME_SECONDS"] = "1"
        async with made.serving() as process:
            call = await passed_on(made, Party(), timeout_s=5)
            await until(lambda: made.journals()[0].read_bytes().count(b'"standing"'))
            assert await call.children[0].connected()
            await kill(made, process, None)
        async with made.serving():
            await asyncio.sleep(7.5)  # As long as somebody else's phone may ring, and more.
            assert call.live
            await (call if who == "caller" else call.children[0]).hang_up()
            entries = await finished(made)
            await until(lambda: not call.live)
    # Of a caller who hangs up, not every carrier tells how the dialling went.
    assert tried(entries) == ([] if who == "caller" else [(DESK, "completed")])
    (closed,) = [entry for entry in entries if isinstance(entry, j.CallClosed)]
    assert closed.transfer_to == DESK
    assert [entry.reason for entry in entries if isinstance(entry, j.CallClosed)] == ["transfer"]
    assert [one.kind for one in made.agent.asked].count("call.ended") == 1


async def test_who_was_not_reached_comes_back_to_an_agent_that_knows(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        async with made.serving() as process:
            call = await passed_on(made, Party("busy", after_s=3.0))
            await until(lambda: made.journals()[0].read_bytes().count(b'"standing"'))
            await kill(made, process, None)
        async with made.serving():
            await until(lambda: len(call.phones) == 2, within_s=15)
            assert await call.wait_for_agent(10, silence_s=0.5)
            await call.hang_up()
            entries = await finished(made)
    assert tried(entries) == [(DESK, "busy")]
    assert [one.kind for one in made.agent.asked].count("transfer.ended") == 1
