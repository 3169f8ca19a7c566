"""Secrets stand nowhere: a real bridge, calls in which everything fails, the lowest level of logging."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge import process
from bridge.log import configure_logging
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line, SimulatedCall
from bridge.simulator.line import CallError
from tests.scripted_speech import ScriptedSpeech

AUTH = "5ec3e7a07400000000000000000000a1"
SECRETS = {
    "BRIDGE_TWILIO__AUTH_TOKEN": AUTH,
    "BRIDGE_TWILIO__OLD_AUTH_TOKENS": "5ec3e7a07400000000000000000000a2",
    "BRIDGE_SPEECH__API_KEY": "sk_5ec3e7-speech",
    "BRIDGE_API__TOKEN": "5ec3e7-api-token",
    "BRIDGE_AGENT__SECRET": "whsec_NWVjM2U3LWFnZW50LXNlY3JldA==",
    "BRIDGE_SINKS__WEBHOOK_SECRET": "whsec_NWVjM2U3LXNpbmstc2VjcmV0",
    "BRIDGE_OPENAI__API_KEY": "sk_5ec3e7-openai",
    "BRIDGE_STORE__ENCRYPTION_KEY": "NWVjM2U3LWVuY3J5cHRpb24tLWtleS0tLS0tLS0tLS0=",
    "BRIDGE_STT__HEADERS": "X-Proxy-Key=5ec3e7-header",
}
IN_URL = ("hunter5ec3e7", "5ec3e7query")
"""User's password and query of the agent's address, which failures to reach it might tell."""


def hidden() -> list[str]:
    further = json.loads(API_TOKENS)[0]["token"]
    return [*(value.rpartition("=")[2] or value for value in SECRETS.values()), *SECRETS.values(), further, *IN_URL]


API_TOKENS = '[{"name": "reader", "token": "5ec3e7-further-token", "scope": "read"}]'


async def call_in_vain(url: str) -> None:
    """Hold a call whose agent and voice fail, and let strangers try themselves."""
    async with SimulatedCall(Line(url, AUTH)) as call:
        with contextlib.suppress(CallError):  # The bridge may give up first.
            await call.digits("1")
            await asyncio.sleep(1)
            await call.hang_up()
    async with aiohttp.ClientSession() as http:
        form = {"CallSid": "CA1", "From": "+1", "To": "+2", "Direction": "inbound"}
        headers = {"X-Twilio-Signature": "wrong", "Authorization": f"Bearer {SECRETS['BRIDGE_API__TOKEN']}x"}
        await http.post(url + "/twilio/voice", data=form, headers=headers)
        await http.get(url + "/api/v1/live", headers=headers)
        await http.post(url + "/api/v1/session", json={"token": SECRETS["BRIDGE_API__TOKEN"] + "x"})


async def shown(url: str) -> dict[str, str]:
    """Everything that the API and the pages tell."""
    found: dict[str, str] = {}
    headers = {"Authorization": f"Bearer {SECRETS['BRIDGE_API__TOKEN']}"}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def look(path: str) -> Any:
            async with http.get(url + path) as answer:
                found[path] = f"{await answer.text(errors='replace')}{answer.headers}"
                return await answer.json(content_type=None) if answer.content_type == "application/json" else None

        for path in ("/", "/softphone", "/readyz", "/healthz", "/metrics", "/api/openapi.json", "/api/v1/live"):
            await look(path)
        for path in ("/api/v1/system", "/api/v1/settings", "/api/v1/numbers", "/api/v1/audit", "/api/v1/session"):
            await look(path)
        async with asyncio.timeout(10):
            while not (calls := (await look("/api/v1/calls"))["items"]):  # noqa: ASYNC110  Nobody tells.
                await asyncio.sleep(0.1)
        call = calls[0]["id"]
        for part in ("", "/transcript?format=json", "/journal", "/trace"):
            await look(f"/api/v1/calls/{call}{part}")
    return found


def processes(pid: int) -> str:
    """The command lines of a process and of those that it has started, as everybody on the machine sees them."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if pid in {int(folder.name), parent}:
                lines.append((folder / "cmdline").read_text())
        except (OSError, ValueError):
            continue
    assert lines
    return "\n".join(lines)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the list of processes is read off /proc")
async def test_no_secret_stands_in_anything_that_leaves_the_bridge(tmp_path: Path) -> None:
    agent = f"http://ann:{IN_URL[0]}@127.0.0.1:9/hook?key={IN_URL[1]}"
    async with ScriptedSpeech(tts_status=401).running() as speech:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")},
            **SECRETS,
            "BRIDGE_SERVER__PORT": "0",
            "BRIDGE_API__TOKENS": API_TOKENS,
            "BRIDGE_SPEECH__BASE_URL": speech.url,
            "BRIDGE_AGENT__URL": agent,
            "BRIDGE_SINKS__WEBHOOK_URL": "http://127.0.0.1:9/",
            "BRIDGE_STORE__RECORDINGS": str(tmp_path / "calls"),
            "BRIDGE_AGENT__UNDELIVERED": str(tmp_path / "undelivered"),
            "BRIDGE_LOG__LEVEL": "debug",
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        with (tmp_path / "log").open("wb") as log:
            bridge = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bridge", "serve"),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        try:
            assert bridge.stdout is not None
            async with asyncio.timeout(20):
                ready = (await bridge.stdout.readline()).decode()
            url = ready.rsplit(" ", 1)[-1].strip()
            await call_in_vain(url)
            found = await shown(url)
            found["the list of processes"] = processes(bridge.pid)
        finally:
            bridge.kill()  # What it has told by now is enough: a clean end would try the agent for seconds.
            await bridge.wait()
        found["standard output"] = ready + (await bridge.stdout.read()).decode()
    found |= {str(path): path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()}
    assert {"journal.jsonl", "trace.jsonl", "log"} <= {Path(name).name for name in found}
    log_text = found[str(tmp_path / "log")]
    assert "[debug" in log_text
    assert "agent_unreachable" in log_text, "the failures did happen"
    assert "speech_auth" in log_text
    assert "request_refused" in log_text
    for where, text in found.items():
        for secret in hidden():
            assert secret not in text, f"{secret} stands in {where}"


def test_nor_in_the_file_of_an_error_that_is_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    configure_logging(load_settings(environment={"BRIDGE_API__TOKEN": "5ec3e7-api-token"}, files=()))

    def work() -> int:
        raise ZeroDivisionError("at https://h/?token=5ec3e7-api-token")

    assert process.guard(work) == process.FAILED
    (file,) = tmp_path.rglob("last-error.txt")
    assert "ZeroDivisionError: at https://h/?token=********" in file.read_text()
    assert "5ec3e7" not in file.read_text() + capsys.readouterr().err
    assert file.stat().st_mode & 0o077 == 0
