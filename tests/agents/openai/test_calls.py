"""Whole calls that a model answers: a simulated carrier, a scripted speech service, and a server for the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.agents.openai.model_server import ModelServer, calls, says
from tests.scripted_speech import ScriptedSpeech, sound_of
from tests.test_calls import bridge, kept, line, played


@pytest.fixture
async def speech() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


def settings(model: ModelServer, **more: str) -> dict[str, str]:
    return {
        "BRIDGE_AGENT__KIND": "openai",
        "BRIDGE_AGENT__URL": model.url,
        "BRIDGE_OPENAI__TRANSFER_TARGETS": "sales=+15550100300",
        **more,
    }


async def test_a_model_greets_answers_is_interrupted_and_says_good_bye(
    model: ModelServer, speech: ScriptedSpeech, tmp_path: Path
) -> None:
    words = " ".join(f"word{number}" for number in range(20))
    model.answers = [says("Hel", "lo ", "there."), says(words), ["Good ", "bye.", *calls(("hang_up", {}))]]
    async with bridge(tmp_path, speech.url, **settings(model)) as up, SimulatedCall(line(up)) as call:
        peer = await speech.listener()
        assert await call.wait_for_agent(10, silence_s=0.3)
        await peer.say_turn("Tell me")
        began = await call.wait_agent_speaking(10)
        assert began is not None
        await call.pause(began + 1.6 - call.now)
        await peer.turn("start")
        await peer.turn("update", " Stop")
        await peer.turn("end", " Stop it.")
        async with asyncio.timeout(10):
            assert await call.ended() == "bridge_hung_up"
        journal = await kept(up, call, tmp_path)
    begins, hello, asked, cut, then = model.messages
    assert (begins["content"], hello["content"], asked["content"]) == (
        "[The call begins.]",
        "Hello there.",
        "Tell me",
    )
    spoke = [entry for entry in journal if entry["entry"] == "agent_spoke"]
    assert (cut["role"], cut["content"]) == ("assistant", spoke[1]["heard"])
    assert words.startswith(cut["content"])
    assert 1 < len(cut["content"].split()) < 15, "only what was heard"
    unheard = words.removeprefix(cut["content"]).strip()
    assert then["content"] == f"[The caller cut you off and did not hear this: {unheard}]\nStop it."
    assert (spoke[2]["heard"], journal[-1]["reason"]) == ("Good bye.", "agent")
    assert played(call.heard).endswith(b"".join(sound_of(number) for number in range(2)))


async def test_a_model_transfers_to_one_of_the_targets(
    model: ModelServer, speech: ScriptedSpeech, tmp_path: Path
) -> None:
    model.answers = [["One moment.", *calls(("transfer", {"to": "sales"}))]]
    greeting = {"BRIDGE_AGENT__GREETING": "Hello."}
    async with bridge(tmp_path, speech.url, **settings(model, **greeting)) as up, SimulatedCall(line(up)) as call:
        peer = await speech.listener()
        assert await call.wait_for_agent(10, silence_s=0.3)
        assert model.asked == [], "the settings greet"
        await peer.say_turn("A human please")
        async with asyncio.timeout(10):
            await call.ended()
        assert [document for document in call.twiml if "+15550100300" in document.text]


async def test_a_look_up_of_a_speculative_answer_is_heard_when_the_turn_ends(
    model: ModelServer, speech: ScriptedSpeech, tmp_path: Path
) -> None:
    model.tools["hours"] = {"open": "nine"}
    url = model.tool("hours", "hours").url
    tool = json.dumps([{"name": "hours", "description": "Opening hours.", "method": "GET", "url": url}])
    model.answers = [calls(("hours", {})), says("From nine.")]
    more = {"BRIDGE_AGENT__GREETING": "Hello.", "BRIDGE_OPENAI__TOOLS": tool}
    async with bridge(tmp_path, speech.url, **settings(model, **more)) as up, SimulatedCall(line(up)) as call:
        peer = await speech.listener()
        assert await call.wait_for_agent(10, silence_s=0.3)
        await peer.turn("start")
        await peer.turn("update", "When?")
        await peer.turn("eager_end", "When?")
        async with asyncio.timeout(5):
            while len(model.asked) < 2:  # noqa: ASYNC110  Nobody is told when it has been asked.
                await asyncio.sleep(0.005)
        await peer.turn("end", "When?")
        assert await call.wait_for_agent(10, silence_s=0.3, after=call.now)
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    (_, spoke) = [entry for entry in journal if entry["entry"] == "agent_spoke"]
    assert (spoke["heard"], spoke["speculative"], len(model.called)) == ("From nine.", True, 1)


async def test_a_tool_that_changes_something_runs_once_and_not_before_the_turn_is_over(
    model: ModelServer, speech: ScriptedSpeech, tmp_path: Path
) -> None:
    model.tools["book"] = {"booked": True}
    tool = json.dumps([{"name": "book", "description": "Books.", "url": model.tool("book", "book").url}])
    model.answers = [calls(("book", {})), says("It is booked.")]
    more = {"BRIDGE_AGENT__GREETING": "Hello.", "BRIDGE_OPENAI__TOOLS": tool}
    async with bridge(tmp_path, speech.url, **settings(model, **more)) as up, SimulatedCall(line(up)) as call:
        peer = await speech.listener()
        assert await call.wait_for_agent(10, silence_s=0.3)
        await peer.turn("start")
        await peer.turn("update", "Book it")
        await peer.turn("eager_end", "Book it")
        await peer.turn("resume")
        await peer.turn("update", "Book it please")
        await peer.turn("eager_end", "Book it please")
        await peer.turn("end", "Book it please")
        assert await call.wait_for_agent(10, silence_s=0.3, after=call.now)
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    assert model.called == [("POST", "book", {})]
    assert [entry["heard"] for entry in journal if entry["entry"] == "agent_spoke"] == ["Hello.", "It is booked."]
    assert not [entry for entry in journal if entry["entry"] == "problem_met"]
