"""A call that goes on, read while it does; and what can still be told while the database is away."""

from __future__ import annotations

import json
from pathlib import Path

from bridge.audio.wav import parse
from bridge.simulator.party import Party
from tests.api.kept_world import Kept
from tests.outbound.world import World, true, world

AWAY = "postgresql://nobody@127.0.0.1:1/calls"


async def live_call(it: World) -> str:
    """Order a call, and wait until somebody has heard the echo agent."""
    it.party(Party())
    call_id = await it.order(greeting="Hello, who is there?")
    leg = await it.leg()
    assert await leg.connected()
    await true(lambda: any(it.folder.glob(f"*/*{call_id}/recording.wav")))
    return call_id


async def test_a_live_call_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        ask = Kept(it)
        call_id = await live_call(it)
        call = await ask.json(f"/calls/{call_id}")
        assert (call["status"], call["state"], call["duration_ms"]) == ("in-progress", "live", None)
        assert call["to"] == "+15550100001"
        assert call["actions"][0]["kind"] == "call_opened"
        assert (await ask.json(f"/calls/{call['sid']}"))["id"] == call_id
        status, body, response = await ask.ask(f"/calls/{call_id}/recording")
        assert (status, response.content_type) == (200, "audio/wav")
        assert parse(body, name="it").channels == 2
        _, journal, _ = await ask.ask(f"/calls/{call_id}/journal")
        assert json.loads(journal.splitlines()[0])["header"]["id"] == call_id
        for what in ("transcript", "peaks", "timeline.svg", "bundle"):
            assert (await ask.ask(f"/calls/{call_id}/{what}"))[0] == 200, what
        for what in ("transcript?format=text", "timeline.svg"):
            _, body, _ = await ask.ask(f"/calls/{call_id}/{what}")
            assert b"not yet, it goes on" in body and b"breaks off" not in body, what
        status, body, _ = await ask.ask(f"/calls/{call_id}", "DELETE", {"erase": "true"})
        assert (status, json.loads(body)["code"]) == (409, "call_live")
        async with it.http.delete(f"{it.up.url}/api/v1/calls/{call_id}") as ended:
            assert ended.status == 200
        await it.over(call_id)
        over = await ask.json(f"/calls/{call_id}")
        assert (over["status"], over["state"]) == ("completed", "ended"), "at once, however far the database is"
        assert over["reason"]
        assert over["duration_ms"] > 0


async def test_without_the_database_live_calls_are_told_all_the_same(tmp_path: Path) -> None:
    async with world(tmp_path, BRIDGE_STORE__URL=AWAY) as it:
        ask = Kept(it)
        call_id = await live_call(it)
        assert (await ask.json(f"/calls/{call_id}"))["state"] == "live"
        for what in ("journal", "transcript", "recording", "timeline.svg"):
            assert (await ask.ask(f"/calls/{call_id}/{what}"))[0] == 200, what
        assert "recording_read" in (tmp_path / "audit.jsonl").read_text(), "who has heard it is kept meanwhile"
        for path in ("/calls", "/search?q=x", "/calls/unknown", "/calls/unknown/recording", "/audit"):
            status, body, response = await ask.ask(path)
            assert (status, response.content_type) == (503, "application/problem+json"), path
            assert json.loads(body)["code"] == "store_unreachable"
            assert response.headers["Retry-After"] == "5"
            assert "127.0.0.1" not in body.decode()
        status, _, _ = await ask.ask(f"/calls/{'a' * 32}", "DELETE", {"erase": "true"})
        assert status == 503
        system = await ask.json("/system")
        assert (system["store"]["ok"], system["bridge"]["ok"]) == (False, True)
