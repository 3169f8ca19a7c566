"""Undelivered `call.ended` events on disk, so that they survive the process that could not deliver them.

One file per event, written atomically and made durable, below a folder per agent. Its name tells when it is due:

    <due>.<created>.<attempts>.<message id>.json        times in whole seconds since 1970

Whoever takes a file renames it to its next due time first. A rename succeeds for one process only, so several may
share the folder; one that dies after it leaves the file to be taken again. Nothing here waits or knows the time;
everything blocks on the disk, so it belongs into a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

MAX_ENTRIES = 1000
"""Events kept per agent; beyond it the oldest goes."""
MAX_BODY_BYTES = 2_000_000
MAX_AGE_S = 24 * 3600
PAUSES_S = (15, 30, 60, 120, 300, 900, 1800, 3600)
"""Seconds before each further attempt; the last one is repeated."""

_NAME = re.compile(r"(\d+)\.(\d+)\.(\d+)\.([\w-]+)\.json")


class _File(msgspec.Struct, frozen=True):
    call_id: str
    body: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An event that was taken out for an attempt; it stays on disk until `EndedSpool.remove`."""

    message_id: str
    call_id: str
    body: bytes
    created: int
    """When it was kept first, in seconds since 1970."""
    attempts: int
    """How often it was taken, this time included."""


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    due: int
    created: int
    attempts: int
    message_id: str

    def renamed(self) -> Path:
        return self.path.with_name(f"{self.due}.{self.created}.{self.attempts}.{self.message_id}.json")


class EndedSpool:
    """The undelivered events of one agent. `agent` is its URL; only a hash of it shows on disk.

    Events for a URL that is no longer in the settings are not sent elsewhere; `sweep` removes them in time.
    Every method raises OSError when the disk does not let it.
    """

    def __init__(
        self, folder: Path, agent: str, *, max_entries: int = MAX_ENTRIES, max_age_s: int = MAX_AGE_S
    ) -> None:
        self._root = folder
        self._folder = folder / hashlib.sha256(agent.encode()).hexdigest()[:16]
        self._max_entries = max_entries
        self._max_age_s = max_age_s

    def keep(self, message_id: str, call_id: str, body: bytes, *, now: float, due: float) -> int:
        """Write an event durably, unless it is there already. It is taken from `due` on.

        Returns how many older ones had to go to make room. Raises ValueError for a body that is too large.
        """
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"the event is {len(body)} bytes, {MAX_BODY_BYTES} may be kept")
        # The words of callers are nobody else's: neither the folders nor the files can be read by others.
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        entries = self._entries()
        if any(entry.message_id == message_id for entry in entries):
            return 0
        old = sorted(entries, key=lambda entry: entry.created)[: max(0, len(entries) + 1 - self._max_entries)]
        for entry in old:
            entry.path.unlink(missing_ok=True)
        path = self._folder / f"{int(due)}.{int(now)}.0.{message_id}.json"
        self._write(path, msgspec.json.encode(_File(call_id, body.decode())))
        return len(old)

    def take(self, now: float) -> Undelivered | None:
        """Take the event that is due longest; None: none is. It becomes due again after a growing pause."""
        for entry in sorted(self._entries(), key=lambda entry: entry.due):
            if entry.due > now:
                return None
            pause = PAUSES_S[min(entry.attempts, len(PAUSES_S) - 1)]
            taken = replace(entry, due=int(now + pause), attempts=entry.attempts + 1)
            path = taken.renamed()
            try:
                entry.path.rename(path)
                file = msgspec.json.decode(path.read_bytes(), type=_File)
            except FileNotFoundError:
                continue  # Another process took or delivered it.
            except (msgspec.DecodeError, UnicodeDecodeError):
                # Not written by us, for ours are whole or not there. It could never be sent.
                path.unlink(missing_ok=True)
                continue
            return Undelivered(entry.message_id, file.call_id, file.body.encode(), entry.created, taken.attempts)
        return None

    def remove(self, message_id: str) -> None:
        """Forget an event: it was delivered, or never can be."""
        for entry in self._entries():
            if entry.message_id == message_id:
                entry.path.unlink(missing_ok=True)

    def next_due(self) -> float | None:
        """When the next event is due, in seconds since 1970; None: there is none."""
        return min((entry.due for entry in self._entries()), default=None)

    def sweep(self, now: float) -> list[str]:
        """Remove what is too old, of every agent, and return the message ids: they were never delivered."""
        given_up = []
        for folder in self._root.glob("*/"):
            for entry in _read(folder):
                if entry.created + self._max_age_s < now:
                    entry.path.unlink(missing_ok=True)
                    given_up.append(entry.message_id)
            for leftover in folder.glob("*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if leftover.stat().st_mtime + self._max_age_s < now:
                        leftover.unlink()
        return given_up

    def _entries(self) -> list[_Entry]:
        return list(_read(self._folder))

    def _write(self, path: Path, content: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".tmp")  # readable by its owner only
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(self._folder)


def forget_calls(root: Path, call_ids: Collection[str]) -> int:
    """Remove every undelivered event of these calls, of every agent below `root`; returns how many there were.

    Raises OSError. What is under way at this moment may still be delivered.
    """
    removed = 0
    for folder in root.glob("*/"):
        for entry in _read(folder):
            try:
                file = msgspec.json.decode(entry.path.read_bytes(), type=_File)
            except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
                continue  # It was delivered just now, or is not ours.
            if file.call_id in call_ids:
                # Not by this name alone: it changes when somebody takes it for an attempt.
                for same in _read(folder):
                    if same.message_id == entry.message_id:
                        same.path.unlink(missing_ok=True)
                removed += 1
    return removed


def _read(folder: Path) -> Iterator[_Entry]:
    try:
        names = [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if found := _NAME.fullmatch(name):
            due, created, attempts = (int(found[group]) for group in (1, 2, 3))
            yield _Entry(folder / name, due, created, attempts, found[4])


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
