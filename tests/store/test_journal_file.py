"""The journal on the disk: what is written is read again, whatever happened to the file."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bridge.conversation.journal import CallerSpoke, Entry, KeyPressed, NoteTaken, to_dict
from bridge.errors import BridgeError
from bridge.store.folder import CallFolder
from bridge.store.journal_file import JournalFile, entry_line, header_line, read_journal, read_line
from tests.store.samples import ENTRIES, FOR_A_CRASH, HEADER, LOG_ENTRIES, LOG_HEADER

LINES = [header_line(HEADER), *map(entry_line, ENTRIES)]


def test_everything_comes_back(tmp_path: Path) -> None:
    journal = JournalFile(CallFolder(tmp_path, HEADER), call=HEADER.id)
    for line in [*LINES, *map(entry_line, FOR_A_CRASH)]:
        journal.write(line)
    journal.finish()
    (path,) = tmp_path.rglob("journal.jsonl")
    assert read_journal(path) == (HEADER, [*ENTRIES, *FOR_A_CRASH])
    assert {type(entry) for entry in [*ENTRIES, *FOR_A_CRASH, *LOG_ENTRIES]} == set(Entry.__args__)


def test_a_call_between_two_people_comes_back(tmp_path: Path) -> None:
    journal = JournalFile(CallFolder(tmp_path, LOG_HEADER), call=LOG_HEADER.id)
    for line in [header_line(LOG_HEADER), *map(entry_line, LOG_ENTRIES)]:
        journal.write(line)
    journal.finish()
    (path,) = tmp_path.rglob("journal.jsonl")
    assert read_journal(path) == (LOG_HEADER, LOG_ENTRIES)


@given(cut=st.integers(0, len(b"".join(LINES))), garbage=st.binary(max_size=50))
def test_a_journal_that_breaks_off_anywhere_is_read_up_to_there(
    cut: int, garbage: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.jsonl"
    path.write_bytes(b"".join(LINES)[:cut] + garbage.replace(b"\n", b""))
    whole = 0
    while whole < len(LINES) and sum(map(len, LINES[: whole + 1])) <= cut:
        whole += 1
    if whole == 0:
        try:
            _, entries = read_journal(path)
        except BridgeError as error:
            assert error.code == "journal_unreadable"
        else:
            assert entries == []  # only the line's end was missing
        return
    header, entries = read_journal(path)
    assert header == HEADER
    assert entries[: whole - 1] == ENTRIES[: whole - 1]
    assert len(entries) - (whole - 1) in {0, 1}  # the torn line, if all but its end was there


def test_lines_of_other_versions_and_damaged_ones_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    strange = [
        b'{"entry":"mood_changed","at_ms":5}\n',
        b"\x00\x00\x00\x00\n",
        b"[1,2]\n",
        b"[" * 5000 + b"\n",
        b'{"entry":"key_pressed"}\n',
        b'{"entry":"key_pressed","at_ms":"soon","digit":"1"}\n',
        b'{"entry":"key_pressed","at_ms":7,"digit":"1","pressure":0.5}\n',
    ]
    path.write_bytes(LINES[0] + b"".join(strange) + LINES[-1])
    with capture_logs() as logs:
        assert read_journal(path) == (HEADER, [KeyPressed(7, "1"), ENTRIES[-1]])
    assert [(line["event"], line["lines"]) for line in logs] == [("journal_lines_passed_over", 5)]


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"[]", b'{"header":{}}', b'{"header":7}', b"\xff\xfe"])
def test_what_is_no_journal_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(BridgeError, match="is no journal of a call"):
        read_journal(path)


def test_a_line_is_what_the_entry_is_as_a_dictionary() -> None:
    for entry in [*ENTRIES, *LOG_ENTRIES]:
        line = entry_line(entry)
        assert line == msgspec.json.encode(to_dict(entry)) + b"\n"
        assert read_line(line) == (msgspec.json.decode(line), entry)


@given(st.text(st.characters(), max_size=40))
def test_any_text_stays_verbatim_on_one_line(text: str) -> None:
    line = entry_line(CallerSpoke(1, text, 0, 1))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


def test_what_json_cannot_hold_is_kept_as_well_as_can_be(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    odd: Any = {"set": {1}, "path": Path("x"), 5: "five"}
    path.write_bytes(
        LINES[0] + entry_line(NoteTaken(1, odd)) + entry_line(CallerSpoke(1, "half \ud83d pair", 0, 1))
    )
    _, (note, spoke) = read_journal(path)
    assert isinstance(note, NoteTaken)
    assert note.data["path"] == "x"
    assert spoke == CallerSpoke(1, "half ? pair", 0, 1)


class Full:
    """A file on a disk that fills up in mid-line."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.room = 10

    def write(self, data: bytes) -> int:
        if len(data) <= self.room:
            self.room -= len(data)
            written: int = self._file.write(data)
            return written
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        room, self.room = self.room, 0
        self._file.write(data[:room])
        return room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_full_disk_is_told_once_and_nothing_is_lost_when_there_is_room_again(tmp_path: Path) -> None:
    journal = JournalFile(CallFolder(tmp_path, HEADER), call=HEADER.id)
    journal.write(LINES[0])
    full: Any = Full(journal._file)
    journal._file = full
    with capture_logs() as logs:
        for line in LINES[1:5]:
            journal.write(line)
        (path,) = tmp_path.rglob("journal.jsonl")
        assert read_journal(path)[0] == HEADER
        full.room = 1_000_000
        for line in LINES[5:]:
            journal.write(line)
        journal.finish()
    events = [(line["event"], line.get("error")) for line in logs]
    assert events[0] == ("journal_not_written", "[Errno 28] No space left on device")
    assert [event for event, _ in events].count("journal_not_written") == 1
    assert read_journal(path) == (HEADER, ENTRIES)


def test_a_disk_that_stays_full_does_not_fill_the_memory(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    journal = JournalFile(CallFolder(in_the_way, HEADER), call=HEADER.id)
    with capture_logs() as logs:
        for _ in range(2000):
            journal.write(b"x" * 1023 + b"\n")
        journal.finish()
    assert len(journal._pending) <= 1024 * 1024
    assert [line["event"] for line in logs] == ["journal_not_written", "journal_incomplete"]


def test_a_disk_that_takes_a_part_again_and_again_does_not_hold_the_thread(tmp_path: Path) -> None:
    journal = JournalFile(CallFolder(tmp_path, HEADER), call=HEADER.id)
    journal.write(LINES[0])
    assert journal._file is not None
    sound = journal._file

    class Full:
        """Has room for ten bytes more, whoever asks."""

        def __init__(self) -> None:
            self.room = 10

        def seek(self, place: int) -> int:
            self.room = 10
            return sound.seek(place)

        def write(self, data: bytes) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken, self.room = sound.write(data[: self.room]), 0
            return taken

    journal._file = Full()  # type: ignore[assignment]  # it stands in for a file
    with capture_logs() as logs:
        journal.write(LINES[1])
        journal.write(LINES[2])
    assert [line["event"] for line in logs] == ["journal_not_written"]
    journal._file = sound
    journal.finish()
    (path,) = tmp_path.rglob("journal.jsonl")
    assert read_journal(path) == (HEADER, ENTRIES[:2])
