"""The speech server as a child process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from bridge.errors import BridgeError, MissingExtraError, SettingsError
from bridge.speech_server import launch, settings
from bridge.speech_server.launch import launch_local
from bridge.speech_server.server import ServerSettings


async def is_up(url: str) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"{url}/healthz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A dead child that nobody has waited for yet is no longer there either.
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def gone(pids: list[int]) -> None:
    for _ in range(500):
        if not any(is_there(pid) for pid in pids):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"still there: {pids}")


async def test_it_starts_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("numbers", "numpy", "structlog"):  # A folder of the user's may have any file in it.
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this is the file of the user')\n")
    server = await launch_local(ServerSettings(port=0, api_key="sk_secret"))
    family = [server.pid, *children(server.pid)]
    assert len(family) == 3
    assert await is_up(server.url)
    # The key is nobody's business who may list processes.
    assert b"sk_secret" not in b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family)
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/voices") as response:
        assert response.status == 401
    await server.close()
    await server.close()
    assert not server.alive
    assert not server.died.is_set()
    await gone(family)


async def test_its_death_is_noticed() -> None:
    with capture_logs() as logs:
        server = await launch_local()
        family = children(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.wait_for(server.died.wait(), 5)
        assert not server.alive
        await gone(family)  # the inference processes do not outlive it
        await server.close()
    assert [entry["event"] for entry in logs] == ["speech_server_ready", "speech_server_died"]


PARENT = """
import asyncio, sys
from bridge.speech_server.launch import launch_local
async def main():
    server = await launch_local()
    print(server.pid, file=sys.stderr, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_it_does_not_outlive_its_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert parent.stderr is not None
    pid = int(await parent.stderr.readline())
    family = [pid, *children(pid)]
    assert all(is_there(each) for each in family)
    parent.kill()
    await parent.wait()
    await gone(family)


async def test_errors_of_the_child_are_the_parents() -> None:
    with pytest.raises(SettingsError, match="/nowhere"):
        await launch_local(ServerSettings(port=0, recognizer_model="/nowhere"))


async def test_a_child_that_dies_at_once_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    said = r"Traceback (most recent call last):\n  File x\nImportError: no such module\n"
    python.write_text(f"#!/bin/sh\nprintf '{said}' >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with capture_logs() as logs, pytest.raises(BridgeError) as caught:
        await launch_local()
    assert caught.value.message == (
        "the local speech server ended with code 3 while starting: ImportError: no such module"
        " (with --debug all that it wrote is logged)"
    )
    assert [(entry["log_level"], entry["said"]) for entry in logs] == [
        ("debug", "Traceback (most recent call last):"),
        ("debug", "  File x"),
        ("debug", "ImportError: no such module"),
    ]


async def test_a_child_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho hm >&2\nexec sleep 30\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(launch, "_START_LIMIT", 0.3)
    monkeypatch.setattr(launch, "_STOP_LIMIT", 0.1)
    with pytest.raises(BridgeError, match=r"did not answer within.*hm"):
        await launch_local()


async def test_without_the_extra_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda name: None if name == "moonshine_voice" else object())
    with pytest.raises(MissingExtraError, match=r"phone-bridge\[local\]"):
        await launch_local()
    with pytest.raises(MissingExtraError, match=r"phone-bridge\[piper\]"):
        monkeypatch.setattr(settings, "find_spec", lambda name: None if name == "piper" else object())
        await launch_local(ServerSettings(port=0, voice_engine="piper"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": -1},
        {"port": 70000},
        {"workers": 0},
        {"max_streams": 0},
        {"max_files": 0},
        {"recognizer": "siri"},
        {"voice_engine": "hal"},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as caught:
        ServerSettings(**wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert str(next(iter(wrong.values()))) in caught.value.message


def test_there_are_as_many_streams_as_cores_can_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    each = settings.STREAMS_PER_CORE
    assert [ServerSettings(workers=workers).streams for workers in (1, 2, 4)] == [each, 2 * each, 2 * each]
    assert ServerSettings(max_streams=30).streams == 30
    assert ServerSettings(max_streams=30).contexts == 240
    assert ServerSettings(max_contexts=7).contexts == 7


def test_the_key_is_not_shown() -> None:
    assert "sk_secret" not in repr(ServerSettings(api_key="sk_secret"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--recognizer", "siri"], "siri"),
        (["--voice-model", "x"], "takes no model"),
        (["--port", "99999"], "99999"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge.speech_server", "--port", "0", *arguments],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if line.startswith("error:") and says in line]
    assert "Traceback" not in done.stderr


def test_the_rooms_doors_open_without_the_extra() -> None:
    """What the rest of the bridge imports to start the server must not need numpy."""
    code = (
        "import sys; sys.modules.update(numpy=None, soxr=None);"
        "import bridge.speech_server.server, bridge.speech_server.launch"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
