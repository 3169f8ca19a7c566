"""Reads a call's journal on from the byte where the database stands. Everything here blocks on the disk.

A journal is read in whatever state the death of its writer, a full disk or a person's hand has left it. What was
read once is not read again.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from bridge.conversation.journal import Entry
from bridge.errors import BridgeError
from bridge.store.base import CallHeader
from bridge.store.folder import JOURNAL
from bridge.store.journal_file import read_header, read_line

STRETCH_BYTES: Final = 128 * 1024
"""How much of one journal is read at a time: some hundred entries."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a journal behind its header."""

    seq: int
    """1, 2, 3 … in the journal."""
    data: dict[str, Any] | None
    """As it stands in the journal; None: it is torn, or does not fit."""
    entry: Entry | None
    """None: it is torn, or of a kind that a newer version has written."""
    ends: int
    """The byte behind it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some lines of a journal, one after the other."""

    lines: tuple[Line, ...]
    position: int
    """The byte behind them."""
    entries: int
    """The number of the last line up to there."""
    more: bool
    """Whether more is known to come."""
    text: bytes = field(default=b"", compare=False, repr=False)
    """The lines as they stand in the journal; empty where they do not begin at the place that was asked for."""
    amiss: str = ""
    """What the journal has gone through since it was last read: `shrunk` or `rewritten`."""


def read_beginning(folder: Path) -> tuple[CallHeader, int]:
    """The header of the call in `folder`, and the byte behind it. Raises as `read_head`."""
    header, line = read_head(folder)
    return header, len(line)


def read_head(folder: Path) -> tuple[CallHeader, bytes]:
    """The header of the call in `folder`, and its line as it stands there.

    Raises `OSError`, and `BridgeError` (code `journal_unreadable`) where there is none, or not yet.
    """
    path = folder / JOURNAL
    with _open(path) as file:
        line = _whole_line(file, b"")
    try:
        return read_header(line), line
    except (ValueError, KeyError, TypeError) as error:
        raise BridgeError(f"{path} is no journal of a call: {error}", code="journal_unreadable") from error


def read_on(folder: Path, position: int, entries: int, limit: int = STRETCH_BYTES) -> Stretch:
    """Read about `limit` bytes of what stands behind `position`, up to where `entries` lines were read.

    A last line without its end counts if it is whole; else it is left for later, when the rest of it may be there.
    Lines that are not understood are counted, so that each entry's number is that of its line. Raises `OSError`.
    """
    if (stretch := _read_straight_on(folder / JOURNAL, position, entries, limit)) is not None:
        return stretch
    with _open(folder / JOURNAL) as file:
        size = os.fstat(file.fileno()).st_size
        if size < position:
            # What is in the database stays there. What is written from now on is new.
            return Stretch((), size, entries, more=False, amiss="shrunk")
        amiss = ""
        if not _between_lines(file, position, size):
            amiss = "rewritten"
            file.seek(position)
            position += len(_whole_line(file, b""))
        file.seek(position)
        text = file.read(limit)
        if text and b"\n" not in text:
            text = _whole_line(file, text)
    lines, ends = _lines(text, position, entries)
    entries += len(lines)
    raw = b"" if amiss else text[: ends - position]
    return Stretch(tuple(lines), ends, entries, more=position + len(text) < size, text=raw, amiss=amiss)


def _read_straight_on(path: Path, position: int, entries: int, limit: int) -> Stretch | None:
    """Read on where all is as it should be; None: it must be looked at more closely. Raises `OSError`.

    This is done for every call several times a minute, so it asks the system for as little as it can.
    """
    if position == 0:
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size < position:
            return None
        text = os.pread(descriptor, limit + 1, position - 1)
    finally:
        os.close(descriptor)
    if text[:1] != b"\n" or (len(text) > 1 and b"\n" not in text[1:]):
        return None
    text = text[1:]
    lines, ends = _lines(text, position, entries)
    more = position + len(text) < status.st_size
    return Stretch(tuple(lines), ends, entries + len(lines), more=more, text=text[: ends - position])


def journals_of_day(day: Path) -> list[tuple[Path, int]]:
    """The folders of calls in the folder of a day, by their names, and how long each one's journal is."""
    found: list[tuple[Path, int]] = []
    try:
        folders = sorted(day.iterdir())
    except OSError:
        return found
    for folder in folders:
        try:
            status = (folder / JOURNAL).stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            found.append((folder, status.st_size))
    return found


def days(folder: Path) -> list[Path]:
    """The folders of days in the folder of the calls, the oldest first."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _open(path: Path) -> BinaryIO:
    """Open a regular file; anything else that somebody has put there could keep us for ever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is no file")
    return path.open("rb")


def _between_lines(file: BinaryIO, position: int, size: int) -> bool:
    """Whether a line ends at `position`, with its line feed or, where it is whole all the same, without."""
    if position == 0:
        return True
    file.seek(position - 1)
    around = file.read(2)
    return around[:1] == b"\n" or (around[:1] == b"}" and (position == size or around[1:] == b"\n"))


def _whole_line(file: BinaryIO, begun: bytes) -> bytes:
    """Read on to the end of the line, or of the file; with the line feed."""
    return begun + file.readline()


def _lines(text: bytes, position: int, entries: int) -> tuple[list[Line], int]:
    """The lines of `text`, which begins at `position`, and the byte behind them."""
    found: list[Line] = []
    *whole, rest = text.split(b"\n")
    for line in whole:
        position += len(line) + 1
        if line:
            found.append(_line(entries + len(found) + 1, line, position))
    if rest and (last := _line(entries + len(found) + 1, rest, position + len(rest))).data is not None:
        return [*found, last], last.ends
    return found, position


def _line(seq: int, line: bytes, ends: int) -> Line:
    try:
        data, entry = read_line(line)
    except (ValueError, TypeError, RecursionError):
        return Line(seq, None, None, ends)
    return Line(seq, data, entry, ends)
