"""Whole calls that are passed on: the carrier dials, a third phone rings, and the agent learns what came of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.app import Bridge
from bridge.conversation.actions import Action, SendDigits, Transfer
from bridge.conversation.commands import TransferResult
from bridge.simulator.caller import Line, SimulatedCall
from bridge.simulator.party import Party
from bridge.simulator.rest import FakeTwilioRest, Fault
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import PYTHON, TOKEN, Asked, agent, bridge, kept, speech
from tests.waiting import until

__all__ = ["agent", "speech"]

ACCOUNT = "AC" + "1" * 32
DESK = "+15550100009"


def asked_about(agent: Asked, occasion: str) -> list[Any]:
    return [question for question in agent if question.occasion == occasion]


def to_desk(up: Bridge, party: Party, **more: Any) -> Line:
    return Line(up.url, TOKEN, account_sid=ACCOUNT, parties={DESK: party}, **more)


async def asks_for(speech: ScriptedSpeech, agent: Asked, *answer: Action, listener: int = 0) -> None:
    """Let the caller say something to which the agent answers so, heard by the `listener`th speech socket."""
    agent.answers = [[*answer]]
    await (await speech.listener(listener)).say_turn("A human, please.")


@pytest.mark.parametrize("repeat", [False, True], ids=["once", "each callback twice"])
async def test_a_caller_who_was_connected_is_gone_when_the_talk_is_over(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, *, repeat: bool
) -> None:
    async with bridge(tmp_path, speech.url, **PYTHON) as up:
        party = Party(hang_up_after_s=0.3)
        async with SimulatedCall(to_desk(up, party, report_status=True, repeat_requests=repeat)) as call:
            await asks_for(speech, agent, Transfer(DESK, digits="12"))
            await until(lambda: not call.live)
            journal = await kept(up, call, tmp_path)
    (told,) = asked_about(agent, "call.ended")
    assert (told.outcome["transfer"]["to"], told.outcome["transfer"]["status"]) == (DESK, "completed")
    (tried,) = [entry for entry in journal if entry["entry"] == "transfer_tried"]
    assert (tried["to"], tried["status"]) == (DESK, "completed")
    assert journal[-1]["reason"] == "transfer"
    assert asked_about(agent, "transfer.ended") == []
    assert call.problems == []


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
@pytest.mark.parametrize("repeat", [False, True], ids=["once", "each callback twice"])
async def test_who_is_not_reached_is_told_to_the_agent_and_the_talk_goes_on(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, status: Any, *, repeat: bool
) -> None:
    async with (
        bridge(tmp_path, speech.url, **PYTHON) as up,
        SimulatedCall(to_desk(up, Party(status), repeat_requests=repeat)) as call,
    ):
        await asks_for(speech, agent, Transfer(DESK))
        (question,) = await until(lambda: asked_about(agent, "transfer.ended"))
        assert question.transfer == TransferResult(DESK, status)
        assert await call.wait_for_agent(10, silence_s=0.3)  # The agent says nothing, so the bridge does.
        await asks_for(speech, agent, SendDigits("1"), listener=1)
        await until(lambda: len(asked_about(agent, "turn.ended")) == 2)
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    assert [entry["status"] for entry in journal if entry["entry"] == "transfer_tried"] == [status]
    assert "Sorry, I could not reach them." in str(journal)
    assert len(call.phones) == 2
    assert call.problems == []


async def test_keys_that_the_carrier_sends_leave_the_stream_and_come_back(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(to_desk(up, Party())) as call:
        await asks_for(speech, agent, SendDigits("12#", by_carrier=True))
        await until(lambda: len(call.phones) == 2)
        assert 'digits="12#"' in call.twiml[-1].text
        await asks_for(speech, agent, SendDigits("1"), listener=1)
        await until(lambda: len(asked_about(agent, "turn.ended")) == 2)
        await call.hang_up()
        await kept(up, call, tmp_path)
    assert call.problems == []


def rest_settings(rest: FakeTwilioRest) -> dict[str, str]:
    return {"BRIDGE_TWILIO__API_URL": rest.url, "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT, **PYTHON}


WARM = Transfer(DESK, "Somebody with a broken bike.")


async def test_who_hears_the_summary_and_presses_the_key_is_joined_with_the_caller(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest, bridge(tmp_path, speech.url, **rest_settings(rest)) as up:
        line = rest.line = to_desk(up, Party(keys="1", hang_up_after_s=1.0))
        async with SimulatedCall(line, exchange=rest.exchange) as call:
            await asks_for(speech, agent, WARM)
            (leg,) = await until(lambda: rest.placed)
            await until(lambda: not call.live)
            assert WARM.summary in leg.twiml[0].text
            journal = await kept(up, call, tmp_path)
    (tried,) = [entry for entry in journal if entry["entry"] == "transfer_tried"]
    assert (tried["status"], tried["warm"]) == ("completed", True)
    assert asked_about(agent, "transfer.ended") == []
    (told,) = asked_about(agent, "call.ended")
    assert told.outcome["transfer"]["status"] == "completed"


@pytest.mark.parametrize(
    ("party", "status"),
    [
        (Party(keys="2"), "declined"),
        (Party("busy"), "busy"),
        (Party("no-answer"), "no-answer"),
        (Party(hang_up_after_s=0.1), "declined"),
    ],
)
async def test_who_does_not_take_the_call_leaves_the_caller_with_the_agent(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, party: Party, status: str
) -> None:
    settings = {"BRIDGE_TRANSFER__ACCEPT_SECONDS": "5"}
    async with (
        FakeTwilioRest(ACCOUNT, TOKEN) as rest,
        bridge(tmp_path, speech.url, **rest_settings(rest), **settings) as up,
    ):
        line = rest.line = to_desk(up, party)
        async with SimulatedCall(line, exchange=rest.exchange) as call:
            await asks_for(speech, agent, WARM)
            (question,) = await until(lambda: asked_about(agent, "transfer.ended"))
            assert question.transfer == TransferResult(DESK, status)
            assert len(call.phones) == 1  # The stream was never left.
            await call.hang_up()
            journal = await kept(up, call, tmp_path)
    assert [entry["warm"] for entry in journal if entry["entry"] == "transfer_tried"] == [True]


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_a_carrier_that_refuses_a_call_costs_the_caller_no_time(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, status: int
) -> None:
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest, bridge(tmp_path, speech.url, **rest_settings(rest)) as up:
        line = rest.line = to_desk(up, Party())
        rest.faults.append(Fault(status))
        async with SimulatedCall(line, exchange=rest.exchange) as call:
            await asks_for(speech, agent, WARM)
            asked = asyncio.get_running_loop().time()
            (question,) = await until(lambda: asked_about(agent, "transfer.ended"))
            assert asyncio.get_running_loop().time() - asked < 2
            assert question.transfer == TransferResult(DESK, "failed")
            assert await call.wait_for_agent(10, silence_s=0.3)
            await call.hang_up()
            await kept(up, call, tmp_path)


async def test_a_caller_who_hangs_up_is_not_called_for_any_more(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest, bridge(tmp_path, speech.url, **rest_settings(rest)) as up:
        line = rest.line = to_desk(up, Party(after_s=30))
        async with SimulatedCall(line, exchange=rest.exchange) as call:
            await asks_for(speech, agent, WARM)
            (leg,) = await until(lambda: rest.placed)
            await call.hang_up()
            journal = await kept(up, call, tmp_path)
            await until(lambda: not leg.live)
    assert [entry["status"] for entry in journal if entry["entry"] == "transfer_tried"] == ["canceled"]
