"""Whose a call's folder is, and how another process takes it over when that one has died.

The owner holds a lock on the journal, which the system lets go of when the process dies, however it does. So the
owner of a call cannot be overtaken while it lives, and of several processes that want the call of one that has
died, one gets it. What the journal holds then says which process of the call's that is: its epoch.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import structlog
from msgspec import Struct

from bridge.conversation.commands import LONGEST_TALK_S
from bridge.conversation.journal import (
    CallClosed,
    CallGivenAway,
    CallTakenOver,
    Entry,
    Standing,
    StreamResumed,
    sounding,
)
from bridge.store.base import CallHeader
from bridge.store.folder import JOURNAL, RECORDING, TIMELINE, TRACE
from bridge.store.journal_file import entry_line, read_header, read_journal
from bridge.store.sealing import sealed_name, write_all

_DAYS: Final = 2
"""How many days' folders are looked through for a call that may go on: none lasts longer than some hours."""
_RINGS_S: Final = 120.0
"""How long the phone of somebody else may ring, where the call does not say."""
_TAIL_BYTES: Final = 64 * 1024
_MESSAGE_S: Final = 3600.0 + 60.0
"""How long a caller may take for a message to the carrier: the longest that the settings allow
(`voicemail.max_seconds`; the journal does not hold how long this one may be), and a minute in which the carrier's
voice asks for it."""
_LOG_KIND: Final = "log"
"""`CallHeader.agent_kind` of a call that is only listened to: the carrier never asks how it goes on."""

_log = structlog.get_logger()


class TakenOver(Struct, frozen=True):
    """A call's folder that is this process's from now on."""

    folder: Path
    header: CallHeader
    entries: tuple[Entry, ...]
    """The last of them says that it was taken over."""
    epoch: int
    at_ms: int
    journal: BinaryIO
    """Open for what follows; while it is, nobody else gets the call."""
    trace: BinaryIO


def own(file: BinaryIO) -> None:
    """Hold the lock of a journal that this process has begun, or adds to, for as long as the file is open.

    Blocks while somebody looks whether the call was left, or adds to it. A file system that knows no locks is lived
    with: there no call is taken over.
    """
    with contextlib.suppress(OSError):
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)


@contextlib.contextmanager
def left_behind(folder: Path) -> Iterator[bool]:
    """Tell whether the call in a folder was left by a process that has died; nobody takes it over in the block.

    Blocks on the disk; raises OSError where the journal cannot be opened.
    """
    with (folder / JOURNAL).open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass  # No locks here: whose process died cannot be told, and is taken for dead.
        yield not (folder / TIMELINE).exists()


def away_s(folder: Path) -> float:
    """Return how much longer a call may stay away that was left for somebody else, or for a message: in seconds.

    That goes on without us, and the carrier says how it went when it is over. 0 for a call that was not left.
    Blocks on the disk; raises OSError and BridgeError.
    """
    left: Mapping[str, Any] = {}
    for entry in read_journal(folder / JOURNAL)[1]:
        if isinstance(entry, Standing):
            left = entry.left
        elif isinstance(entry, StreamResumed):
            left = {}
    transfer = left.get("transfer")
    if transfer is not None:
        return (transfer.get("timeout_s") or _RINGS_S) + LONGEST_TALK_S
    return _MESSAGE_S if left.get("voicemail") else 0.0


def keep_sounding(folder: Path) -> str | None:
    """Write down what is known to have been heard of the reply that a process had not finished when it died.

    For a call with which nobody goes on, in the block of `left_behind`. Returns its id; None: there is nothing of
    the kind. Blocks on the disk; raises OSError and BridgeError.
    """
    header, entries = read_journal(folder / JOURNAL)
    if (spoke := sounding(entries)) is None:
        return None
    with (folder / JOURNAL).open("r+b", buffering=0) as file:
        _cut_torn_end(file)
        write_all(file, entry_line(spoke))
    return header.id


def last_written(folder: Path) -> float:
    """Return when anything of a call was last written: the wall clock, in seconds. Blocks on the disk."""
    recording = folder / RECORDING
    times = [0.0]
    for path in (folder / JOURNAL, folder / TRACE, recording, sealed_name(recording)):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def take_over(calls: Path, sid: str) -> TakenOver | None:
    """Take over the call with this id of the carrier's; None as in `bridge.store.base.Store.reopen`.

    `calls` is the folder of all calls. Blocks on the disk; raises OSError and BridgeError.
    """
    for folder in _unfinished_lately(calls):
        if sid_of(folder) == sid:
            return _take(folder)
    return None


def _unfinished_lately(calls: Path) -> Iterator[Path]:
    """The folders of the last days' calls that are not finished, the newest first."""
    days = sorted((path for path in calls.glob("????-??-??") if path.is_dir()), reverse=True)[:_DAYS]
    for day in days:
        for folder in sorted(day.iterdir(), reverse=True):
            if not (folder / TIMELINE).exists() and (folder / JOURNAL).exists():
                yield folder


def sid_of(folder: Path) -> str:
    """Return the carrier's id of the call in a folder; empty: it cannot be read. Blocks on the disk."""
    try:
        with (folder / JOURNAL).open("rb") as file:
            return read_header(file.readline()).sid
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _take(folder: Path) -> TakenOver | None:
    file = (folder / JOURNAL).open("r+b", buffering=0)
    try:
        taken = _take_with(folder, file)
    except BaseException:
        file.close()
        raise
    if taken is None:
        file.close()
    return taken


def _take_with(folder: Path, file: BinaryIO) -> TakenOver | None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.info("call_has_an_owner", folder=str(folder))
        return None
    if (folder / TIMELINE).exists():
        return None  # Finished between the look and the lock.
    header, entries = read_journal(folder / JOURNAL)
    if header.agent_kind == _LOG_KIND or any(isinstance(entry, CallClosed) for entry in entries):
        return None
    epoch = 1 + max((entry.epoch for entry in entries if isinstance(entry, CallTakenOver)), default=1)
    given = bool(entries) and isinstance(entries[-1], CallGivenAway)
    taken = CallTakenOver(max(now_ms(header), _latest(entries)), epoch, given)
    _cut_torn_end(file)
    write_all(file, entry_line(taken))
    trace = os.fdopen(os.open(folder / TRACE, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
    _cut_torn_end(trace)
    return TakenOver(folder, header, (*entries, taken), epoch, taken.at_ms, file, trace)


def now_ms(header: CallHeader) -> int:
    """Return the time of a call, in milliseconds since its first stream began, by the wall clock."""
    try:
        began = datetime.fromisoformat(header.started_at)
    except ValueError:
        return 0
    began = began.replace(tzinfo=UTC) if began.tzinfo is None else began
    return max(0, round((time.time() - began.timestamp()) * 1000))


def _latest(entries: list[Entry]) -> int:
    """Return the newest time that a journal names: where clocks differ, time does not run backwards."""
    moments = (getattr(entry, name, 0) for entry in entries for name in ("at_ms", "ended_ms", "to_ms"))
    return max(moments, default=0)


def _cut_torn_end(file: BinaryIO) -> None:
    """Take away the part of a line with which a dead process's writing ended, and go behind what is whole."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _TAIL_BYTES)
    file.seek(start)
    tail = file.read(size - start)
    whole = start + tail.rfind(b"\n") + 1
    if whole > start or start == 0:
        file.truncate(whole)
        size = whole
    file.seek(size)
