"""Calls that go from one bridge to another: theirs dies, or the carrier brings them there.

`tests.nodes` does more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.party import Party
from tests.bus.world import Nodes, eventually, nodes
from tests.postgres import PostgresServer, start_postgres
from tests.scripted_speech import sound_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = start_postgres()
    yield server
    server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> AsyncIterator[Nodes]:
    async with nodes(tmp_path_factory.mktemp("moving"), store=postgres.new_database()) as all_:
        yield all_


async def said_by(up: Nodes, at: int, call: SimulatedCall, text: str) -> None:
    """Let the agent say something, by the API of one bridge, and wait until the caller has heard it."""
    after = call.now

    async def asked() -> bool:
        status, answer = await up.ask(at, "POST", f"/api/v1/calls/{call.call_sid}/say", {"text": text})
        assert status in {202, 503}, answer  # 503: it is on its way from one to the other.
        return status == 202

    await eventually(asked)
    assert await call.wait_for_agent(10, silence_s=0.2, after=after)


async def moved(up: Nodes, call: SimulatedCall, to: int) -> None:
    """Wait until a call is at another bridge, by what that shows."""

    async def is_there() -> bool:
        return bool("node" not in (await up.seen(to)).get(call.call_sid, {"node": "none"}))

    await eventually(is_there)


async def heard(up: Nodes, at: int, call_id: str) -> list[str]:
    """What the caller has heard of the agent, as the record of an ended call has it."""
    found: dict[str, Any] = {}

    async def over() -> bool:
        _, document = await up.ask(at, "GET", f"/api/v1/calls/{call_id}")
        found.update(document)
        return found.get("state") == "ended"

    await eventually(over)
    status, text = await up.ask(at, "GET", f"/api/v1/calls/{call_id}/transcript?format=text")
    assert status == 200, text
    return re.findall(r"This is \w+", text)


async def test_a_stream_that_comes_to_another_bridge_takes_its_call_with_it(up: Nodes) -> None:
    async with up.call(at=0) as call:
        await said_by(up, 1, call, "This is one.")
        call_id = (await up.seen(0))[call.call_sid]["id"]
        up.balancer.route = lambda _: 1
        call.drop_stream()
        await moved(up, call, to=1)
        await said_by(up, 0, call, "This is two.")
    assert call.problems == []
    assert await heard(up, 0, call_id) == ["This is one", "This is two"]
    assert await changes(up, call_id) == [("call_given_away", None), ("call_taken_over", True)]
    assert 'calls_taken_over_total{why="given"} 1.0' in (await up.ask(1, "GET", "/metrics"))[1]


async def changes(up: Nodes, call_id: str) -> list[tuple[str, bool | None]]:
    """How a call went from one process to another, and whether it was given away."""
    _, document = await up.ask(0, "GET", f"/api/v1/calls/{call_id}")
    kinds = {"call_given_away", "call_taken_over"}
    return [(one["kind"], one["data"].get("given")) for one in document["actions"] if one["kind"] in kinds]


async def test_one_that_stops_lets_both_sides_finish_before_their_call_moves(up: Nodes) -> None:
    earlier = len(up.speech.stt)
    async with up.call(at=1) as call:
        await eventually(lambda: _any(one.audio for one in up.speech.stt[earlier:]))
        (peer,) = [one for one in up.speech.stt[earlier:] if one.audio]
        await peer.turn("start")
        up.balancer.resting = lambda at: at == 1
        up.bridges[1].process.terminate()
        await eventually(lambda: _any("calls_draining" in up.bridges[1].log() for _ in (1,)))
        await asyncio.sleep(0.5)  # The caller speaks on.
        await peer.turn("update", "Wait for me")
        await peer.turn("end", "Wait for me")
        assert await up.bridges[1].process.wait() == 0
        assert len(call.phones) == 2
        before = b"".join(one.audio for one in call.phones[0].heard(call.now))
        assert before.endswith(b"".join(map(sound_of, range(3))))  # The echo of what they said, whole.
        await moved(up, call, to=0)
        call_id = (await up.seen(0))[call.call_sid]["id"]
    assert call.problems == []
    up.balancer.resting = lambda _: False
    await up.start_again(1)
    await heard(up, 0, call_id)  # It has ended.
    _, document = await up.ask(0, "GET", f"/api/v1/calls/{call_id}")
    assert [held["node"] for held in document["held_by"]] == ["node-1"]
    assert document["leftovers"] == []  # All of it went along,
    parts = []
    for part in ("", "?node=node-1", "?node=node-0"):  # but the sound stays where it was recorded.
        async with up.http.get(f"{up.bridges[0].url}/api/v1/calls/{call_id}/recording{part}") as answer:
            assert answer.status == 200, await answer.text()
            parts.append(await answer.read())
    assert parts[0] == parts[2] != parts[1]
    assert parts[1].startswith(b"RIFF")
    status, answer = await up.ask(0, "GET", f"/api/v1/calls/{call_id}/recording?node=node-9")
    assert (status, answer["code"]) == (503, "node_away")


async def _any(found: Iterable[object]) -> bool:
    return any(found)


async def test_the_calls_of_one_that_dies_go_on_at_another(up: Nodes, tmp_path: Path) -> None:
    if up.bridges[1].process.returncode is not None:  # Where this is tried again.
        await up.start_again(1)
    async with up.call(at=1) as call:
        await said_by(up, 0, call, "This is one.")
        call_id = (await up.seen(1))[call.call_sid]["id"]
        await asyncio.sleep(0.3)
        # A port outlives the streams of its process by a moment: what comes to it then is lost, by whatever bridge.
        up.balancer.route = lambda _: 0
        died = call.now
        await up.bridges[1].kill()
        up.balancer.route = lambda _: None
        assert await call.wait_for_agent(10, silence_s=0.2, after=died)  # It says that it is back.
        await said_by(up, 0, call, "This is two.")
    assert call.problems == []
    assert await heard(up, 0, call_id) == ["This is one", "This is two"]
    assert await changes(up, call_id) == [("call_taken_over", False)]


@pytest.mark.parametrize("summary", ["", "They ask for a bike."], ids=["dialled", "in a conference"])
@pytest.mark.parametrize("again", [False, True], ids=["it stays away", "it is started again"])
async def test_two_who_talk_when_their_bridge_dies_talk_on_and_how_it_ended_is_kept_once(
    up: Nodes, summary: str, *, again: bool
) -> None:
    if up.bridges[1].process.returncode is not None:
        await up.start_again(1)
    desk = "+15550100009"
    party = Party(keys="1" if summary else "")
    placed = len(up.rest.placed)
    async with up.call(at=1, parties={desk: party}, report_status=True) as call:
        call_id = (await up.seen(1))[call.call_sid]["id"]
        body = {"to": desk, **({"summary": summary} if summary else {})}
        status, answer = await up.ask(1, "POST", f"/api/v1/calls/{call.call_sid}/transfer", body)
        assert status == 202, answer
        await eventually(lambda: _any(up.rest.placed[placed:] if summary else call.children))
        other = up.rest.placed[-1] if summary else call.children[0]
        assert await other.connected()
        assert await call.connected()
        await asyncio.sleep(1.5)  # So long they have talked, and the database knows of it.
        await up.bridges[1].kill()
        if again:
            await up.start_again(1)
        await asyncio.sleep(1.5)
        assert call.live
        assert other.live
        await other.hang_up()
        await eventually(lambda: _any([not call.live]))
    document: dict[str, Any] = {}

    async def over() -> bool:
        document.update((await up.ask(0, "GET", f"/api/v1/calls/{call_id}"))[1])
        return document.get("state") == "ended"

    await eventually(over)
    tried = [one["data"] for one in document["actions"] if one["kind"] == "transfer_tried"]
    assert [(one["to"], one["status"], one["warm"]) for one in tried] == [(desk, "completed", bool(summary))]
    assert tried[0]["duration_s"] >= 3
    assert (document["ended"], document["leftovers"]) == ("transfer", [])
    assert call.problems == []
