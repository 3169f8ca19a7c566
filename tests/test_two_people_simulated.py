"""Calls between two people as the simulated carrier places them: it dials, mixes conferences and answers REST."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.app import Bridge, running
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line, Party, SimulatedCall
from bridge.simulator.exchange import Exchange
from tests.scripted_speech import ScriptedSpeech
from tests.waiting import until

TOKEN = "0123456789abcdef0123456789abcdef"
DESK, MEETING, ANN = "+15550100002", "+15550100003", "+15550100009"
CALLER, CALLEE = b"\x11" * 2400, b"\x22" * 2400


@pytest.fixture
async def speech() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


@pytest.fixture
async def up(speech: ScriptedSpeech, tmp_path: Path) -> AsyncIterator[Bridge]:
    settings = load_settings(
        environment={
            "BRIDGE_SERVER__PORT": "0",
            "BRIDGE_SPEECH__BASE_URL": speech.url,
            "BRIDGE_SPEECH__API_KEY": "sk_test",
            "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
            "BRIDGE_STORE__RECORDINGS": str(tmp_path),
            "BRIDGE_AGENT__KIND": "none",
        },
        files=(),
        overrides={
            "numbers": (  # type: ignore[dict-item]
                {"number": DESK, "mode": "log", "forward_to": ANN},
                {"number": MEETING, "mode": "log", "forward_to": "conference:stand-up"},
            )
        },
    )
    async with running(settings) as bridge:
        yield bridge


async def kept(up: Bridge, call: SimulatedCall, folder: Path) -> dict[str, Any]:
    if (session := up.registry.logs.live.get(call.call_sid)) is not None:
        async with asyncio.timeout(15):
            await session.ended.wait()
    (found,) = [path for path in folder.rglob("transcript.json") if call.call_sid in path.read_text()]
    return json.loads(found.read_text())  # type: ignore[no-any-return]  # It is an object.


async def test_two_people_talk_and_the_one_who_was_called_hangs_up(
    up: Bridge, speech: ScriptedSpeech, tmp_path: Path
) -> None:
    said = asyncio.Event()

    async def ann(leg: SimulatedCall) -> None:
        assert await leg.connected()
        await leg.say(CALLEE)
        await said.wait()
        await leg.hang_up()

    async with SimulatedCall(Line(up.url, TOKEN, called=DESK, parties={ANN: Party(does=ann)})) as call:
        assert await call.connected()
        await call.say(CALLER)
        for number in (0, 1):
            peer = await speech.listener(number)
            while not (heard := set(await peer.has_audio(len(peer.audio) + 800))) & {0x11, 0x22}:
                pass
            await peer.say_turn("Hi, Ann." if 0x11 in heard else "Blue Door.")
        said.set()
        await call.ended()
        assert call.problems == []
    transcript = await kept(up, call, tmp_path)
    assert sorted((line["name"], line["text"]) for line in transcript["lines"]) == [
        ("+15550100001", "Hi, Ann."),
        (ANN, "Blue Door."),
    ]
    assert transcript["ended"]["reason"] == "callee"
    entries = (next(tmp_path.rglob("journal.jsonl"))).read_text()
    assert '"transfer_tried"' in entries


@pytest.mark.parametrize("answer", ["busy", "no-answer", "failed"])
async def test_a_caller_whom_nobody_answers_is_told_so(up: Bridge, answer: Any, tmp_path: Path) -> None:
    said = []

    def watch(event: Any) -> None:
        if event.kind == "carrier_says":
            said.append(event.detail)

    line = Line(up.url, TOKEN, called=DESK, parties={ANN: Party(answer)})
    async with SimulatedCall(line, on_event=watch) as call:
        await call.ended()
        assert call.problems == []
    assert any("I could not reach them" in text for text in said)
    transcript = await kept(up, call, tmp_path)
    assert (transcript["lines"], transcript["ended"]["reason"]) == ([], "not_reached")


async def test_everybody_in_a_conference_has_a_record(up: Bridge, speech: ScriptedSpeech, tmp_path: Path) -> None:
    exchange = Exchange()
    line = Line(up.url, TOKEN, called=MEETING)
    async with (
        SimulatedCall(line, exchange=exchange) as one,
        SimulatedCall(line, exchange=exchange) as two,
    ):
        await asyncio.gather(one.connected(), two.connected())
        await one.say(CALLER)
        sessions = [await speech.listener(number) for number in range(4)]
        await until(lambda: sum(0x11 in peer.audio for peer in sessions) == 2)
        for peer in sessions:
            if 0x11 in peer.audio:
                await peer.say_turn("Good morning.")
        await one.hang_up()
        await two.hang_up()
        assert one.problems == two.problems == []
    spoken = [
        (line["speaker"], line["name"], line["text"])
        for call in (one, two)
        for line in (await kept(up, call, tmp_path))["lines"]
    ]
    assert spoken == [
        ("caller", "+15550100001", "Good morning."),
        ("callee", "conference:stand-up", "Good morning."),
    ]
