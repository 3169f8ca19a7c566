"""Writes calls out for a command: one or many, to standard output, a file or a folder."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bridge.conversation.journal import Entry
from bridge.errors import BridgeError, SettingsError
from bridge.reading.kept import Kept, Tell, gone
from bridge.store.base import CallHeader
from bridge.store.call_folders import folder_of
from bridge.store.compress import FORMS, Form, compress
from bridge.store.export import csv
from bridge.store.export.bundle import bundle, sound, whole_lines
from bridge.store.export.formats import FORMATS
from bridge.store.folder import JOURNAL, RECORDING
from bridge.store.sql.call_rows import CallRow
from bridge.store.vault import Keys, open_recording

_COMPRESSED: Final[Mapping[str, Form]] = {form: form for form in FORMS}
_OTHERS: Final = {
    "journal": ".jsonl",
    "wav": ".wav",
    **{name: FORMS[form].suffix for name, form in _COMPRESSED.items()},
    "bundle": ".zip",
}
NAMES: Final = (*FORMATS, *_OTHERS)
"""Formats by the names that people give."""
JOINED: Final = frozenset({"text", "json", "jsonl", "csv"})
"""Of which several calls make one file."""
_SOUND: Final = frozenset({"wav", *_COMPRESSED})
_BINARY: Final = _SOUND | {"bundle"}
_PIECE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be written, and where."""

    format: str
    output: str | None
    """A file, a folder, or None: standard output."""
    several: bool
    """Several calls were asked for, even if there is only one."""
    keys: Keys
    """What recordings are encrypted with."""

    @property
    def into_folder(self) -> bool:
        """Whether each call becomes a file of its own."""
        given = self.output
        return given is not None and (given.endswith(("/", os.sep)) or Path(given).is_dir())

    def check(self) -> None:
        """Raise SettingsError where it cannot be done so."""
        if self.several and not self.into_folder and self.format not in JOINED:
            raise SettingsError(
                f"--format {self.format} makes a file of each call: name a folder for them, as  --output FOLDER/"
            )
        if self.output is None and self.format in _BINARY and sys.stdout.isatty():
            raise SettingsError(f"--format {self.format} is not for a terminal: name a file with --output")


async def export(kept: Kept, calls: AsyncIterator[CallRow], wanted: Export, tell: Tell) -> tuple[int, int]:
    """Write calls out; return how many were, and how many could not be, of each of which is told why.

    Raises OSError where it cannot be written to. Cancelling leaves no half-written file, but for those of earlier
    calls in a folder.
    """
    if wanted.into_folder:
        return await _into_folder(kept, calls, wanted, tell)
    joined = _Joined(wanted.format, several=wanted.several)
    target = _Target(None if wanted.output is None else Path(wanted.output))
    done = failed = 0
    try:
        async for call in calls:
            try:
                pieces = await _pieces(kept, call, wanted, joined)
                await asyncio.to_thread(target.write, pieces)
            except BridgeError as error:
                if not wanted.several:
                    raise
                tell(f"error: {error.message}")
                failed += 1
                continue
            done += 1
            _tell_live(call, tell)
        await asyncio.to_thread(target.finish, joined.end())
    except BaseException:
        target.undo()
        raise
    return done, failed


async def _into_folder(kept: Kept, calls: AsyncIterator[CallRow], wanted: Export, tell: Tell) -> tuple[int, int]:
    folder = Path(wanted.output or "")
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    done = failed = 0
    async for call in calls:
        target = _Target(folder / (call.folder.replace("/", "-") + suffix(wanted.format)))
        try:
            pieces = await _pieces(kept, call, wanted, _Joined(wanted.format, several=False))
            await asyncio.to_thread(target.write, pieces)
            await asyncio.to_thread(target.finish, b"")
        except BridgeError as error:
            target.undo()
            tell(f"error: {error.message}")
            failed += 1
            continue
        except BaseException:
            target.undo()
            raise
        done += 1
        _tell_live(call, tell)
    return done, failed


def suffix(name: str) -> str:
    """What the files of a format end with."""
    return FORMATS[name].suffix if name in FORMATS else _OTHERS[name]


def _tell_live(call: CallRow, tell: Tell) -> None:
    if call.state == "live":
        tell(f"note: call {call.id} goes on: this is what there is of it so far")


async def _pieces(kept: Kept, call: CallRow, wanted: Export, joined: _Joined) -> Iterable[bytes]:
    """The content of one call; reading on blocks on the disk."""
    folder = folder_of(kept.folder, call.folder)
    if wanted.format in _BINARY and await asyncio.to_thread(_is_recorded, folder):
        # What leaves here can be heard: that is noted before it is done.
        await kept.audit.write("command line", "recording_exported", call.id, wanted.format)
    if wanted.format in _SOUND:
        if not await asyncio.to_thread(folder.exists):
            raise gone(call, folder)
        return _recording(folder, call, wanted)
    header, entries = await kept.journal(call)
    if wanted.format == "bundle":
        return await asyncio.to_thread(bundle, folder, wanted.keys)
    if wanted.format == "journal":
        return whole_lines(folder / JOURNAL)
    return joined.call(header, entries, live=call.state == "live")


def _is_recorded(folder: Path) -> bool:
    return any(folder.glob("*.wav*"))


def _recording(folder: Path, call: CallRow, wanted: Export) -> Iterator[bytes]:
    try:
        if wanted.format == "wav":
            yield from sound(folder / RECORDING, wanted.keys)
        else:
            yield from _compressed(folder, _COMPRESSED[wanted.format], wanted.keys)
    except FileNotFoundError:
        raise BridgeError(f"call {call.id} was not recorded", code="no_recording") from None


def _compressed(folder: Path, form: Form, keys: Keys) -> Iterator[bytes]:
    with open_recording(folder, keys) as recording, tempfile.TemporaryFile() as file:
        compress(recording, form, file)
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece


class _Joined:
    """Several calls in one file, or one alone."""

    def __init__(self, name: str, *, several: bool) -> None:
        self._name = name
        self._several = several
        self._count = 0

    def call(self, header: CallHeader, entries: Sequence[Entry], *, live: bool) -> list[bytes]:
        """What the next call adds."""
        self._count += 1
        first = self._count == 1
        if self._name == "csv":
            return [csv.head() if first else b"", csv.body(header, entries)]
        written = FORMATS[self._name].written(header, entries, live=live)
        if self._name == "json" and self._several:
            return [b"[\n" if first else b",\n", written.rstrip(b"\n")]
        return [b"" if first or self._name != "text" else b"\n\n", written]

    def end(self) -> bytes:
        """What closes the file."""
        if self._name == "json" and self._several:
            return b"\n]\n" if self._count else b"[]\n"
        return csv.head() if self._name == "csv" and not self._count else b""


class _Target:
    """A file that appears when it is complete, or standard output. Everything but `undo` blocks on the disk."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._half = None if path is None else path.with_name(f".{path.name}.part")
        self._file: BinaryIO | None = None

    def write(self, pieces: Iterable[bytes]) -> None:
        """Add content. Nothing is made before the first piece of it could be had."""
        for piece in pieces:
            self._open().write(piece)

    def finish(self, rest: bytes) -> None:
        """Add the rest, and give the file its name."""
        file = self._open()
        file.write(rest)
        file.flush()
        if self._path is not None and self._half is not None:
            file.close()
            self._half.replace(self._path)

    def undo(self) -> None:
        """Take away what is half written."""
        if self._file is not None and self._half is not None:
            self._file.close()
            self._half.unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = sys.stdout.buffer if self._half is None else self._half.open("wb")
        return self._file
