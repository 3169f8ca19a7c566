"""Calls whose sound is encrypted: whole, left by a crash, with messages, and with a key that is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from bridge.audio.wav import write_mulaw
from bridge.conversation import journal as j
from bridge.store.base import CallFiles
from bridge.store.files import FileStore, finish_from_journal
from bridge.store.recordings import read_peaks
from bridge.store.sealing import PIECE, Keys
from bridge.store.vault import open_recording
from bridge.store.writer import DiskThread
from tests.store import wav_reader
from tests.store.samples import HEADER

KEYS = Keys(bytes(range(32)))
OTHER = Keys(bytes(32))
VOICE = bytes(at % 120 for at in range(8 * 12_000))
ENTRIES: list[j.Entry] = [
    j.CallOpened(),
    j.CallerSpoke(1, "Please call me back.", 1000, 3000),
    j.MessageLeft(1, "Please call me back.", 1000, 3001),
    j.CallClosed(12_000, "caller"),
]


async def kept(folder: Path, keys: Keys) -> CallFiles:
    disk = DiskThread()
    record = FileStore(folder, disk=disk, keys=keys).open(HEADER)
    for at in range(0, len(VOICE), 160):
        record.caller_audio(at // 8, VOICE[at : at + 160])
    for entry in ENTRIES:
        record.append(entry)
    files = await record.close()
    await disk.close()
    return files


async def died(folder: Path) -> Path:
    """What the death of the process leaves of such a call."""
    files = await kept(folder, KEYS)

    def undo() -> None:
        for name in ("timeline.svg", "transcript.txt", "transcript.json", "message-1.wav.enc"):
            (files.folder / name).unlink()
        assert files.recording is not None
        with files.recording.open("r+b") as file:
            file.truncate(33 + 20 * (PIECE + 28) + 5000)

    await asyncio.to_thread(undo)
    return files.folder


def sound(folder: Path, keys: Keys, message: int | None = None) -> bytes:
    with open_recording(folder, keys, message=message) as recording:
        assert recording.encrypted == (keys.current is not None)
        return recording.read(0, recording.size)


async def test_a_call_is_kept_as_ever_but_for_its_sound(tmp_path: Path) -> None:
    sealed = await kept(tmp_path / "sealed", KEYS)
    plain = await kept(tmp_path / "plain", Keys())
    assert sealed.recording is not None
    assert sealed.recording.name == "recording.wav.enc"

    def compare() -> None:
        assert {path.name for path in sealed.folder.iterdir()} == {
            f"{path.name}.enc" if path.suffix == ".wav" else path.name for path in plain.folder.iterdir()
        }
        assert sound(sealed.folder, KEYS) == sound(plain.folder, Keys())
        assert wav_reader.read(sound(sealed.folder, KEYS)).left == VOICE
        assert sound(sealed.folder, KEYS, 1) == write_mulaw(VOICE[8000 : 8 * 3001])
        for one in ("transcript.txt", "transcript.json", "timeline.svg"):
            assert (sealed.folder / one).read_bytes() == (plain.folder / one).read_bytes()
        everything = b"".join(path.read_bytes() for path in sealed.folder.iterdir())
        assert VOICE[100:116] not in everything

    await asyncio.to_thread(compare)


async def test_a_call_whose_process_died_is_finished_with_what_is_there(tmp_path: Path) -> None:
    folder = await died(tmp_path)

    def finish() -> None:
        files = finish_from_journal(folder, KEYS)
        assert files.recording is not None
        with open_recording(folder, KEYS) as recording:
            assert recording.complete
            left = wav_reader.read(recording.read(0, recording.size)).left
        assert left == VOICE[: 20 * PIECE // 2]
        assert sound(folder, KEYS, 1) == write_mulaw(VOICE[8000 : 8 * 3001])
        before = (folder / "recording.wav.enc").read_bytes()
        finish_from_journal(folder, KEYS)
        assert (folder / "recording.wav.enc").read_bytes() == before

    await asyncio.to_thread(finish)


async def test_a_key_that_is_gone_keeps_nothing_but_the_sound_from_being_finished(tmp_path: Path) -> None:
    folder = await died(tmp_path)
    with capture_logs() as logs:
        files = await asyncio.to_thread(finish_from_journal, folder, OTHER)
    assert [(line["event"], line["code"]) for line in logs] == [("recording_not_opened", "recording_locked")]
    assert await asyncio.to_thread(lambda: [files.timeline.exists(), files.transcript_text.exists()]) == [
        True,
        True,
    ]
    # Once the key is among the old ones, it is read again.
    keys = Keys(bytes(32), (bytes(range(32)),))
    peaks = await asyncio.to_thread(read_peaks, folder / "recording.wav", keys)
    assert len(peaks.caller) > 400
