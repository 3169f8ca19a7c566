"""Whole calls that a flow answers: keys and words, prepared answers, a transfer that fails, messages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bridge.app import Bridge
from bridge.audio import wav
from bridge.audio.beep import beep
from bridge.simulator.caller import Line, SimulatedCall
from bridge.simulator.party import Party
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import TOKEN, bridge, kept, speech

__all__ = ["speech"]

DESK = "+15550100009"
FLOW = f"""
    retry: {{wait_s: 1, attempts: 2, no_input: "Hello?", failed: message}}
    steps:
      menu:
        do: menu
        say: Sales?
        choices: [{{key: "1", phrases: [sales], next: sure}}]
      sure: {{do: yes_no, say: "Sure?", yes: connect, no: menu}}
      connect: {{do: transfer, say: Connecting., to: "{DESK}", failed: message}}
      message: {{do: voicemail, say: Speak., silence_s: 2, next: thanks, empty: bye}}
      thanks: {{do: hang_up, say: Thanks.}}
      bye: {{do: hang_up, say: Bye.}}
"""


@pytest.fixture
def flow(tmp_path: Path) -> dict[str, str]:
    """The settings of a bridge that answers by the flow."""
    file = tmp_path / "flow.yaml"
    file.write_text(dedent(FLOW))
    return {"BRIDGE_AGENT__KIND": "flow", "BRIDGE_AGENT__URL": str(file)}


def line(up: Bridge) -> Line:
    return Line(up.url, TOKEN, parties={DESK: Party("busy")})


def said(journal: list[dict[str, Any]]) -> list[str]:
    return [entry["heard"].strip() for entry in journal if entry["entry"] == "agent_spoke"]


def left(journal: list[dict[str, Any]]) -> list[str]:
    return [entry["transcript"] for entry in journal if entry["entry"] == "message_left"]


async def hears(speech: ScriptedSpeech, text: str) -> None:
    """Wait until something is to be spoken."""
    async with asyncio.timeout(15):
        while text not in [spoken.strip() for spoken in speech.spoken.values()]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # Nobody is told when it is there.


async def test_words_keys_a_busy_line_and_a_message(
    speech: ScriptedSpeech, tmp_path: Path, flow: dict[str, str]
) -> None:
    async with bridge(tmp_path / "calls", speech.url, **flow) as up, SimulatedCall(line(up)) as call:
        first = await speech.listener()
        await call.wait_for_agent(10, silence_s=0.2)
        await first.turn("start")
        await first.turn("update", "Sails please")
        await first.turn("eager_end", "Sails please")
        await hears(speech, "Sure?")  # Prepared, and then taken: the next answer is to this question.
        await first.turn("end", "Sails please")
        assert await call.wait_for_agent(10, silence_s=0.2)
        await call.digits("1")
        await hears(speech, "Speak.")
        second = await speech.listener(1)
        assert await call.wait_for_agent(10, silence_s=0.5)
        await second.say_turn("Call me back.")
        await call.say(b"\x55" * 4000)
        await call.digits("#")
        assert await asyncio.wait_for(call.ended(), 15) == "bridge_hung_up"
        journal = await kept(up, call, tmp_path / "calls")
    assert said(journal) == ["Sales?", "Sure?", "Connecting.", "Speak.", "Thanks."]
    assert left(journal) == ["Call me back."]
    assert [entry["status"] for entry in journal if entry["entry"] == "transfer_tried"] == ["busy"]
    (file,) = (tmp_path / "calls").rglob("message-1.wav")
    assert b"\x55" * 2000 in wav.read_mulaw(file.read_bytes(), name="message")
    assert any(beep()[500:1000] in stretch.audio for stretch in call.heard)
    assert call.problems == []


async def test_who_says_nothing_is_asked_again_and_let_go(
    speech: ScriptedSpeech, tmp_path: Path, flow: dict[str, str]
) -> None:
    async with bridge(tmp_path / "calls", speech.url, **flow) as up, SimulatedCall(line(up)) as call:
        assert await asyncio.wait_for(call.ended(), 25) == "bridge_hung_up"
        journal = await kept(up, call, tmp_path / "calls")
    assert said(journal) == ["Sales?", "Hello? Sales?", "Speak.", "Bye."]
    assert left(journal) == [""]


async def test_a_message_that_ends_with_the_call_is_kept(
    speech: ScriptedSpeech, tmp_path: Path, flow: dict[str, str]
) -> None:
    flow["BRIDGE_AGENT__URL"] = str(tmp_path / "voicemail.yaml")
    (tmp_path / "voicemail.yaml").write_text(
        "steps: {message: {do: voicemail, say: Speak., next: bye}, bye: {do: hang_up}}"
    )
    async with bridge(tmp_path / "calls", speech.url, **flow) as up, SimulatedCall(line(up)) as call:
        peer = await speech.listener()
        assert await call.wait_for_agent(10, silence_s=0.5)
        await peer.say_turn("It is me.")
        await peer.turn("start")
        await peer.turn("update", " Call")
        await call.hang_up()
        journal = await kept(up, call, tmp_path / "calls")
    assert left(journal) == ["It is me. Call"]
