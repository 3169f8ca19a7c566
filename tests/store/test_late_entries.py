"""One more entry of a finished call."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from bridge.conversation import journal as j
from bridge.store.files import finish_from_journal
from bridge.store.journal_file import entry_line, header_line
from bridge.store.late_entries import add_entry, read_call
from tests.store.samples import HEADER


def test_an_entry_is_added_where_the_file_system_knows_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[j.Entry] = [j.CallOpened(), j.CallClosed(9500, "caller")]
    (tmp_path / "journal.jsonl").write_bytes(header_line(HEADER) + b"".join(map(entry_line, left)))
    finish_from_journal(tmp_path)

    def no_locks(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    late = j.CallerSpoke(1, "Call me back.", 2000, 9000)
    add_entry(tmp_path, lambda entries: late if entries == left else j.CallOpened())
    assert read_call(tmp_path)[1] == [*left, late]
    assert "Call me back." in (tmp_path / "transcript.txt").read_text(encoding="utf-8")
