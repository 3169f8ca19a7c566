"""One bridge has a folder of calls; another is told whose it is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.store.folder_lock import NAME, held, holder

ROOT = Path(__file__).parents[2]

HOLDS = """
import sys, time
from pathlib import Path
from bridge.store.folder_lock import held
with held(Path({folder!r}), "other"):
    print("here", flush=True)
    time.sleep(60)
"""


async def other(folder: Path) -> asyncio.subprocess.Process:
    """Another process that has the folder."""
    script = HOLDS.format(folder=str(folder))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script), stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    return process


async def test_a_folder_is_anothers_until_that_dies(tmp_path: Path) -> None:
    process = await other(tmp_path)
    with pytest.raises(SettingsError) as refused:
        await asyncio.to_thread(hold, tmp_path)
    assert f"other, process {process.pid} on " in refused.value.message
    assert "BRIDGE_STORE__RECORDINGS" in refused.value.message
    found = await asyncio.to_thread(holder, tmp_path)
    assert found is not None
    assert (found["node"], found["pid"]) == ("other", process.pid)
    process.kill()
    await process.wait()
    assert await asyncio.to_thread(holder, tmp_path) is None
    await asyncio.to_thread(hold, tmp_path)
    assert await asyncio.to_thread(holder, tmp_path) is None


def hold(folder: Path) -> None:
    """Hold it as the bridge of a test, for a moment."""
    with held(folder, "one"):
        found = holder(folder)
        assert found is not None
        assert found["node"] == "one"


def test_processes_of_one_bridge_share_it_and_the_last_lets_it_go(tmp_path: Path) -> None:
    with held(tmp_path, "one", joins=True):
        with held(tmp_path, "one", joins=True):
            pass
        with pytest.raises(SettingsError), held(tmp_path, "two"):
            pass
    with held(tmp_path, "two"):
        pass


def test_a_file_that_tells_nothing_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"[1]")
    assert holder(tmp_path) is None
    with held(tmp_path, "one"):
        assert json.loads((tmp_path / NAME).read_bytes())["pid"] == os.getpid()
