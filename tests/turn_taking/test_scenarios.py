"""The scenario files beside this test, run by the very commands that people use: `serve` and `call --scenario`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.audio import wav
from tests.bridge_process import TOKEN, start_bridge
from tests.turn_taking import voices
from tests.turn_taking.stage import WebhookAgent, show

SCENARIOS = Path(__file__).with_name("scenarios")
NOTICE = "Please note that this call is recorded for training, and that you may object to it at any time."
ANSWER = (
    "We are open from nine to six on weekdays, and from ten to four on Saturdays. On Sundays the workshop is"
    " closed, but you can always leave your bicycle in the yard behind the house."
)
FAREWELL = "All right, then good-bye."


@contextlib.asynccontextmanager
async def served(folder: Path, speech_url: str, agent_url: str, *, calls: str) -> AsyncIterator[str]:
    """Run `phone-bridge serve`, and end it as people do. `calls`: its folder for what it keeps, and only its."""
    process, url = await start_bridge(
        folder,
        None,
        BRIDGE_SPEECH__BASE_URL=speech_url,
        BRIDGE_SPEECH__API_KEY="sk_test",
        BRIDGE_STORE__RECORDINGS=str(folder / calls),
        BRIDGE_AGENT__URL=agent_url,
        BRIDGE_LOG__LEVEL="error",
    )
    try:
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0


async def called(folder: Path, url: str, scenario: str) -> tuple[int, dict[str, Any]]:
    """Run `phone-bridge call` with a scenario; returns its exit code and report."""
    options = ("--url", url, "--auth-token", TOKEN, "--scenario", str(folder / scenario), "--json")
    command = (sys.executable, "-m", "bridge", "call", *options)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=folder)
    said, _ = await process.communicate()
    return process.returncode or 0, json.loads(said)


def lay_out(folder: Path) -> None:
    for path in SCENARIOS.glob("*.toml"):
        shutil.copy(path, folder)
    sounds = {
        "question": voices.recorded(voices.QUESTION_S),
        "interruption": voices.recorded(voices.HEAVEN_S),
        "cough": voices.cough(),
    }
    for name, sound in sounds.items():
        (folder / f"{name}.wav").write_bytes(wav.write_mulaw(sound))


def answer(body: dict[str, Any]) -> dict[str, Any] | None:
    if body["type"] == "call.started":
        return {"actions": [{"type": "say", "text": NOTICE, "interruptible": False}]}
    if "interrupted" in body:
        return {"actions": [{"type": "say", "text": FAREWELL}, {"type": "hang_up"}]}
    return {"say": ANSWER}


@pytest.mark.timeout(120)
async def test_the_scenarios_hold_with_the_real_commands(speech_url: str, tmp_path: Path) -> None:
    await asyncio.to_thread(lay_out, tmp_path)
    plain = WebhookAgent(lambda body: {"say": ANSWER} if body["type"] == "call.started" else None)
    async with (
        WebhookAgent(answer).running() as agent,
        plain.running(),
        served(tmp_path, speech_url, agent.url, calls="first") as first,
        served(tmp_path, speech_url, plain.url, calls="second") as second,
    ):
        results = await asyncio.gather(
            called(tmp_path, first, "notice_and_interruption.toml"), called(tmp_path, second, "cough.toml")
        )
    for _, report in results:
        show(
            f"{'ok' if report['ok'] else report['failures']}: {report['outcome']}, {report['heard_s']} s heard,"
            f" interruptions cut after {[one['cut_ms'] for one in report['interruptions']]} ms"
        )
    for code, report in results:
        assert (code, report["failures"], report["problems"]) == (0, [], [])
    assert [report["outcome"] for _, report in results] == ["bridge_hung_up", "caller_hung_up"]
