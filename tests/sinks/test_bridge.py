"""Sinks of a whole bridge: calls go on whatever they do, and nothing is lost by outages and restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.assembly.sinks import make_sinks
from bridge.errors import SettingsError
from bridge.settings.source import load_settings
from bridge.simulator.caller import SimulatedCall
from tests.api.live_world import live_world
from tests.sinks.test_webhook import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CARD = "4111 1111 1111 1111"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.server.start_server()
    yield receiver
    await receiver.server.close()


async def received(receiver: Receiver, count: int) -> list[str]:
    async with asyncio.timeout(10):
        while len(receiver.ids) < count:  # noqa: ASYNC110  Nobody is told.
            await asyncio.sleep(0.02)
    return receiver.ids


async def test_a_call_is_sent_redacted_and_in_order_to_a_webhook_and_a_file(
    receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "calls.jsonl"
    environment = {
        "BRIDGE_SINKS__WEBHOOK_URL": receiver.url,
        "BRIDGE_SINKS__WEBHOOK_SECRET": SECRET,
        "BRIDGE_SINKS__FILE": str(file),
    }
    async with live_world(tmp_path / "calls", **environment) as world, SimulatedCall(world.line()) as call:
        await (await world.speech.listener()).say_turn(f"My card is {CARD}")
        assert await call.wait_for_agent(10, silence_s=0.3)
        await call.hang_up()
        journal = await world.journal(call.call_sid)
        ids = await received(receiver, 4)
        async with asyncio.timeout(10):
            while len(file.read_text().splitlines()) < 4:  # noqa: ASYNC110  Nobody is told.
                await asyncio.sleep(0.02)
    documents = [json.loads(body) for _, body in receiver.requests]
    assert documents == [json.loads(line) for line in file.read_text().splitlines()]
    assert ids == [document["id"] for document in documents]
    assert [document["type"] for document in documents] == ["call.started", "turn", "turn", "call.ended"]
    assert [document["entry"] for document in documents] == journal
    assert {document["call"]["sid"] for document in documents} == {call.call_sid}
    assert "1111" not in file.read_text()
    assert "[card number]" in documents[1]["entry"]["transcript"]


async def test_an_outage_and_a_restart_lose_nothing(receiver: Receiver, tmp_path: Path) -> None:
    environment = {"BRIDGE_SINKS__WEBHOOK_URL": receiver.url, "BRIDGE_SINKS__EVENTS": "turn,call.ended"}
    receiver.status = lambda _: 503
    sids = []
    for _ in range(2):
        async with live_world(tmp_path, **environment) as world, SimulatedCall(world.line()) as call:
            began = asyncio.get_running_loop().time()
            await (await world.speech.listener()).say_turn("Hello there")
            assert await call.wait_for_agent(10, silence_s=0.3)
            assert asyncio.get_running_loop().time() - began < 5
            await call.hang_up()
            await world.journal(call.call_sid)
            sids.append(call.call_sid)
    assert {id_.partition("-")[2] for id_ in receiver.ids} == {"1"}, "each call waits for its first"
    receiver.status = lambda _: 200
    receiver.requests.clear()
    async with live_world(tmp_path, **environment):
        await received(receiver, 6)
    documents = [json.loads(body) for _, body in receiver.requests]
    for sid in sids:
        own = [document for document in documents if document["call"]["sid"] == sid]
        assert [document["type"] for document in own] == ["turn", "turn", "call.ended"]
        assert [document["id"].partition("-")[2] for document in own] == ["1", "2", "3"]
    assert len(documents) == 6


def test_a_subject_without_a_server_is_told_at_once() -> None:
    settings = load_settings(environment={"BRIDGE_SINKS__NATS_SUBJECT": "calls"}, files=())
    with pytest.raises(SettingsError, match="there is no NATS server"):
        make_sinks(settings)
