"""Acting on live calls by the API: what the caller hears, what the agent learns, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.api.live_world import LiveWorld, live_world
from tests.scripted_speech import sound_of

LONG = " ".join(f"word{number}" for number in range(30))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LiveWorld]:
    async with live_world(tmp_path) as world:
        yield world


def spoken(journal: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    return [(e["occasion"], e["heard"], e["interrupted"]) for e in journal if e["entry"] == "agent_spoke"]


async def test_a_sentence_is_heard_and_kept(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        (shown,) = await world.live()
        status, answer = await world.act(shown["id"], "say", {"text": "One moment please"})
        assert status == 202
        assert (answer["call"], answer["action"]) == (shown["id"], "say")
        assert await call.wait_for_agent(10, silence_s=0.3)
        assert b"".join(stretch.audio for stretch in call.heard) == b"".join(sound_of(n) for n in range(3))
        await call.hang_up()
        assert spoken(await world.journal(call.call_sid)) == [("operator", "One moment please", False)]


async def test_it_cuts_the_agent_off_and_the_caller_may_cut_it_off(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        peer = await world.speech.listener()
        await peer.say_turn(LONG)
        began = await call.wait_agent_speaking(10)
        assert began is not None
        await call.pause(began + 1.0 - call.now)
        status, answer = await world.act(call.call_sid, "say", {"text": LONG})
        assert status == 202
        assert "in the place of the agent's answer" in answer["will"]
        await call.pause(1.5)
        assert len(call.clears) == 1
        await peer.say_turn("Stop it")
        assert await call.wait_for_agent(10, silence_s=0.3)
        await call.hang_up()
        (cut, said, answered) = spoken(await world.journal(call.call_sid))
    assert (cut[0], cut[2]) == ("turn.ended", False)
    assert (said[0], said[2]) == ("operator", True)
    assert 0 < len(cut[1]) < len(LONG)
    assert 0 < len(said[1]) < len(LONG)
    assert answered == ("turn.ended", "Stop it", False)


async def test_a_good_bye_is_heard_before_the_call_is_ended(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        (shown,) = await world.live()
        status, _ = await world.act(shown["id"], "hang-up", {"say": "Good bye"})
        assert status == 202
        async with asyncio.timeout(10):
            assert await call.ended() == "bridge_hung_up"
        assert b"".join(stretch.audio for stretch in call.heard) == b"".join(sound_of(n) for n in range(2))
        journal = await world.journal(call.call_sid)
    assert journal[-1]["reason"] == "operator"
    assert (await world.act(shown["id"], "hang-up"))[0] == 404


async def test_a_call_is_hung_up_without_a_word(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        await (await world.speech.listener()).say_turn(LONG)
        await call.wait_agent_speaking(10)
        assert (await world.act(call.call_sid, "hang-up"))[0] == 202
        async with asyncio.timeout(5):
            assert await call.ended() == "bridge_hung_up"


async def test_a_transfer(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        await world.live()
        status, answer = await world.act(call.call_sid, "transfer", {"to": "+15550100300", "say": "One moment"})
        assert (status, answer["will"]) == (
            202,
            "The caller is connected with +15550100300 after what is said to them.",
        )
        async with asyncio.timeout(10):
            await call.ended()
        assert "+15550100300" in call.twiml[1].text


async def test_keys_are_sent_as_tones(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        await world.live()
        assert (await world.act(call.call_sid, "digits", {"digits": "1w#"}))[0] == 202
        assert await call.wait_for_agent(10, silence_s=0.3)
        await call.hang_up()


async def test_a_note_disturbs_nothing(world: LiveWorld) -> None:
    async with SimulatedCall(world.line()) as call:
        await (await world.speech.listener()).say_turn("Say this back to me")
        await call.wait_agent_speaking(10)
        data = {"ticket": 7, "who": "Zoë", "list": [1, {"a": None}]}
        assert (await world.act(call.call_sid, "note", {"data": data}))[0] == 202
        assert await call.wait_for_agent(10, silence_s=0.3)
        assert not call.clears
        await call.hang_up()
        journal = await world.journal(call.call_sid)
    assert [entry["data"] for entry in journal if entry["entry"] == "note_taken"] == [data]
    assert spoken(journal) == [("turn.ended", "Say this back to me", False)]


async def test_the_recording_is_paused_and_goes_on(world: LiveWorld) -> None:
    follower = await world.follow()
    async with SimulatedCall(world.line()) as call:
        (shown,) = await world.live()
        assert shown["recording"] == "on"
        assert (await world.act(call.call_sid, "recording", {"state": "paused"}))[0] == 202
        await follower.until("recording", state="paused")
        assert (await world.live())[0]["recording"] == "paused"
        assert (await world.act(call.call_sid, "recording", {"state": "on"}))[0] == 202
        await follower.until("recording", state="on")
        await call.hang_up()
        kinds = [entry["entry"] for entry in await world.journal(call.call_sid)]
    assert [kind for kind in kinds if kind.startswith("recording")] == ["recording_paused", "recording_resumed"]


async def test_a_call_that_is_not_recorded_says_so(tmp_path: Path) -> None:
    async with live_world(tmp_path, BRIDGE_STORE__RECORD_AUDIO="false") as world, SimulatedCall(world.line()):
        (shown,) = await world.live()
        assert shown["recording"] == "off"
        status, answer = await world.act(shown["id"], "recording", {"state": "on"})
        assert (status, answer["code"]) == (409, "recording_off")


async def test_a_call_that_is_only_transcribed_can_be_spoken_in(tmp_path: Path) -> None:
    async with live_world(tmp_path, BRIDGE_AGENT__KIND="none") as world, SimulatedCall(world.line()) as call:
        (shown,) = await world.live()
        assert shown["mode"] == "transcribe"
        assert (await world.act(shown["id"], "say", {"text": "Is anybody there"}))[0] == 202
        assert await call.wait_for_agent(10, silence_s=0.3)
        await (await world.speech.listener()).say_turn("Yes")
        assert (await world.act(shown["id"], "hang-up", {"say": "Good bye"}))[0] == 202
        async with asyncio.timeout(10):
            assert await call.ended() == "bridge_hung_up"
        journal = await world.journal(call.call_sid)
    assert [line[:2] for line in spoken(journal)] == [("operator", "Is anybody there"), ("operator", "Good bye")]


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("say", {}, "text: Field required"),
        ("say", {"text": "..."}, "text: there is nothing in it that could be spoken"),
        ("say", {"text": "x" * 4001}, "text: String should have at most 4000"),
        ("say", {"text": "Hi", "loud": True}, "loud: there is no such field"),
        ("say", {"text": "Hi", "interruptible": "no"}, "interruptible: Input should be a valid boolean"),
        ("digits", {"digits": ""}, "digits: String should match pattern"),
        ("digits", {"digits": "12\n"}, "digits: String should match pattern"),
        ("digits", {"digits": "१२"}, "digits: String should match pattern"),
        ("transfer", {"to": "555"}, "to: wanted a number like +15551234567"),
        ("transfer", {"to": "+15550100300", "timeout_s": 1}, "timeout_s: Input should be greater than"),
        ("hang-up", {"say": " "}, "say: there is nothing in it"),
        ("recording", {"state": "off"}, "state: Input should be 'paused' or 'on'"),
        ("note", {"data": {}}, "data: Dictionary should have at least 1 item"),
        ("note", {"data": [1]}, "data: Input should be a valid dictionary"),
        ("note", {"data": {"half": "\ud800"}}, "data: it holds what JSON cannot"),
        (
            "note",
            {"data": {"deep": json.loads("[" * 300 + "]" * 300)}},
            "data: `data` is nested",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(world: LiveWorld, name: str, body: Any, said: str) -> None:
    async with SimulatedCall(world.line()) as call:
        await world.live()
        status, answer = await world.act(call.call_sid, name, body)
        assert (status, answer["code"]) == (422, "invalid")
        assert answer["detail"].startswith(said)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
async def test_what_is_no_number_of_json_is_no_note(world: LiveWorld, number: str) -> None:
    async with SimulatedCall(world.line()) as call:
        await world.live()
        url = f"{world.up.url}/api/v1/calls/{call.call_sid}/note"
        body, headers = f'{{"data": {{"a": {number}}}}}', {"Content-Type": "application/json"}
        async with world.http.post(url, data=body, headers=headers) as response:
            assert response.status in {400, 422}


@pytest.mark.parametrize("name", ["say", "digits", "transfer", "hang-up", "note", "recording"])
async def test_a_call_that_is_none_is_told_to_be_none(world: LiveWorld, name: str) -> None:
    status, answer = await world.act("nothing", name, {})
    assert (status, answer["code"]) == (404, "call_unknown")


async def test_reading_does_not_mean_acting(tmp_path: Path) -> None:
    tokens = json.dumps([{"name": "eye", "token": "a token to read with", "scope": "read"}])
    async with live_world(tmp_path, BRIDGE_API__TOKENS=tokens) as world:
        url = f"{world.up.url}/api/v1/calls/nothing/say"
        headers = {"Authorization": "Bearer a token to read with"}
        async with world.http.post(url, json={"text": "Hi"}, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (403, "scope_missing")
