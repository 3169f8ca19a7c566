"""Kills a process that records a call, at a moment of chance, and looks at what is left.

`python -m tests.store.crashes --kills 50` does so again and again; a test does a few. Both sides of the recorded
call hold the same bytes at the same time, so that nothing can be out of step without being seen.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

from bridge.conversation.journal import CallerSpoke
from bridge.store.files import FileStore, finish_from_journal, read_journal
from bridge.store.writer import DiskThread
from tests.store import wav_reader
from tests.store.samples import HEADER

ROOT = Path(__file__).parents[2]
_FRAMES = 250
"""Frames of 20 ms, each with a byte of its own; then they begin anew."""


def frame(number: int) -> bytes:
    """What both sides hold in the `number`th 20 ms."""
    return bytes([1 + number % _FRAMES]) * 160


async def record(folder: Path) -> None:
    """Record two calls without an end, a hundred times as fast as they would be, and print each turn kept."""
    store = FileStore(folder, disk=DiskThread())
    records = [store.open(replace(HEADER, id=f"call{number}")) for number in range(2)]
    for number in range(10_000_000):
        for one in records:
            one.caller_audio(20 * number, frame(number))
            one.agent_audio(20 * number, frame(number))
        if number % 50 == 0:
            for one in records:
                one.append(CallerSpoke(number // 50, f" Turn {number // 50}.", 20 * number, 20 * number + 900))
            await store._disk.run(lambda: None)
            sys.stdout.write(f"{number // 50}\n")  # From here on these turns must not be lost.
            sys.stdout.flush()
            await asyncio.sleep(0.001)


def kill_after(seconds: float, folder: Path) -> tuple[int, int]:
    """Let a process record for so long, kill it, and check what is left.

    Returns how many turns and how many ms of sound each call has. Raises AssertionError for what is wrong.
    """
    run = [sys.executable, "-m", "tests.store.crashes", "--record", str(folder)]
    with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        told = [process.stdout.readline()]
        time.sleep(seconds)
        process.kill()
        told += process.stdout.readlines()
    whole = [line for line in told if line.endswith("\n")]
    last = int(whole[-1])
    least = sys.maxsize
    folders = sorted(path.parent for path in folder.rglob("journal.jsonl"))
    assert len(folders) == 2
    for call in folders:
        before = sound_of(call)
        turns = [entry.turn for entry in read_journal(call / "journal.jsonl")[1] if isinstance(entry, CallerSpoke)]
        assert turns == [*range(len(turns))], "each turn once, in order"
        assert len(turns) > last
        finish_from_journal(call)
        after = sound_of(call)
        assert after >= before
        assert after >= 1000 * last - 4000, "no more than the last seconds may be lost"
        least = min(least, after)
    return last, least


def sound_of(call: Path) -> int:
    """How many ms a recording holds; both its sides must be in step to the sample, and it must open elsewhere."""
    path = call / "recording.wav"
    if not path.exists():
        return 0
    heard = wav_reader.read(path.read_bytes())
    expected = b"".join(frame(number) for number in range(len(heard.left) // 160 + 1))[: len(heard.left)]
    assert heard.left == expected
    assert heard.right == expected
    return len(heard.left) // 8


def opens_elsewhere(path: Path) -> None:
    """Let PyAV, which has a reader of its own, open a recording and count its samples."""
    import av

    with av.open(str(path)) as file:
        (stream,) = file.streams.audio
        assert (stream.codec_context.name, stream.channels, stream.rate) == ("pcm_mulaw", 2, 8000)
        samples = sum(decoded.samples for decoded in file.decode(stream))
    assert samples == len(wav_reader.read(path.read_bytes()).left)


@click.command()
@click.option("--kills", type=int, default=50, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--record", "recorded", type=click.Path(path_type=Path), hidden=True)
def main(kills: int, seed: int, recorded: Path | None) -> None:
    """Kill a recording process again and again, and look at what is left."""
    if recorded is not None:
        asyncio.run(record(recorded))
        return
    chance = random.Random(seed)
    for number in range(kills):
        with tempfile.TemporaryDirectory(prefix="crash-") as folder:
            turns, sound_ms = kill_after(chance.uniform(0, 0.5), Path(folder))
            for path in Path(folder).rglob("recording.wav"):
                opens_elsewhere(path)
            click.echo(f"{number + 1}: {turns} turns, {sound_ms} ms of sound")


if __name__ == "__main__":
    main()
