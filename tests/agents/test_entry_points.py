"""A kind of agent that another distribution brings along, in a bridge as people run it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.simulator.caller import Line, SimulatedCall
from tests.agents import sample_package
from tests.scripted_speech import ScriptedSpeech

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    (tmp_path / "lines.json").write_text(
        json.dumps({"greeting": {"say": "Squawk."}, "bye": [{"say": "Good bye."}, {"type": "hang_up"}]})
    )
    return sample_package.install(tmp_path)


@asynccontextmanager
async def serving(folder: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `phone-bridge serve` as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "serve", "--port", "0"),
        cwd=folder,
        env={**os.environ, "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN, "BRIDGE_SERVER__DRAIN_SECONDS": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.communicate()


def path_with(*folders: Path) -> str:
    root = Path(__file__).parent.parent.parent
    return os.pathsep.join(map(str, (*folders, root)))


async def test_an_installed_kind_answers_a_call(installed: Path, tmp_path: Path) -> None:
    async with (
        ScriptedSpeech().running() as speech,
        serving(
            tmp_path,
            PYTHONPATH=path_with(installed),
            BRIDGE_AGENT__KIND="canned",
            BRIDGE_AGENT__URL=str(tmp_path / "lines.json"),
            BRIDGE_SPEECH__BASE_URL=speech.url,
            BRIDGE_SPEECH__API_KEY="sk_test",
        ) as process,
    ):
        assert process.stdout is not None
        async with asyncio.timeout(30):
            ready = (await process.stdout.readline()).decode()
        url = next(word.strip(",") for word in ready.split() if word.startswith("http://"))
        async with SimulatedCall(Line(url, TOKEN)) as call:
            peer = await speech.listener()
            assert await call.wait_for_agent(10, silence_s=0.3)
            await peer.say_turn("Bye bye")
            async with asyncio.timeout(10):
                assert await call.ended() == "bridge_hung_up"
    said = [text for context, text in speech.spoken.items() if not context.startswith("prompts")]
    assert said == ["Squawk.", "Good bye."]
    assert process.returncode == 0


async def test_without_the_distribution_its_kind_is_a_wrong_setting(tmp_path: Path) -> None:
    async with serving(tmp_path, PYTHONPATH=path_with(), BRIDGE_AGENT__KIND="canned") as process:
        async with asyncio.timeout(30):
            _, complaint = await process.communicate()
    assert process.returncode == 2
    (line,) = complaint.decode().strip().splitlines()
    assert "agent.kind (BRIDGE_AGENT__KIND) is 'canned': wanted one of webhook, relay, openai" in line


async def test_what_is_wrong_with_its_own_settings_is_one_line(installed: Path, tmp_path: Path) -> None:
    wrong = {
        "BRIDGE_AGENT__KIND": "canned",
        "BRIDGE_AGENT__URL": str(tmp_path / "nowhere.json"),
        "BRIDGE_SPEECH__BASE_URL": "http://127.0.0.1:1",  # so that no speech is got ready
        "BRIDGE_SPEECH__API_KEY": "sk_test",
    }
    async with serving(tmp_path, PYTHONPATH=path_with(installed), **wrong) as process:
        async with asyncio.timeout(30):
            _, complaint = await process.communicate()
    assert process.returncode == 2
    assert complaint.decode().strip().splitlines()[-1].startswith("error: agent.url (BRIDGE_AGENT__URL) is ")
    assert "Traceback" not in complaint.decode()
