from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.conversation import journal as j
from bridge.errors import BridgeError
from bridge.store.journal_file import entry_line, header_line
from bridge.store.sql.spool import Line, Stretch, days, journals_of_day, read_beginning, read_on
from tests.store.samples import ENTRIES, HEADER
from tests.store.sql.place import Journal

WHOLE = b"".join(entry_line(entry) for entry in ENTRIES)
START = len(header_line(HEADER))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def entries_of(stretch: Stretch) -> list[j.Entry | None]:
    return [line.entry for line in stretch.lines]


def test_the_beginning(journal: Journal) -> None:
    assert read_beginning(journal.folder) == (HEADER, START)


def test_a_header_without_its_end_counts_if_it_is_whole(journal: Journal) -> None:
    line = header_line(HEADER).rstrip()
    for length in range(len(line)):
        journal.path.write_bytes(line[:length])
        with pytest.raises(BridgeError, match="no journal of a call"):
            read_beginning(journal.folder)
    journal.path.write_bytes(line)
    assert read_beginning(journal.folder) == (HEADER, len(line))
    journal.write(b"\n" + WHOLE)
    assert entries_of(read_on(journal.folder, len(line), 0)) == ENTRIES


def test_read_at_once(journal: Journal) -> None:
    journal.append(*ENTRIES)

    stretch = read_on(journal.folder, START, 0)

    assert entries_of(stretch) == ENTRIES
    assert [line.seq for line in stretch.lines] == [*range(1, len(ENTRIES) + 1)]
    assert (stretch.position, stretch.entries) == (START + len(WHOLE), len(ENTRIES))
    assert (stretch.more, stretch.amiss) == (False, "")
    assert stretch.lines[-1].ends == stretch.position
    assert read_on(journal.folder, stretch.position, stretch.entries).lines == ()


def test_read_in_pieces_of_any_size(journal: Journal) -> None:
    journal.append(*ENTRIES)
    for limit in (1, 7, 100, 1000):
        position, number = START, 0
        found: list[Line] = []
        while True:
            stretch = read_on(journal.folder, position, number, limit)
            found += stretch.lines
            position, number = stretch.position, stretch.entries
            if not stretch.more:
                break
        assert [(line.seq, line.entry) for line in found] == [*enumerate(ENTRIES, 1)]


def test_cut_at_any_byte_and_read_on_when_the_rest_is_there(journal: Journal) -> None:
    begun = journal.path.read_bytes()
    some = ENTRIES[:4]
    whole = b"".join(entry_line(entry) for entry in some)
    for length in range(len(whole) + 1):
        journal.path.write_bytes(begun + whole[:length])
        first = read_on(journal.folder, START, 0)
        journal.path.write_bytes(begun + whole)
        second = read_on(journal.folder, first.position, first.entries)
        assert first.position <= START + length
        assert entries_of(first) + entries_of(second) == some
        assert [line.seq for line in (*first.lines, *second.lines)] == [1, 2, 3, 4]
        assert first.amiss == second.amiss == ""


def test_what_is_not_understood_is_counted(journal: Journal) -> None:
    journal.write(b'{"entry":"key_pressed","at_ms":"x","digit":"1"}\n')
    journal.write(b'{"entry":"key_pre\n\xff\xfe\0\n\n[1]\n"x"\n' + b"[" * 5000 + b"\n")
    journal.write(b'{"entry":"new","what":1}\n')
    journal.append(j.KeyPressed(1, "2"))

    with capture_logs() as logs:
        stretch = read_on(journal.folder, START, 0)

    assert [line.seq for line in stretch.lines] == [*range(1, 9)]
    assert entries_of(stretch) == [*[None] * 7, j.KeyPressed(1, "2")]
    assert stretch.lines[6].data == {"entry": "new", "what": 1}
    assert logs == []


def test_one_very_long_line(journal: Journal) -> None:
    note = j.NoteTaken(1, {"text": "x" * 1_000_000})
    journal.append(note, j.KeyPressed(2, "1"))

    first = read_on(journal.folder, START, 0)
    assert entries_of(first) == [note]
    assert first.more
    assert entries_of(read_on(journal.folder, first.position, first.entries)) == [j.KeyPressed(2, "1")]


def test_a_journal_that_became_shorter_is_read_from_its_new_end_on(journal: Journal) -> None:
    journal.append(*ENTRIES)
    end = read_on(journal.folder, START, 0)
    os.truncate(journal.path, START + 50)

    shrunk = read_on(journal.folder, end.position, end.entries)

    assert (shrunk.lines, shrunk.position, shrunk.amiss) == ((), START + 50, "shrunk")
    assert shrunk.entries == len(ENTRIES)


def test_a_journal_that_was_written_anew_is_read_from_the_next_line_on(journal: Journal) -> None:
    journal.append(j.KeyPressed(1, "1"))
    end = read_on(journal.folder, START, 0)
    journal.path.write_bytes(header_line(HEADER) + entry_line(j.NoteTaken(1, {"long": "y" * 200})) + WHOLE)

    anew = read_on(journal.folder, end.position, end.entries)

    assert anew.amiss == "rewritten"
    assert entries_of(anew) == ENTRIES


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "day" / "a" / "journal.jsonl").mkdir(parents=True)
    (tmp_path / "day" / "b").mkdir()
    os.mkfifo(tmp_path / "day" / "b" / "journal.jsonl")
    (tmp_path / "day" / "c").write_text("")
    (tmp_path / "day" / "d").mkdir()
    (tmp_path / "day" / "e").mkdir()
    (tmp_path / "day" / "e" / "journal.jsonl").write_text("xy")
    (tmp_path / "calls.db").write_text("")

    for name in "ab":
        with pytest.raises(OSError, match="no file"):
            read_beginning(tmp_path / "day" / name)
    assert journals_of_day(tmp_path / "day") == [(tmp_path / "day" / "e", 2)]
    assert days(tmp_path) == [tmp_path / "day"]
    assert days(tmp_path / "nowhere") == []
    assert journals_of_day(tmp_path / "nowhere") == []
