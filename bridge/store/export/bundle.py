"""All that is kept of a call as one ZIP file, made piece by piece, so that a call of hours takes no memory.

What the folder holds goes in as it lies there, but for recordings, which can be read whether they lie encrypted
or not. The transcripts are made anew from the journal, so that a call that still goes on can be bundled as well, as
far as it has come.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from bridge.conversation.journal import CallClosed, Entry
from bridge.store.base import CallHeader
from bridge.store.export.formats import FORMATS
from bridge.store.folder import JOURNAL, RECORDING, TIMELINE, TRACE, TRANSCRIPT_JSON, TRANSCRIPT_TEXT
from bridge.store.journal_file import read_journal
from bridge.store.sealing import SEALED
from bridge.store.vault import NO_KEYS, Keys, open_sound

ABOUT: Final = "call.json"
"""What the call was, how it ended, and whether it was over."""

_PIECE: Final = 256 * 1024
_SOUND: Final = ".wav"
_MADE: Final = frozenset({JOURNAL, TRACE, TRANSCRIPT_TEXT, TRANSCRIPT_JSON, ABOUT})
"""What goes in by another way than by being copied."""


def bundle(folder: Path, keys: Keys = NO_KEYS, *, now: datetime | None = None) -> Iterator[bytes]:
    """The ZIP file of the call in `folder`, in pieces. Blocks on the disk at each.

    Raises OSError, and BridgeError: `journal_unreadable`, and for a recording as `open_recording` does. The journal
    is read before the first piece, so that a call that is not there fails at once.
    """
    header, entries = read_journal(folder / JOURNAL)
    over = any(isinstance(entry, CallClosed) for entry in entries) or (folder / TIMELINE).exists()
    parts = _parts(folder, header, entries, keys, over=over, now=now or datetime.now(UTC))
    return _zipped(parts, _began(header), folder.name)


def _parts(
    folder: Path, header: CallHeader, entries: Sequence[Entry], keys: Keys, *, over: bool, now: datetime
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The files of the bundle: name and content."""
    yield ABOUT, [_about(header, entries, over=over, now=now)]
    for one in FORMATS.values():
        yield f"transcript{one.suffix}", [one.written(header, entries, live=not over)]
    for name in (JOURNAL, TRACE):
        if (folder / name).is_file():
            yield name, whole_lines(folder / name)
    others = (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    for name in sorted({path.name.removesuffix(SEALED) for path in others} - _MADE):
        if name.endswith(_SOUND):
            yield name, sound(folder / name, keys)
        elif not name.startswith("."):
            yield name, _copied(folder / name)


def _about(header: CallHeader, entries: Sequence[Entry], *, over: bool, now: datetime) -> bytes:
    closed = next((entry for entry in reversed(entries) if isinstance(entry, CallClosed)), None)
    about: dict[str, Any] = {
        "call": header,
        "over": over,  # false: it went on when it was exported, and this is what there was of it
        "ended": None if closed is None else closed.reason,
        "duration_ms": None if closed is None else closed.at_ms,
        "transfer_to": "" if closed is None else closed.transfer_to,
        "exported_at": now.isoformat(timespec="seconds"),
    }
    return msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n"


def whole_lines(path: Path) -> Iterator[bytes]:
    """The whole lines that a file has now: the last one may be half written."""
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            whole, feed, begun = piece.rpartition(b"\n")
            if feed:
                yield rest + whole + feed
                rest = begun
            else:
                rest += piece


def _copied(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def sound(path: Path, keys: Keys) -> Iterator[bytes]:
    """A recording or message, in pieces, as a WAV file; of one that still grows, what there was when it was opened.

    `path` is its plain name. Raises as `open_sound` does.
    """
    with open_sound(path, keys, channels=2 if path.name == RECORDING else 1) as opened:
        for start in range(0, opened.size, _PIECE):
            yield opened.read(start, _PIECE)


class _Pieces:
    """A file that a ZIP is written to, and that hands out what it got."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def take(self, at_least: int = 1) -> Iterator[bytes]:
        if len(self._held) >= at_least:
            held, self._held = bytes(self._held), bytearray()
            yield held


def _zipped(parts: Iterable[tuple[str, Iterable[bytes]]], began: datetime, name: str) -> Iterator[bytes]:
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:  # type: ignore[call-overload]  # it needs no more of a file than this
        for part, content in parts:
            info = zipfile.ZipInfo(f"{name}/{part}", began.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            with file.open(info, "w", force_zip64=True) as member:
                for piece in content:
                    member.write(piece)
                    yield from pieces.take(_PIECE)
    yield from pieces.take()


def _began(header: CallHeader) -> datetime:
    """When the call began, as a ZIP can hold it: from 1980 on."""
    try:
        return max(datetime.fromisoformat(header.started_at).replace(tzinfo=None), datetime(1980, 1, 1))  # noqa: DTZ001  a ZIP knows no time zones
    except ValueError:
        return datetime(1980, 1, 1)  # noqa: DTZ001  as above
