"""The simulated carrier carries out what the bridge really asks of it: transfers of both kinds, and calls."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.agents.base import Question
from bridge.app import Bridge
from bridge.conversation.actions import Action, Say, Transfer
from bridge.simulator.caller import Line, Party, SimulatedCall
from bridge.simulator.rest import FakeTwilioRest
from tests.scripted_speech import ScriptedSpeech
from tests.simulator.scripted_bridge import loud
from tests.test_calls import PYTHON, TOKEN, bridge

ACCOUNT = "AC" + "1" * 32
DESK = "+15550100300"


@pytest.fixture
async def speech() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """An agent that transfers whoever says something, and says a word about a transfer that failed."""
    questions: list[Question] = []
    module = types.ModuleType("transferring_agent")

    async def answer(question: Question) -> AsyncIterator[Action]:
        questions.append(question)
        if question.occasion == "turn.ended":
            yield Transfer(DESK, summary="Somebody asks for you." if question.transcript == "warm" else "")
        elif question.occasion == "transfer.ended":
            yield Say("Nobody is there.")

    module.answer = answer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transferring_agent", module)
    return questions


async def transferred(speech: ScriptedSpeech, folder: Path, words: str, party: Party, then: Any) -> SimulatedCall:
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest:
        account = {"BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT, "BRIDGE_TWILIO__API_URL": rest.url}
        python = {**PYTHON, "BRIDGE_AGENT__URL": "transferring_agent:answer"}
        async with bridge(folder, speech.url, **python, **account) as up:
            rest.line = Line(up.url, TOKEN, account_sid=ACCOUNT, parties={DESK: party})
            async with asyncio.timeout(20), SimulatedCall(rest.line, exchange=rest.exchange) as call:
                await (await speech.listener()).say_turn(words)
                await then(call, rest)
    assert call.problems == []
    return call


async def until(call: SimulatedCall, true: Any) -> None:
    while not true():
        assert call.live
        await call.pause(0.01)


async def test_a_busy_desk_brings_the_caller_back(
    speech: ScriptedSpeech, tmp_path: Path, asked: list[Question]
) -> None:
    async def then(call: SimulatedCall, _: FakeTwilioRest) -> None:
        await until(call, lambda: bool(call.transfers))
        await until(call, lambda: any(question.occasion == "transfer.ended" for question in asked))
        assert await call.wait_agent_speaking(10) is not None

    call = await transferred(speech, tmp_path, "cold", Party("busy"), then)
    assert [(one.to, one.status) for one in call.transfers] == [(DESK, "busy")]
    assert len(call.phones) == 2, "two streams of one call"


async def test_a_desk_that_answers_talks_to_the_caller(
    speech: ScriptedSpeech, tmp_path: Path, asked: list[Question]
) -> None:
    async def then(call: SimulatedCall, _: FakeTwilioRest) -> None:
        assert await call.ended() == "transferred"

    call = await transferred(speech, tmp_path, "cold", Party(talk=loud(200, 0x15), hang_up_after_s=0.1), then)
    assert loud(200, 0x15) in b"".join(stretch.audio for stretch in call.heard)


async def test_a_desk_that_is_asked_first(speech: ScriptedSpeech, tmp_path: Path, asked: list[Question]) -> None:
    async def then(call: SimulatedCall, rest: FakeTwilioRest) -> None:
        await until(call, lambda: bool(rest.placed))
        (leg,) = rest.placed
        await until(call, lambda: bool(call.transfers))
        assert await call.ended() in {"transferred", "bridge_hung_up"}
        assert await leg.ended() in {"transferred", "caller_hung_up"}
        assert [member.call_sid for room in rest.exchange.conferences for member in room.members] == []
        (room,) = rest.exchange.conferences
        assert call.call_sid in room.name

    party = Party(keys="1", talk=loud(200, 0x15), hang_up_after_s=0.5)
    call = await transferred(speech, tmp_path, "warm", party, then)
    assert call.transfers[0].status == "answered"


async def test_a_desk_that_does_not_press_the_key(
    speech: ScriptedSpeech, tmp_path: Path, asked: list[Question]
) -> None:
    async def then(call: SimulatedCall, rest: FakeTwilioRest) -> None:
        await until(call, lambda: any(question.occasion == "transfer.ended" for question in asked))
        assert call.live
        assert rest.placed[0].status == "completed"

    async def declines(leg: SimulatedCall) -> None:
        await leg.asked_for_keys()
        await leg.digits("2")

    call = await transferred(speech, tmp_path, "warm", Party(does=declines), then)
    assert call.transfers == []


async def call_out(up: Bridge, **more: Any) -> dict[str, Any]:
    body = {"to": DESK, "from": "+15550100002", **more}
    async with aiohttp.ClientSession() as session, session.post(f"{up.url}/api/v1/calls", json=body) as response:
        assert response.status == 202, await response.text()
        placed: dict[str, Any] = await response.json()
        return placed


async def what_became(up: Bridge, placed: dict[str, Any], wanted: str) -> dict[str, Any]:
    async with asyncio.timeout(15), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{up.url}/api/v1/calls/{placed['id']}") as response:
                shown: dict[str, Any] = await response.json()
            if shown["status"] == wanted:
                return shown
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def dialling(
    speech: ScriptedSpeech, folder: Path, party: Party | None
) -> AsyncIterator[tuple[Bridge, FakeTwilioRest]]:
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest:
        account = {"BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT, "BRIDGE_TWILIO__API_URL": rest.url}
        async with bridge(folder, speech.url, **account) as up:
            parties = {} if party is None else {DESK: party}
            rest.line = Line(up.url, TOKEN, account_sid=ACCOUNT, parties=parties)
            yield up, rest
            for leg in rest.placed:
                await leg.hang_up()


async def test_the_bridge_calls_somebody(speech: ScriptedSpeech, tmp_path: Path) -> None:
    async with dialling(speech, tmp_path, None) as (up, rest):
        placed = await call_out(up, greeting="Hello.")
        await what_became(up, placed, "in-progress")
        (leg,) = rest.placed
        assert await leg.connected()
        assert await leg.wait_agent_speaking(10) is not None
        await leg.hang_up()
        await what_became(up, placed, "completed")


async def test_the_bridge_calls_somebody_who_is_busy(speech: ScriptedSpeech, tmp_path: Path) -> None:
    async with dialling(speech, tmp_path, Party("busy")) as (up, _):
        await what_became(up, await call_out(up), "busy")


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_the_bridge_leaves_a_machine_a_message(speech: ScriptedSpeech, tmp_path: Path, how: str) -> None:
    machine = Party(answered_by="machine_end_beep", detection_s=0.05)
    async with dialling(speech, tmp_path, machine) as (up, rest):
        placed = await call_out(up, detect_machines=how, voicemail="Please call us back.")
        await until_over(rest)
        shown = await what_became(up, placed, "completed")
    assert shown["answered_by"] == "machine_end_beep"
    assert sum(len(stretch.audio) for stretch in rest.placed[0].heard) > 800


async def until_over(rest: FakeTwilioRest) -> None:
    async with asyncio.timeout(10):
        while not rest.placed:  # noqa: ASYNC110  # of two programs' states there is no common event to wait for
            await asyncio.sleep(0.01)
        await rest.placed[0].ended()
