"""Calls as files: everything a call leaves behind, and what is left when things go wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from structlog.testing import capture_logs

from bridge.audio import wav
from bridge.conversation.journal import (
    CallerSpoke,
    KeyPressed,
    MessageLeft,
    NoteTaken,
    RecordingPaused,
    RecordingResumed,
    StreamBroke,
    transcript,
)
from bridge.store.base import CallFiles, CallRecord, Store
from bridge.store.files import FileStore, finish_from_journal, read_journal, unfinished
from bridge.store.writer import DiskThread
from tests.store import wav_reader
from tests.store.samples import ENTRIES, HEADER


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileStore]:
    store = FileStore(tmp_path / "calls", True, disk=DiskThread())
    yield store
    await store.close()


async def test_a_call_leaves_its_files(store: Store, tmp_path: Path) -> None:
    record: CallRecord = store.open(HEADER)
    for at_ms in range(0, 17_000, 20):
        record.caller_audio(at_ms, b"\x55" * 160)
    for entry in ENTRIES:
        record.append(entry)
    record.agent_audio(16_000, b"\x66" * 800)
    record.agent_cleared(16_050)
    record.trace(b'{"step":1}\n')
    record.trace(b'{"step":2}\n')
    files = await record.close()

    folder = tmp_path / "calls" / "2026-03-01" / "123456-5f0c2a7be1d9"
    assert files == CallFiles(
        folder=folder,
        journal=folder / "journal.jsonl",
        trace=folder / "trace.jsonl",
        transcript_text=folder / "transcript.txt",
        transcript_json=folder / "transcript.json",
        recording=folder / "recording.wav",
        timeline=folder / "timeline.svg",
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        "journal.jsonl",
        "message-1.wav",
        "recording.wav",
        "timeline.svg",
        "trace.jsonl",
        "transcript.json",
        "transcript.txt",
    ]
    assert (await asyncio.to_thread(files.trace.read_bytes)) == b'{"step":1}\n{"step":2}\n'
    assert await asyncio.to_thread(read_journal, files.journal) == (HEADER, ENTRIES)
    assert files.recording is not None
    recording = wav_reader.read(files.recording.read_bytes())
    assert recording.left == b"\x55" * 17_000 * 8
    assert recording.right == b"\xff" * 16_000 * 8 + b"\x66" * 400 + b"\xff" * 950 * 8
    written = msgspec.json.decode(files.transcript_json.read_bytes())
    assert written["header"] == msgspec.to_builtins(HEADER)
    assert written["lines"] == [line | {"degraded": False} for line in msgspec.to_builtins(transcript(ENTRIES))]
    assert written["ended"]["reason"] == "caller"
    ET.parse(files.timeline)
    assert folder.stat().st_mode & 0o077 == 0, "others may not look in"


async def test_closing_twice_gives_the_same_and_what_comes_later_is_ignored(store: FileStore) -> None:
    record = store.open(HEADER)
    first, second = await asyncio.gather(record.close(), record.close())
    record.append(KeyPressed(1, "1"))
    record.caller_audio(0, b"\x55" * 160)
    record.agent_audio(0, b"\x55" * 160)
    record.agent_cleared(0)
    assert first is second
    assert await record.close() is first
    assert (await asyncio.to_thread(read_journal, first.journal))[1] == []


async def test_without_recording_there_is_none(tmp_path: Path) -> None:
    store = FileStore(tmp_path, False)
    record = store.open(HEADER)
    record.caller_audio(0, b"\x55" * 160)
    record.append(StreamBroke(5))
    files = await record.close()
    await store.close()
    assert files.recording is None
    assert "recording.wav" not in [path.name for path in files.folder.iterdir()]


async def test_what_the_phone_held_when_its_stream_broke_was_not_heard(store: FileStore) -> None:
    record = store.open(HEADER)
    record.agent_audio(0, b"\x66" * 16_000)
    record.append(StreamBroke(500))
    record.caller_audio(900, b"\x55" * 160)
    files = await record.close()
    assert files.recording is not None
    assert wav_reader.read(files.recording.read_bytes()).right == b"\x66" * 4000 + b"\xff" * (920 * 8 - 4000)


async def test_a_record_that_is_there_is_never_touched(store: FileStore) -> None:
    first = await store.open(HEADER).close()
    before = first.journal.read_bytes()
    record = store.open(HEADER)
    record.append(KeyPressed(1, "1"))
    second = await record.close()
    assert second.folder.name == first.folder.name + "-2"
    assert first.journal.read_bytes() == before


@pytest.mark.parametrize(
    ("call", "started_at", "name"),
    [
        ("../../etc/passwd", "2026-03-01T01:02:03Z", "2026-03-01/010203-.._.._etc_passwd"),
        ("a b/ü", "2026-03-01T01:02:03+05:00", "2026-02-28/200203-a_b_"),
        ("", "2026-03-01T01:02:03", "2026-03-01/010203-call"),
    ],
)
async def test_names_of_folders(store: FileStore, tmp_path: Path, call: str, started_at: str, name: str) -> None:
    files = await store.open(replace(HEADER, id=call, started_at=started_at)).close()
    assert files.folder == tmp_path / "calls" / name
    assert files.journal.exists()


async def test_a_time_that_is_none_is_no_reason_to_lose_a_call(store: FileStore) -> None:
    files = await store.open(replace(HEADER, started_at="yesterday")).close()
    assert files.journal.exists()
    assert "yesterday" in files.transcript_text.read_text()


async def test_a_folder_that_vanishes_in_mid_call_does_not_end_it(store: FileStore, tmp_path: Path) -> None:
    record = store.open(HEADER)
    for at_ms in range(0, 8000, 20):
        record.caller_audio(at_ms, b"\x55" * 160)
        if at_ms == 5000:
            await store._disk.run(lambda: shutil.rmtree(tmp_path / "calls"))
    record.append(KeyPressed(1, "1"))
    with capture_logs() as logs:
        files = await record.close()
    assert [line["event"] for line in logs] == ["call_not_finished"]
    assert files.folder.parent.parent == tmp_path / "calls"


async def test_a_folder_that_cannot_be_made_does_not_end_the_call(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text("in the way")
    with capture_logs() as logs:
        store = FileStore(tmp_path / "calls", True)
        record = store.open(HEADER)
        for at_ms in range(0, 8000, 20):
            record.caller_audio(at_ms, b"\x55" * 160)
        for entry in ENTRIES:
            record.append(entry)
        files = await record.close()
        await store.close()
    events = [line["event"] for line in logs]
    assert events == ["journal_not_written", "recording_not_written", "journal_incomplete", "call_not_finished"]
    assert all(line["call"] == HEADER.id for line in logs)
    assert files.recording is None


async def test_a_fault_in_the_picture_does_not_end_the_call(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("bridge.store.timeline.timeline_svg", broken)
    with capture_logs() as logs:
        files = await store.open(HEADER).close()
    assert [line["event"] for line in logs] == ["call_not_finished"]
    assert files.transcript_text.exists()


async def test_an_entry_that_cannot_be_written_is_told(store: FileStore) -> None:
    record = store.open(HEADER)
    with capture_logs() as logs:
        record.append(NoteTaken(1, {"bad": (digit for digit in "12")}))
        record.append(KeyPressed(2, "1"))
        files = await record.close()
    assert [line["event"] for line in logs] == ["journal_entry_unfit"]
    assert (await asyncio.to_thread(read_journal, files.journal))[1] == [KeyPressed(2, "1")]


async def test_settled_waits_for_the_disk_and_growth_is_told_after_it(tmp_path: Path) -> None:
    grown: list[tuple[Path, str, int]] = []
    held = threading.Event()
    disk = DiskThread()
    store = FileStore(
        tmp_path,
        disk=disk,
        on_growth=lambda folder, call: grown.append((folder, call, (folder / "journal.jsonl").stat().st_size)),
    )
    record = store.open(HEADER)
    await record.settled()

    def busy() -> None:
        held.wait(10)

    disk.put(busy, vital=True)
    record.append(KeyPressed(1, "1"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await record.settled()
    assert len(grown) == 1
    held.set()
    await record.settled()
    assert len(grown) == 2
    files = await record.close()
    sizes = [size for folder, call, size in grown if (folder, call) == (files.folder, HEADER.id)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == files.journal.stat().st_size
    await record.settled()
    await store.close()


DYING = """
import asyncio, os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.store.samples import ENTRIES, HEADER
from bridge.store.files import FileStore

async def main():
    store = FileStore(Path({folder!r}), True)
    record = store.open(HEADER)
    for at_ms in range(0, 12000, 20):
        record.caller_audio(at_ms, bytes([1 + at_ms // 20 % 200]) * 160)
    for entry in ENTRIES:
        record.append(entry)
    while store._disk.waiting:
        time.sleep(0.001)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_a_process_that_is_killed_loses_no_entry(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    script = DYING.format(root=root, folder=str(tmp_path / "calls"))
    ended = subprocess.run([sys.executable, "-c", script], timeout=30, check=False, env={**os.environ})
    assert ended.returncode == -signal.SIGKILL

    (folder,) = unfinished(tmp_path / "calls")
    assert [path.name for path in sorted(folder.iterdir())] == ["journal.jsonl", "recording.wav"]
    assert read_journal(folder / "journal.jsonl") == (HEADER, ENTRIES)
    left = wav_reader.read((folder / "recording.wav").read_bytes()).left
    assert len(left) >= 8000 * 8
    assert left == b"".join(bytes([1 + n % 200]) * 160 for n in range(600))[: len(left)]
    with (folder / "recording.wav").open("ab") as file:
        file.write(b"\x01\xff\x02")  # as if it had died between a block and its header

    files = finish_from_journal(folder)
    assert files.recording == folder / "recording.wav"
    assert wav_reader.read(files.recording.read_bytes()).left == left + b"\x01"
    assert "cut off" in files.transcript_text.read_text()
    ET.parse(files.timeline)
    assert unfinished(tmp_path / "calls") == []
    assert unfinished(tmp_path / "nowhere") == []


def test_the_journal_of_a_call_that_was_only_begun(tmp_path: Path) -> None:
    folder = tmp_path / "call"
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(
        b'{"version":1,"header":' + msgspec.json.encode(HEADER) + b"}\n" + b'{"entry":"caller_spo'
    )
    files = finish_from_journal(folder)
    assert files.recording is None
    assert "(nothing was said)" in files.transcript_text.read_text()
    assert "the record breaks off" in files.transcript_text.read_text()
    assert msgspec.json.decode(files.transcript_json.read_bytes())["ended"] is None


async def test_each_message_is_a_file_of_its_own(store: FileStore) -> None:
    record = store.open(HEADER)
    spoken = bytes(number % 250 for number in range(40_000))
    for at_ms in range(0, 5000, 20):
        record.caller_audio(at_ms, spoken[8 * at_ms : 8 * at_ms + 160])
    record.agent_audio(0, b"\x66" * 40_000)
    record.append(MessageLeft(1, " Call me back.", 1000, 2500))
    record.append(MessageLeft(2, "", 4000, 9000))  # Beyond the end of the call.
    files = await record.close()

    assert wav.read_mulaw((files.folder / "message-1.wav").read_bytes(), name="message") == spoken[8000:20_000]
    assert wav.read_mulaw((files.folder / "message-2.wav").read_bytes(), name="message") == spoken[32_000:]


async def test_a_message_of_a_call_that_was_not_recorded_is_words_only(tmp_path: Path) -> None:
    store = FileStore(tmp_path, record_audio=False, disk=DiskThread())
    record = store.open(HEADER)
    record.append(MessageLeft(1, " Call me back.", 1000, 2500))
    files = await record.close()

    assert not list(files.folder.glob("*.wav"))
    await store.close()


async def test_a_pause_is_silence_in_the_recording_and_makes_no_message_of_it(store: FileStore) -> None:
    record = store.open(HEADER)
    for at_ms in range(0, 5000, 20):
        record.caller_audio(at_ms, b"\x55" * 160)
        if at_ms == 1000:
            record.agent_audio(1000, b"\x66" * 16_000)
            record.pause_audio(1500)
            record.append(RecordingPaused(1500))
        if at_ms == 3000:
            record.resume_audio(3000)
            record.append(RecordingResumed(3000))
    record.append(MessageLeft(1, " Not this.", 1600, 2500))
    record.append(MessageLeft(2, " Half of this.", 2500, 3500))
    files = await record.close()

    assert files.recording is not None
    heard = wav_reader.read(files.recording.read_bytes())
    assert heard.left == b"\x55" * 12_000 + b"\xff" * 12_000 + b"\x55" * 16_000
    assert heard.right == b"\xff" * 8000 + b"\x66" * 4000 + b"\xff" * 28_000
    assert [path.name for path in files.folder.glob("message-*")] == ["message-2.wav"]
    said = files.transcript_text.read_text(encoding="utf-8")
    assert "[ 0:01.5]         (recording paused)" in said
    assert "[ 0:03.0]         (recording resumed)" in said


async def test_a_call_that_begins_paused_keeps_no_sound_until_it_is_resumed(store: FileStore) -> None:
    record = store.open(replace(HEADER, recording="paused"))
    for at_ms in range(0, 1000, 20):
        record.caller_audio(at_ms, b"\x55" * 160)
        if at_ms == 500:
            record.resume_audio(500)
    files = await record.close()
    assert files.recording is not None
    assert wav_reader.read(files.recording.read_bytes()).left == b"\xff" * 4000 + b"\x55" * 4000


async def test_a_call_that_is_not_recorded_has_no_file_of_sound(store: FileStore) -> None:
    record = store.open(replace(HEADER, recording="off"))
    record.caller_audio(0, b"\x55" * 160)
    record.resume_audio(0)
    record.caller_audio(20, b"\x55" * 160)
    files = await record.close()
    assert files.recording is None
    assert not list(files.folder.glob("*.wav"))


async def test_many_calls_at_once(store: FileStore) -> None:
    records = [store.open(replace(HEADER, id=f"call{number}")) for number in range(20)]
    for turn in range(50):
        for number, record in enumerate(records):
            record.append(CallerSpoke(turn, f"{number}", turn, turn + 1))
            record.caller_audio(turn * 20, bytes([number + 1]) * 160)
    for number, files in enumerate(await asyncio.gather(*(record.close() for record in records))):
        _, entries = await asyncio.to_thread(read_journal, files.journal)
        assert {entry.transcript for entry in entries if isinstance(entry, CallerSpoke)} == {f"{number}"}
        assert len(entries) == 50
        assert files.recording is not None
        assert wav_reader.read(files.recording.read_bytes()).left == bytes([number + 1]) * 8000
