"""The process dies at any moment, or the disk is full: what is left is whole as far as it goes."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.store.files import read_journal
from tests.store import wav_reader
from tests.store.crashes import ROOT, kill_after, opens_elsewhere


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_is_killed_leaves_whole_recordings(seed: int, tmp_path: Path) -> None:
    kill_after(random.Random(seed).uniform(0, 0.4), tmp_path)
    for path in tmp_path.rglob("recording.wav"):
        opens_elsewhere(path)


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from bridge.conversation.journal import CallerSpoke
from bridge.store.files import FileStore
from tests.store.samples import HEADER

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))  # no file can grow beyond: as a full disk, EFBIG

async def main():
    store = FileStore(Path({folder!r}))
    record = store.open(HEADER)
    for at_ms in range(0, 20000, 20):
        record.caller_audio(at_ms, bytes([1 + at_ms // 20 % 200]) * 160)
        record.agent_audio(at_ms, bytes([1 + at_ms // 20 % 200]) * 160)
        if at_ms % 1000 == 0:
            record.append(CallerSpoke(at_ms // 1000, " Hello.", at_ms, at_ms + 500))
            await store._disk.run(lambda: None)
    files = await record.close()
    await store.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("most", [100_001, 58, 30])
async def test_a_disk_that_is_full_cuts_the_recording_off_and_nothing_else(most: int, tmp_path: Path) -> None:
    script = FULL.format(root=str(ROOT), folder=str(tmp_path), most=most)
    run = [sys.executable, "-c", script]
    ended = await asyncio.to_thread(subprocess.run, run, timeout=30, check=True, capture_output=True, text=True)
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "recording_not_written" in ended.stdout + ended.stderr
    if most > 1000:
        (journal,) = tmp_path.rglob("journal.jsonl")
        assert len((await asyncio.to_thread(read_journal, journal))[1]) == 20
        heard = wav_reader.read(journal.with_name("recording.wav").read_bytes())
        expected = b"".join(bytes([1 + number % 200]) * 160 for number in range(1000))
        assert heard.left == heard.right
        assert len(heard.left) == (most - 58) // 2
        # The second that was refused is silence.
        assert heard.left == expected[:48_000].ljust(len(heard.left), b"\xff")
