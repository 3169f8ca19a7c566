"""A call's journal on the disk: JSON lines, the first of them the call's header. Valid wherever it breaks off."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import structlog

from bridge.conversation.journal import Entry, kind_named, name_of, to_dict
from bridge.errors import BridgeError
from bridge.store.base import CallHeader
from bridge.store.folder import JOURNAL, CallFolder

_log = structlog.get_logger()

_VERSION: Final = 1
_PENDING_BYTES: Final = 1024 * 1024
"""How much of a journal is kept in memory while its disk fails."""


def header_line(header: CallHeader) -> bytes:
    """The first line of a journal."""
    return _line({"version": _VERSION, "header": msgspec.to_builtins(header)})


def entry_line(entry: Entry) -> bytes:
    """The line of an entry. Raises `TypeError` when a note holds what cannot even be copied."""
    try:
        # An entry is JSON already, but for its kind: no copy is made of it, as this is done on the event loop.
        fields = msgspec.json.encode(entry)
    except (TypeError, ValueError):
        return _line(to_dict(entry))
    return b'{"entry":"%b",%b\n' % (name_of(entry).encode(), fields[1:])


def read_header(line: bytes) -> CallHeader:
    """The header that a line holds. Raises `ValueError`, `KeyError` or `TypeError` where it is none."""
    try:
        return msgspec.convert(msgspec.json.decode(line)["header"], CallHeader)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_line(line: bytes) -> tuple[dict[str, Any], Entry | None]:
    """The object that a line holds, and its entry: None for a kind that a newer version may have written.

    Raises `ValueError` or `TypeError` where the line is torn or does not fit.
    """
    try:
        raw = msgspec.json.decode(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(raw, dict):
        raise TypeError("not an object")
    kind = kind_named(str(raw.get("entry")))
    if kind is None:
        return raw, None
    entry: Entry = msgspec.convert(raw, kind)  # refuses a text where a number belongs
    return raw, entry


def entry_of(raw: Mapping[str, Any]) -> Entry | None:
    """The entry that an object of a journal's line is; None where it is none that is known."""
    kind = kind_named(str(raw.get("entry")))
    try:
        return None if kind is None else msgspec.convert(dict(raw), kind)
    except (ValueError, TypeError):
        return None


def read_journal(path: Path) -> tuple[CallHeader, list[Entry]]:
    """Read a journal, whatever state its writer's death left it in.

    Lines that are torn or not understood, and kinds of entries that a newer version may have written, are passed
    over. Blocks on the disk. Raises `OSError` when the file cannot be read and `BridgeError` when it does not begin
    with a header (code `journal_unreadable`).
    """
    first, *rest = path.read_bytes().split(b"\n")
    try:
        header = read_header(first)
    except (ValueError, KeyError, TypeError) as error:
        raise BridgeError(f"{path} is no journal of a call: {error}", code="journal_unreadable") from error
    entries: list[Entry] = []
    passed_over = 0
    for line in rest:
        if not line:
            continue
        try:
            entry = read_line(line)[1]
        except (ValueError, TypeError):  # msgspec's errors are ValueErrors
            passed_over += 1
            continue
        if entry is not None:
            entries.append(entry)
    if passed_over:
        _log.warning("journal_lines_passed_over", path=str(path), lines=passed_over)
    return header, entries


def _line(data: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(data) + b"\n"
    except (TypeError, ValueError):
        # A note may hold anything, and a text may hold half of a surrogate pair: keep what can be kept.
        text = json.dumps(data, ensure_ascii=False, default=str, skipkeys=True)
        return text.encode("utf-8", "replace") + b"\n"


class JournalFile:
    """The journal being written. Everything here runs on the disk thread.

    A line that could not be written is tried again before the next one; failing is logged once.
    """

    def __init__(
        self,
        folder: CallFolder,
        *,
        call: str,
        name: str = JOURNAL,
        file: BinaryIO | None = None,
        own: Callable[[BinaryIO], None] = lambda _: None,
    ) -> None:
        """`name` is the file's, for what else is kept line by line.

        `file`: one that is open already, to be gone on with behind its end. `own` is called once with a new one.
        """
        self._folder = folder
        self._call = call
        self._name = name
        self._file = file
        self._own = own
        self._torn = False
        """An attempt failed, which may have left a part behind the whole lines."""
        self._whole = 0 if file is None else file.tell()
        """Bytes on the disk that end with a whole line."""
        self._pending = bytearray()
        self._lost = 0
        self._failed = False

    def write(self, lines: bytes) -> None:
        """Add whole lines and hand them to the operating system, where this process's death cannot reach them."""
        if self._pending and len(self._pending) + len(lines) > _PENDING_BYTES:
            self._lost += 1
            return
        self._pending += lines
        try:
            self._flush()
        except OSError as error:
            self._report(error)

    def hold(self) -> int | None:
        """Return another descriptor of the file, which keeps what `own` did beyond `finish`; None: no file yet.

        Raises OSError.
        """
        return None if self._file is None else os.dup(self._file.fileno())

    def finish(self) -> None:
        """Make the journal durable and close it. Where nothing was ever written, no file is made."""
        if self._file is None and not self._pending and not self._lost:
            return
        try:
            file = self._flush()
            os.fsync(file.fileno())
        except OSError as error:
            self._report(error)
        finally:
            if self._file is not None:
                self._file.close()  # unbuffered: there is nothing left to write, so nothing to fail
        if self._lost or self._pending:
            _log.error("journal_incomplete", call=self._call, folder=str(self._folder.path), lost=self._lost)

    def _flush(self) -> BinaryIO:
        file = self._file
        if file is None:
            file = self._file = (self._folder.make() / self._name).open("xb", buffering=0)
            self._own(file)
        if self._pending:
            if self._torn:
                file.seek(self._whole)
            self._torn = True
            lines = bytes(self._pending)
            rest = memoryview(lines)
            while rest:  # A disk that is nearly full takes a part, and refuses what is left of it.
                rest = rest[file.write(rest) :]
            self._torn = False
            self._whole += len(lines)
            self._pending.clear()
        return file

    def _report(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            _log.error("journal_not_written", call=self._call, folder=str(self._folder.path), error=str(error))
