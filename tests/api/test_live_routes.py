"""Live calls by the API: events as they happen, and how the calls stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bridge.simulator.caller import SimulatedCall
from tests.api.live_world import LiveWorld, live_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LiveWorld]:
    async with live_world(tmp_path) as world:
        yield world


async def test_words_appear_as_they_are_said_and_heard(world: LiveWorld) -> None:
    follower = await world.follow()
    async with SimulatedCall(world.line()) as call:
        peer = await world.speech.listener()
        started = await follower.until("call.started")
        assert (started["sid"], started["from"], started["agent"]) == (call.call_sid, "+15550100001", "echo")
        await peer.turn("start")
        await peer.turn("update", "Say this")
        assert (await follower.until("turn.words"))["text"] == "Say this"
        await peer.turn("end", "Say this back to me")
        await follower.until("state", state="talking")
        speaking = await follower.until("agent.speaking", heard="Say this")
        assert speaking["text"] == "Say this back to me"
        assert speaking["answer_ms"] >= 0
        spoke = await follower.until("agent.spoke")
        assert (spoke["heard"], spoke["unheard"]) == ("Say this back to me", "")
        assert 0 <= spoke["latencies"]["sent_ms"] < spoke["latencies"]["heard_ms"]
        await follower.until("state", state="listening")
        await call.hang_up()
    ended = await follower.until("call.ended")
    assert ended["reason"] == "caller"
    assert {event["call"] for event in follower.events} == {started["call"]}
    assert [event["id"] for event in follower.events] == sorted(
        {event["id"] for event in follower.events}, key=lambda id_: int(id_.rpartition("-")[2])
    )


async def test_who_lost_the_connection_goes_on_where_it_broke_off(world: LiveWorld) -> None:
    follower = await world.follow()
    async with SimulatedCall(world.line()):
        await (await world.speech.listener()).say_turn("Hello there")
        turn = await follower.until("turn.ended")
        await follower.until("agent.spoke")
        again = await world.follow(after=turn["id"])
        await again.until("agent.spoke")
        assert again.events == follower.events[follower.events.index(turn) + 1 :][: len(again.events)]
        by_query = await world.follow(call=turn["call"], types="turn.ended,agent.spoke", after=turn["id"])
        await by_query.until("agent.spoke")
        assert by_query.kinds == ["agent.spoke"]
        lost = await world.follow(after="0-1")
        await lost.until("gap")
        assert lost.last_id
        await world.live()


async def test_a_stream_tells_at_once_where_to_go_on(world: LiveWorld) -> None:
    follower = await world.follow()
    await follower.heard.wait()
    assert follower.last_id
    assert follower.comments == ["listening"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("types=nonsense", "there is no type 'nonsense'"),
        ("colour=1", "no such field"),
        ("after=" + "x" * 101, "after"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(world: LiveWorld, query: str, said: str) -> None:
    async with world.http.get(f"{world.up.url}/api/v1/events?{query}") as response:
        assert response.status == 422
        assert said in await response.text()


async def test_live_calls_stand_as_they_do(world: LiveWorld) -> None:
    assert await world.live(0) == []
    async with SimulatedCall(world.line()) as call:
        peer = await world.speech.listener()
        follower = await world.follow()
        await peer.say_turn("Hello there")
        assert await call.wait_for_agent(10, silence_s=0.3)
        await peer.turn("start")
        await peer.turn("update", "And now")
        await follower.until("turn.words", text="And now")
        (shown,) = await world.live()
        assert (shown["sid"], shown["mode"], shown["state"]) == (call.call_sid, "agent", "listening")
        assert shown["words"] == {"caller": "And now"}
        assert [(line["speaker"], line.get("text", line.get("heard"))) for line in shown["talk"]] == [
            ("caller", "Hello there"),
            ("agent", "Hello there"),
        ]
        await call.hang_up()
    assert await world.live(0) == []


async def test_the_stream_ends_when_the_bridge_stops_and_every_call_was_told_to_be_over(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        async with live_world(tmp_path) as world:
            follower = await world.follow(http=http)
            async with SimulatedCall(world.line()):
                await follower.until("call.started")
                await world.up.registry.close(within_s=5)
        async with asyncio.timeout(5):
            await follower.ended.wait()
        assert follower.events[-1]["type"] == "call.ended"
        assert follower.comments[-1] == "the bridge stops"


async def test_only_who_may_read_is_told(tmp_path: Path) -> None:
    async with live_world(tmp_path, BRIDGE_API__TOKEN="a token that is long enough") as world:
        for path in ("live", "events"):
            async with world.http.get(f"{world.up.url}/api/v1/{path}") as response:
                assert response.status == 401


async def test_no_more_follow_than_the_bridge_can_bear(world: LiveWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.live.feed.MOST_LISTENERS", 1)
    first, second = await world.follow(), await world.follow()
    assert (first.status, second.status) == (200, 429)


async def test_the_place_to_go_on_after_cannot_write_events_of_its_own(world: LiveWorld) -> None:
    url = f"{world.up.url}/api/v1/events"
    async with world.http.get(url, params={"after": "1-1\n\ndata: {}"}) as response:
        assert response.status == 422
