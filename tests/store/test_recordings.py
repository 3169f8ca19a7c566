"""The recording on the disk: whole at every moment, and right at the end."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.store.folder import CallFolder
from bridge.store.recordings import Recorder, RecordingFile, mend, read_peaks
from bridge.store.vault import Keys, open_recording
from bridge.store.writer import DiskThread
from tests.store import wav_reader
from tests.store.samples import HEADER

SPOKEN = bytes(range(1, 255)) * 800  # 25 s
ANSWER = bytes(reversed(range(1, 255))) * 100  # 3 s


@pytest.fixture
async def disk() -> Any:
    disk = DiskThread()
    yield disk
    await disk.close()


def recorder(tmp_path: Path, disk: DiskThread, key: bytes | None = None) -> tuple[Recorder, Path, RecordingFile]:
    folder = CallFolder(tmp_path, HEADER)
    file = RecordingFile(folder, call=HEADER.id, key=key)
    return Recorder(file, disk), folder.path / "recording.wav", file


async def test_a_whole_call(tmp_path: Path, disk: DiskThread) -> None:
    recording, path, _ = recorder(tmp_path, disk)
    for at_ms in range(0, len(SPOKEN) // 8, 20):
        recording.caller_audio(at_ms, SPOKEN[8 * at_ms : 8 * at_ms + 160])
        if at_ms == 4000:
            recording.agent_audio(4013.5, ANSWER)
        if at_ms == 5000:
            recording.agent_cleared(5001.25)
    assert await recording.finish()
    heard = wav_reader.read(path.read_bytes())
    assert heard.left == SPOKEN
    start, stop = round(4013.5 * 8), round(5001.25 * 8)
    assert heard.right == b"\xff" * start + ANSWER[: stop - start] + b"\xff" * (len(SPOKEN) - stop)
    assert recording.dropped_ms == 0


async def test_it_is_a_whole_recording_at_every_moment(tmp_path: Path, disk: DiskThread) -> None:
    recording, path, _ = recorder(tmp_path, disk)
    lengths = []
    for at_ms in range(0, len(SPOKEN) // 8, 20):
        recording.caller_audio(at_ms, SPOKEN[8 * at_ms : 8 * at_ms + 160])
        if at_ms % 1000 == 0:
            await disk.run(lambda: None)
            if path.exists():
                so_far = wav_reader.read(path.read_bytes())
                assert so_far.left == SPOKEN[: len(so_far.left)]
                assert so_far.right == b"\xff" * len(so_far.left)
                lengths.append(len(so_far.left) // 8)
                assert at_ms - lengths[-1] <= 4000, "a crash would lose more than the last seconds"
    assert len(lengths) > 20
    assert lengths == sorted(lengths)
    await recording.finish()


async def test_what_a_crash_left_is_mended(tmp_path: Path, disk: DiskThread) -> None:
    recording, path, _ = recorder(tmp_path, disk)
    for at_ms in range(0, 10_000, 20):
        recording.caller_audio(at_ms, SPOKEN[8 * at_ms : 8 * at_ms + 160])
    await disk.run(lambda: None)
    torn = tmp_path / "torn.wav"
    shutil.copy(path, torn)
    with torn.open("ab") as file:
        file.write(b"\x01\xff\x02\xff\x03")  # written, and the header not yet
    known = len(wav_reader.read(torn.read_bytes()).left)
    await asyncio.to_thread(mend, torn)
    mended = wav_reader.read(torn.read_bytes())
    assert mended.left[known:] == b"\x01\x02"
    await asyncio.to_thread(mend, torn)
    assert wav_reader.read(torn.read_bytes()) == mended
    torn.write_bytes(b"RIFF")
    await asyncio.to_thread(mend, torn)
    assert wav_reader.read(torn.read_bytes()).left == b""
    await recording.finish()


@pytest.mark.parametrize("key", [None, bytes(32)], ids=["plain", "encrypted"])
async def test_a_block_that_fails_is_silence_and_shifts_nothing(
    tmp_path: Path, disk: DiskThread, key: bytes | None
) -> None:
    recording, path, file = recorder(tmp_path, disk, key)
    sound: Any = None
    holder: Any = None

    class Failing:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(sound, name)

    with capture_logs() as logs:
        for at_ms in range(0, len(SPOKEN) // 8, 20):
            recording.caller_audio(at_ms, SPOKEN[8 * at_ms : 8 * at_ms + 160])
            if at_ms % 1000 == 0:
                await disk.run(lambda: None)
            if at_ms == 8000:
                holder = file._file if key is None else file._file._file  # type: ignore[union-attr]  # it is open
                sound, holder._file = holder._file, Failing()
            if at_ms == 12_000:
                holder._file = sound
        assert await recording.finish()
    assert [line["event"] for line in logs] == ["recording_not_written"]

    def read() -> bytes:
        with open_recording(path.parent, Keys(key)) as opened:
            assert opened.complete
            return wav_reader.read(opened.read(0, opened.size)).left

    left = await asyncio.to_thread(read)
    assert len(left) == len(SPOKEN)
    wrong = [at for at in range(len(left)) if left[at] != SPOKEN[at]]
    assert all(left[at] == 0xFF for at in wrong)
    assert 3500 * 8 <= len(wrong) <= 4500 * 8


async def test_no_folder_no_recording(tmp_path: Path, disk: DiskThread) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    recording, _, _ = recorder(in_the_way, disk)
    with capture_logs() as logs:
        for at_ms in range(0, 10_000, 20):
            recording.caller_audio(at_ms, b"\x55" * 160)
        assert not await recording.finish()
    assert [line["event"] for line in logs] == ["recording_not_written"]


async def test_peaks_follow_the_loudness_of_each_side(tmp_path: Path, disk: DiskThread) -> None:
    recording, path, _ = recorder(tmp_path, disk)
    recording.caller_audio(0, b"\xff" * 4000 + b"\x00" * 4000)  # half a second of silence, then as loud as can be
    recording.agent_audio(0, b"\xb0" * 2400)
    await recording.finish()
    peaks = await asyncio.to_thread(read_peaks, path)
    assert list(peaks.caller) == [0] * 25 + [127] * 25
    assert list(peaks.agent) == [0x4F] * 15 + [0] * 35
    assert peaks.per_second == 50


async def test_another_program_reads_it(tmp_path: Path, disk: DiskThread) -> None:
    sox = shutil.which("sox")
    if sox is None:
        pytest.skip("sox is not installed")
    recording, path, _ = recorder(tmp_path, disk)
    recording.caller_audio(0, SPOKEN[:16_000])
    recording.agent_audio(500, ANSWER[:8000])
    await recording.finish()
    for channel, expected in (("1", SPOKEN[:16_000]), ("2", b"\xff" * 4000 + ANSWER[:8000] + b"\xff" * 4000)):
        run = ["sox", str(path), "-t", "ul", "-", "remix", channel]
        raw = await asyncio.to_thread(subprocess.check_output, run, executable=sox, timeout=20)
        # 0x7F and 0xFF are both zero; a program that decodes and encodes again may turn one into the other.
        assert raw.replace(b"\x7f", b"\xff") == expected.replace(b"\x7f", b"\xff")
