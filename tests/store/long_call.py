"""A long call at high speed, recorded as it would be: is the memory flat, do both sides stay together, is all kept?

`python -m tests.store.long_call --hours 3` plays one; a test plays minutes. Nothing waits for the clock. The
carrier's frames are lost, doubled, late and out of order, arrive with a delay that drifts, and waver by some ms;
the agent speaks in pieces ahead of time and is cut off. Into both sides markers are put at times that are known
here, and looked for in the file afterwards.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from bridge.conversation.journal import AgentSilenced, AgentSpoke, CallClosed, CallerSpoke, CallOpened
from bridge.store.base import CallFiles
from bridge.store.files import FileStore, read_journal
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from bridge.store.writer import DiskThread
from tests.store.samples import HEADER

FRAME_MS = 20
MARKER = 0x2A
"""A byte that nothing but markers holds."""
EVERY_MS = 10_000
_HEADER_BYTES = 58


@dataclass
class Report:
    """What came of it."""

    call_ms: int
    took_s: float
    markers: int
    missing: int
    """Markers that stand nowhere near their place."""
    worst_caller_ms: float
    worst_agent_ms: float
    worst_apart_ms: float
    """Between both sides' markers of one moment."""
    last_apart_ms: float
    """Of the last of them."""
    recorded_ms: int
    turns: int
    kept_turns: int
    rows: int = 0
    """Rows of the database that hold a caller's turn as it was said, in order and each once."""
    rss_mb: list[float] = field(default_factory=list)
    """Resident memory after each tenth of the call."""

    def lines(self) -> Iterator[str]:
        """To be read."""
        yield f"{self.call_ms / 3_600_000:.2f} h of call in {self.took_s:.1f} s"
        yield f"recorded {self.recorded_ms} ms of {self.call_ms} ms"
        yield f"markers {self.markers}, missing {self.missing}"
        yield (
            f"off by at most: caller {self.worst_caller_ms:.3f} ms, agent {self.worst_agent_ms:.3f} ms,"
            f" apart {self.worst_apart_ms:.3f} ms, the last {self.last_apart_ms:.3f} ms"
        )
        yield f"turns {self.turns}, in the journal {self.kept_turns}, in the database {self.rows}"
        yield "memory (MB) after each tenth: " + " ".join(f"{one:.1f}" for one in self.rss_mb)


@dataclass(frozen=True)
class Move:
    """Something that reaches the bridge."""

    at_ms: float
    """When it does, by the bridge's clock."""
    order: int
    what: str
    stamp: float
    audio: bytes = b""


def caller_frames(call_ms: int, chance: random.Random) -> Iterator[Move]:
    """The carrier's frames with their timestamps, in the order of these; some come late, twice, or never."""
    speech = [bytes(chance.choice(b"\x11\x33\x55\x77\x99") for _ in range(8 * FRAME_MS)) for _ in range(50)]
    for number in range(call_ms // FRAME_MS):
        stamp = number * FRAME_MS
        marked = stamp % EVERY_MS == 0 and stamp > 0
        audio = bytes([MARKER]) * (8 * FRAME_MS) if marked else speech[number % len(speech)]
        if not marked and chance.random() < 0.01:
            continue
        drift = 700 * (stamp / call_ms) + 40  # ms; the network becomes slower as the call goes on
        late = chance.uniform(0, 250) if chance.random() < 0.02 and not marked else chance.uniform(0, 8)
        waver = 0 if marked or number == 0 else chance.choice((0, 0, 0, 1, -1, 3))
        yield Move(stamp + FRAME_MS + drift + late, number, "caller", max(0, stamp + waver), audio)
        if not marked and chance.random() < 0.01:
            yield Move(stamp + FRAME_MS + drift + 30, number, "caller", stamp, audio)


def agent_moves(call_ms: int, chance: random.Random) -> Iterator[Move]:
    """What the bridge hands to the phone: pieces of half a second ahead of time, and now and then a clear."""
    piece = bytes(chance.choice(b"\x22\x44\x66\x88") for _ in range(4000))
    for begin in range(EVERY_MS, call_ms - 5000, EVERY_MS):
        start = begin - 1000  # The marker sounds a second after its utterance begins.
        pieces = [piece, piece, bytes([MARKER]) * (8 * FRAME_MS) + piece[8 * FRAME_MS :], piece, piece, piece]
        for number, audio in enumerate(pieces):
            yield Move(start + (0 if number < 3 else 500 * (number - 3) + 100), number, "agent", 0, audio)
        if chance.random() < 0.5:
            yield Move(start + 1700, 90, "clear", 0)


def moves(call_ms: int, seed: int) -> Iterator[Move]:
    """Everything in the order in which it comes, made as it is needed."""
    chance = random.Random(seed)
    waiting: list[Move] = []
    agent = agent_moves(call_ms, chance)
    ahead: Move | None = next(agent, None)
    for frame in caller_frames(call_ms, chance):
        waiting.append(frame)
        if len(waiting) < 400:
            continue
        while ahead is not None and ahead.at_ms < frame.stamp:
            waiting.append(ahead)
            ahead = next(agent, None)
        waiting.sort(key=lambda move: (move.at_ms, move.order))
        until = frame.stamp  # Nothing that is still to be made comes before that.
        count = next((index for index, move in enumerate(waiting) if move.at_ms >= until), len(waiting))
        yield from waiting[:count]
        del waiting[:count]
    waiting += [one for one in (ahead, *agent) if one is not None]
    yield from sorted(waiting, key=lambda move: (move.at_ms, move.order))


def turns_of(begin_ms: int, number: int) -> Iterator[CallerSpoke | AgentSpoke | AgentSilenced]:
    """What the journal tells of ten seconds."""
    yield CallerSpoke(number, f" Question {number}?", begin_ms, begin_ms + 2000, begin_ms + 1700)
    yield AgentSpoke(
        *(number, number, "turn.ended", f"Answer {number}.", " And more.", True, begin_ms + 2000, begin_ms + 6000),
        *(begin_ms + 2200, begin_ms + 2400, begin_ms + 2401, begin_ms + 2900),
    )
    yield AgentSilenced(begin_ms + 6000, number + 1, number)


async def play(folder: Path, call_ms: int, seed: int = 1) -> Report:
    """Record a call of this length below `folder`, and look at what was kept."""
    disk = DiskThread()
    store = FileStore(folder, disk=disk)
    record = store.open(replace(HEADER, id=f"long{seed}"))
    record.append(CallOpened())
    began, turns, tenth = time.monotonic(), 0, 1
    memory = [rss_mb()]
    for move in moves(call_ms, seed):
        match move.what:
            case "caller":
                record.caller_audio(round(move.stamp), move.audio)
            case "agent":
                record.agent_audio(move.at_ms, move.audio)
            case _:
                record.agent_cleared(move.at_ms)
        if move.at_ms >= turns * EVERY_MS:
            turns += 1
            for entry in turns_of((turns - 1) * EVERY_MS, turns):
                record.append(entry)
            await disk.run(lambda: None)  # In a real call the disk has ten seconds for this.
        if move.at_ms >= call_ms * tenth / 10:
            tenth += 1
            memory.append(rss_mb())
    record.append(CallClosed(call_ms, "caller"))
    files = await record.close()
    took = time.monotonic() - began
    await store.close()
    report = await asyncio.to_thread(judged, files, call_ms, turns, took)
    report.rss_mb = memory
    report.rows = await rows_of(folder, f"long{seed}")
    return report


async def rows_of(folder: Path, call_id: str) -> int:
    """Bring the database up to the journal, and count the caller's turns that are in it as they were said."""
    from sqlalchemy import select

    from bridge.store.sql.schema import turns

    database = Database("", folder)
    keeper = Keeper(database, folder)
    try:
        await keeper.catch_up()
        wanted = select(turns.c.number, turns.c.text).where(turns.c.call_id == call_id, turns.c.speaker == "caller")
        async with database.reading() as connection:
            rows = (await connection.execute(wanted.order_by(turns.c.seq))).all()
    finally:
        await keeper.close()
        await database.close()
    expected = [(number, f" Question {number}?") for number in range(1, len(rows) + 1)]
    return len(rows) if [tuple(row) for row in rows] == expected else 0


def rss_mb() -> float:
    """The resident memory of this process."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def judged(files: CallFiles, call_ms: int, turns: int, took_s: float) -> Report:
    """Measure where the markers stand, and count what the journal holds."""
    assert files.recording is not None
    _, entries = read_journal(files.journal)
    with files.recording.open("rb") as file:
        file.seek(0, os.SEEK_END)
        frames = (file.tell() - _HEADER_BYTES) // 2
        off_left, off_right, apart = [], [], []
        missing = 0
        for at_ms in range(EVERY_MS, call_ms - 5000, EVERY_MS):
            file.seek(_HEADER_BYTES + 2 * 8 * (at_ms - 500))
            around = file.read(2 * 8 * 1000)
            left, right = (around[side::2].find(bytes([MARKER]) * 40) for side in (0, 1))
            if min(left, right) < 0:
                missing += 1
                continue
            off_left.append(left / 8 - 500)
            off_right.append(right / 8 - 500)
            apart.append(abs(left - right) / 8)
    return Report(
        call_ms=call_ms,
        took_s=took_s,
        markers=len(apart) + missing,
        missing=missing,
        worst_caller_ms=max(map(abs, off_left), default=0.0),
        worst_agent_ms=max(map(abs, off_right), default=0.0),
        worst_apart_ms=max(apart, default=0.0),
        last_apart_ms=apart[-1] if apart else 0.0,
        recorded_ms=frames // 8,
        turns=turns,
        kept_turns=sum(isinstance(entry, CallerSpoke) for entry in entries),
    )


@click.command()
@click.option("--hours", type=float, default=1.0, show_default=True, help="Length of the call.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another call.")
def main(hours: float, seed: int) -> None:
    """Record a long call at high speed and tell how that went."""
    with tempfile.TemporaryDirectory(prefix="long-call-") as folder:
        report = asyncio.run(play(Path(folder), round(hours * 360) * EVERY_MS, seed))
    for line in report.lines():
        click.echo(line)


if __name__ == "__main__":
    main()
