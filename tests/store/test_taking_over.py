"""A call's folder whose process died: who gets it, and how its record goes on."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.conversation import journal as j
from bridge.conversation.commands import LONGEST_TALK_S
from bridge.settings.calls import VoicemailSettings
from bridge.store.base import CallHeader
from bridge.store.files import FileStore, read_journal, unfinished
from bridge.store.journal_file import entry_line, header_line
from bridge.store.sealing import Keys
from bridge.store.taking_over import away_s
from bridge.store.vault import open_sound
from bridge.store.writer import DiskThread
from tests.store import wav_reader
from tests.store.samples import HEADER

SID = HEADER.sid
SAID = j.CallerSpoke(1, "Hello", 300, 900)

DYING = """
import asyncio, os, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from bridge.conversation import journal as j
from bridge.store.files import FileStore
from bridge.store.sealing import Keys
from tests.store.test_taking_over import SAID, header

async def main():
    record = FileStore(Path({folder!r}), keys=Keys({key!r})).open(header())
    record.append(j.CallOpened())
    record.append(SAID)
    for n in range(200):
        record.caller_audio(n * 20, bytes([1 + n]) * 160)
        record.agent_audio(n * 20, b"\\x11" * 160)
    await record.settled()
    await asyncio.sleep(0.4)
    if {waits!r}:
        print("here", flush=True)
        time.sleep(60)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def header() -> CallHeader:
    began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=8)
    return dataclasses.replace(HEADER, started_at=began.isoformat(timespec="milliseconds"))


def script(folder: Path, *, waits: bool = False, keys: Keys | None = None) -> list[str]:
    root = str(Path(__file__).parents[2])
    key = None if keys is None else keys.current
    return [sys.executable, "-c", DYING.format(root=root, folder=str(folder), waits=waits, key=key)]


def die(folder: Path, keys: Keys | None = None) -> None:
    ended = subprocess.run(script(folder, keys=keys), timeout=60, check=False, env={**os.environ})
    assert ended.returncode == -9


def add(folder: Path, line: bytes) -> None:
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(line)


def sides(folder: Path, keys: Keys | None) -> tuple[bytes, bytes]:
    """What a call's recording holds of the caller and of the agent."""
    if keys is None:
        sound = wav_reader.read((folder / "recording.wav").read_bytes())
        return sound.left, sound.right
    with open_sound(folder / "recording.wav", keys, channels=2) as opened:
        both = opened.audio(0, 100_000)
    return both[::2], both[1::2]


def new_store(folder: Path, keys: Keys | None = None, resume_s: float = 30.0) -> FileStore:
    return FileStore(folder, keys=keys or Keys(), disk=DiskThread(), resume_s=resume_s)


@pytest.mark.parametrize("keys", [None, Keys(bytes(32))], ids=["plain", "sealed"])
async def test_a_record_goes_on_in_its_folder(tmp_path: Path, keys: Keys | None) -> None:
    await asyncio.to_thread(die, tmp_path, keys)
    (folder,) = unfinished(tmp_path)
    await asyncio.to_thread(add, folder, b'{"entry":"caller_spo')
    store = new_store(tmp_path, keys)
    found = await store.reopen(SID)

    assert found is not None
    assert found.header.sid == SID
    assert found.epoch == 2
    taken = found.entries[-1]
    assert found.entries == (j.CallOpened(), SAID, taken)
    assert taken == j.CallTakenOver(taken.at_ms if isinstance(taken, j.CallTakenOver) else -1, 2)
    assert 8000 <= taken.at_ms < 60_000

    record = found.record
    record.append(j.StreamResumed(9000))
    record.caller_audio(9000, b"\x22" * 8000)
    record.append(j.CallClosed(10_000, "caller"))
    files = await record.close()
    await store.close()
    assert files.folder == folder
    assert unfinished(tmp_path) == []
    assert (await asyncio.to_thread(read_journal, files.journal))[1] == [
        *found.entries,
        j.StreamResumed(9000),
        j.CallClosed(10_000, "caller"),
    ]
    assert files.recording is not None
    left, right = await asyncio.to_thread(sides, folder, keys)
    assert len(left) == len(right) == 80_000
    assert left[:160] == b"\x01" * 160
    assert left[9000 * 8 :] == b"\x22" * 8000
    assert left[6000 * 8 : 9000 * 8] == b"\xff" * 24_000  # Nobody heard it.


async def test_a_call_whose_process_lives_is_left_to_it(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(*script(tmp_path, waits=True), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    store = new_store(tmp_path)
    assert await store.reopen(SID) is None
    await new_store(tmp_path, resume_s=0).finish_left_over()
    assert len(unfinished(tmp_path)) == 1
    process.kill()
    await process.wait()
    found = await store.reopen(SID)
    assert found is not None
    await found.record.close()
    await store.close()


async def test_one_of_many_gets_it_and_nobody_finishes_it_meanwhile(tmp_path: Path) -> None:
    await asyncio.to_thread(die, tmp_path)
    stores = [new_store(tmp_path) for _ in range(5)]
    found = [one for one in await asyncio.gather(*(store.reopen(SID) for store in stores)) if one is not None]
    assert len(found) == 1
    await new_store(tmp_path, resume_s=0).finish_left_over()
    assert len(unfinished(tmp_path)) == 1

    await found[0].record.close()
    assert unfinished(tmp_path) == []
    assert await stores[0].reopen(SID) is None  # It is finished.


async def test_what_is_finished_over_or_unknown_is_not_taken(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    assert await store.reopen(SID) is None
    await asyncio.to_thread(die, tmp_path)
    assert await new_store(tmp_path, resume_s=0).reopen(SID) is None
    assert await store.reopen("CA0") is None
    assert await store.reopen("") is None
    (folder,) = unfinished(tmp_path)
    await asyncio.to_thread(add, folder, b'{"entry":"call_closed","at_ms":5000,"reason":"caller"}\n')
    assert await store.reopen(SID) is None


async def test_a_call_is_finished_when_it_can_be_taken_over_no_more(tmp_path: Path) -> None:
    await asyncio.to_thread(die, tmp_path)
    (folder,) = unfinished(tmp_path)
    long_ago = (folder / "journal.jsonl").stat().st_mtime - 28.5
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    finishing = asyncio.ensure_future(new_store(tmp_path).finish_left_over())  # noqa: TID251
    await asyncio.sleep(0.05)
    assert len(unfinished(tmp_path)) == 1
    async with asyncio.timeout(10):
        await finishing
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize(
    ("entries", "seconds"),
    [
        ([], 0.0),
        (
            [j.Standing(1, left={"reason": "transfer", "transfer": {"to": "+1", "timeout_s": 45.0}})],
            LONGEST_TALK_S + 45.0,
        ),
        ([j.Standing(1, left={"reason": "transfer", "transfer": {"to": "+1"}})], LONGEST_TALK_S + 120.0),
        ([j.Standing(1, left={"reason": "agent_failed", "voicemail": True, "transfer": None})], 3660.0),
        ([j.Standing(1, left={"reason": "digits", "digits": "1", "transfer": None})], 0.0),
        ([j.Standing(1, left={"reason": "transfer", "transfer": {"to": "+1"}}), j.StreamResumed(9)], 0.0),
    ],
)
def test_a_caller_who_is_passed_on_may_be_away_for_as_long_as_it_rings_and_they_may_talk(
    tmp_path: Path, entries: list[j.Entry], seconds: float
) -> None:
    (tmp_path / "journal.jsonl").write_bytes(header_line(HEADER) + b"".join(map(entry_line, entries)))
    assert away_s(tmp_path) == seconds


def test_a_caller_may_be_away_for_the_longest_message_that_the_settings_allow(tmp_path: Path) -> None:
    longest = VoicemailSettings.model_json_schema()["properties"]["max_seconds"]["maximum"]
    left = j.Standing(1, left={"reason": "agent_failed", "voicemail": True, "transfer": None})
    (tmp_path / "journal.jsonl").write_bytes(header_line(HEADER) + entry_line(left))
    assert away_s(tmp_path) == longest + 60


async def test_what_was_heard_of_a_reply_is_in_the_transcript_of_a_call_that_nobody_goes_on_with(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(die, tmp_path)
    (folder,) = unfinished(tmp_path)
    add(folder, entry_line(j.AgentHeard(2400, 1, 1, "turn.ended", "I heard you. Now", 950, 1000)) + b'{"torn')
    told: list[str] = []
    async with asyncio.timeout(10):
        await FileStore(tmp_path, on_growth=lambda _, call: told.append(call)).finish_left_over()
    assert "I heard you. Now" in (folder / "transcript.txt").read_text()
    _, entries = await asyncio.to_thread(read_journal, folder / "journal.jsonl")
    assert entries[-1] == j.AgentSpoke(
        1, 1, "turn.ended", "I heard you. Now", "", False, 950, 2400, sent_ms=1000, again=True
    )
    assert told == [HEADER.id]
