"""A call as one ZIP file."""

from __future__ import annotations

import asyncio
import io
import json
import tracemalloc
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.audio.wav import header, parse
from bridge.errors import BridgeError
from bridge.store.export.bundle import bundle
from bridge.store.export.formats import FORMATS
from bridge.store.folder import JOURNAL, RECORDING, TIMELINE, TRACE
from tests.store.kept_calls import keep
from tests.store.samples import ENTRIES, HEADER

MADE = {"call.json", JOURNAL, TIMELINE, RECORDING, "message-1.wav"} | {
    f"transcript{one.suffix}" for one in FORMATS.values()
}


def opened(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def kept(folder: Path) -> Path:
    asyncio.run(keep(folder, [(HEADER, ENTRIES)], sound_ms=12_500))
    (found,) = folder.glob("*/*")
    return found


def test_all_that_is_kept_is_in_it(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    (folder / TRACE).write_bytes(b'{"a": 1}\n')
    (folder / "later.json").write_bytes(b"{}")
    (folder / ".half.part").write_bytes(b"x")
    (folder / "secret").symlink_to("/etc/passwd")
    files = opened(b"".join(bundle(folder, now=datetime(2026, 3, 2, tzinfo=UTC))))
    names = {name.removeprefix(f"{folder.name}/"): content for name, content in files.items()}
    assert set(names) == MADE | {TRACE, "later.json"}
    for name in (JOURNAL, TIMELINE, RECORDING, "message-1.wav", "transcript.txt", "transcript.json", TRACE):
        assert names[name] == (folder / name).read_bytes()
    assert names["transcript.vtt"] == FORMATS["vtt"].write(HEADER, ENTRIES)
    assert json.loads(names["call.json"]) == {
        "call": {name: getattr(HEADER, name) for name in HEADER.__slots__},
        "over": True,
        "ended": "caller",
        "duration_ms": 17000,
        "transfer_to": "",
        "exported_at": "2026-03-02T00:00:00+00:00",
    }


def test_of_a_call_that_goes_on_there_is_what_there_is(tmp_path: Path) -> None:
    asyncio.run(keep(tmp_path, [(replace(HEADER, id="going"), ENTRIES[:8])], sound_ms=5000, live="going"))
    (folder,) = tmp_path.glob("*/*")
    with (folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"entry":"caller_spo')  # another line is just being written
    names = {name.rpartition("/")[2]: content for name, content in opened(b"".join(bundle(folder))).items()}
    about = json.loads(names["call.json"])
    assert (about["over"], about["ended"], about["duration_ms"]) == (False, None, None)
    assert names[JOURNAL].endswith(b"}\n")
    assert b"We open at" in names["transcript.txt"]
    assert b"; ended: not yet, it goes on\n" in names["transcript.txt"]
    if RECORDING in names:
        assert parse(names[RECORDING], name="recording").channels == 2


def test_a_long_recording_takes_no_memory(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    data = 60_000_000
    with (folder / RECORDING).open("wb") as file:
        file.write(header(channels=2, data_bytes=data))
        file.truncate(file.tell() + data)
    (folder / TRACE).write_bytes(b'{"event": "a line like many others"}\n' * 300_000)
    tracemalloc.start()
    size = sum(len(piece) for piece in bundle(folder))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 100_000
    assert peak < 6_000_000, "pieces of a quarter of a megabyte, and what compressing takes"


def test_a_folder_that_is_none_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bundle(tmp_path)
    (tmp_path / JOURNAL).write_bytes(b"no")
    with pytest.raises(BridgeError, match="is no journal"):
        bundle(tmp_path)


@pytest.mark.parametrize("started_at", ["", "1960-01-01T00:00:00+00:00", "2026-03-01T12:00:00"])
def test_any_start_can_be_bundled(tmp_path: Path, started_at: str) -> None:
    asyncio.run(keep(tmp_path, [(replace(HEADER, started_at=started_at), ENTRIES)]))
    (folder,) = tmp_path.glob("*/*")
    assert opened(b"".join(bundle(folder)))
