"""One call can be followed through the log: every line about it names it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import types
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.agents.base import Question
from bridge.app import running
from bridge.conversation.actions import Play, Say, Transfer
from bridge.log import configure_logging
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line, SimulatedCall
from tests.scripted_speech import ScriptedSpeech
from tests.waiting import until

TOKEN = "0123456789abcdef0123456789abcdef"

OF_NO_CALL = {
    "api_without_token",
    "store_brought_up_to_date",
    "stream_without_fast_path",
    "tts_connect_failed",
    "tts_connected",
    "tts_idle_closed",
    "tts_lost",
    "tts_prompts_failed",
    "tts_prompts_ready",
}
"""About what all calls share. What it means for a call is in that call's own lines (`call_problem`)."""


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> str:
    """An agent that does one thing after the other that fails."""
    module = types.ModuleType("failing_agent")
    turns: dict[str, int] = {}

    async def answer(question: Question) -> Any:
        if question.occasion != "turn.ended":
            return
        turns[question.call.id] = number = turns.get(question.call.id, 0) + 1
        match number:
            case 1:
                yield Say(" ".join(f"word{number}" for number in range(12)))
            case 2:
                yield Play("not-there.wav")
            case 3:
                raise ValueError("no")
            case _:
                yield Transfer("+15550100009", "Somebody calls.")

    module.answer = answer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "failing_agent", module)
    return "failing_agent:answer"


@pytest.fixture
async def written(tmp_path: Path, agent: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The lines that two calls full of failures make, beside each other, and the calls' ids at the carrier."""
    stream = io.StringIO()
    async with ScriptedSpeech().running() as speech:
        settings = load_settings(
            environment={
                "BRIDGE_SERVER__PORT": "0",
                "BRIDGE_SPEECH__BASE_URL": speech.url,
                "BRIDGE_SPEECH__API_KEY": "sk_test",
                "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
                "BRIDGE_STORE__RECORDINGS": str(tmp_path),
                "BRIDGE_AGENT__KIND": "python",
                "BRIDGE_AGENT__URL": agent,
                "BRIDGE_LOG__FORMAT": "json",
                "BRIDGE_LOG__LEVEL": "debug",
            },
            files=(),
        )
        configure_logging(settings, stream=stream)
        for name in ("aiohttp", "alembic", "asyncio"):
            logging.getLogger(name).setLevel(logging.WARNING)
        async with running(settings) as up, SimulatedCall(Line(up.url, TOKEN)) as one:
            await (await speech.listener(0)).say_turn("Talk")
            async with SimulatedCall(Line(up.url, TOKEN)) as two:
                await until(lambda: len(up.registry.live) == 2)
                sessions = [*up.registry.live.values()]
                await _suffer(speech, two)
                one.drop_stream()
                await asyncio.sleep(0.3)
                await one.hang_up()
                await two.hang_up()
                async with asyncio.timeout(20):
                    for session in sessions:
                        await session.ended.wait()
            await _a_stream_that_is_refused(up.url, "CAstranger")
    return [json.loads(line) for line in stream.getvalue().splitlines()], [one.call_sid, two.call_sid]


async def _suffer(speech: ScriptedSpeech, call: SimulatedCall) -> None:
    """Everything fails in turn: both connections to the speech service, a sound, the agent, a transfer."""
    peer = await speech.listener(1)
    await peer.say_turn("Talk")
    assert await call.wait_agent_speaking(10) is not None
    speech.tts[-1].drop()
    peer.drop()
    peer = await speech.listener(2)
    for text in ("Play something", "Fail", "Connect me"):
        await peer.say_turn(text)
        await asyncio.sleep(0.4)


def test_every_line_about_a_call_names_it(written: tuple[list[dict[str, Any]], list[str]]) -> None:
    lines, sids = written
    ids: dict[str, str] = {}
    for line in lines:
        if line["event"] == "call_started":
            ids[line["call"]] = line["sid"]
    assert sorted(ids.values()) == sorted(sids)
    nameless = {line["event"] for line in lines if not (line.get("call") or line.get("sid"))}
    assert nameless <= OF_NO_CALL, "what is about a call names it; what is about none stands in OF_NO_CALL"
    for line in lines:
        if "call" in line and "sid" in line:
            assert ids[line["call"]] == line["sid"], line
    assert {line["sid"] for line in lines if line["event"] == "stream_refused"} == {"CAstranger"}
    told: dict[str, set[str]] = {sid: set() for sid in sids}
    for line in lines:
        if (sid := line.get("sid") or ids.get(line.get("call", ""))) in told:
            told[sid].add(line["event"])
    for events in told.values():
        assert events >= {
            "call_coming",
            "call_started",
            "stt_connected",
            "caller_spoke",
            "agent_spoke",
            "call_ended",
        }
    assert told[sids[1]] >= {"stt_failed", "stt_rewound", "stt_reconnecting", "sound_failed", "call_problem"}
    codes = {line["code"] for line in lines if line["event"] == "call_problem"}
    assert codes >= {"sound_unreachable", "agent_crashed", "speech_unreachable"}


async def _a_stream_that_is_refused(url: str, sid: str) -> None:
    start = {"streamSid": "MZ1", "callSid": sid, "accountSid": "AC1", "tracks": ["inbound"], "customParameters": {}}
    start["mediaFormat"] = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{url}/twilio/media")
        await socket.send_json({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": "MZ1"})
        async with asyncio.timeout(5):
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
