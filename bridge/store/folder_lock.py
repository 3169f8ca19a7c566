"""Whose a folder of calls is: one bridge's, as each takes what it finds there for its own.

The bridge holds a shared lock on a file in the folder, with each of its processes; the first gets there by an
exclusive one, which nobody gets as long as a process of another bridge lives. The system lets go of locks when a
process dies, however it does. Programs that only read take none.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import structlog

from bridge.errors import SettingsError

NAME: Final = ".bridge"
_TRIES: Final = 10
_AGAIN_S: Final = 0.05
"""Somebody who looks whose the folder is holds the lock for a moment."""

_log = structlog.get_logger()


@contextlib.contextmanager
def held(folder: Path, node: str, *, joins: bool = False) -> Iterator[None]:
    """Hold the folder for this process, of a bridge called `node`; blocks on the disk.

    `joins`: it is one of several of the bridge, whose first holds the folder already. Raises SettingsError where
    another bridge has it, and where the file cannot be made. Where the file system knows no locks, that is logged.
    """
    try:
        file = os.fdopen(os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0)
    except OSError as error:
        raise SettingsError(
            f"store.recordings (BRIDGE_STORE__RECORDINGS) is {str(folder)!r}, in which {NAME} cannot be written:"
            f" {error.strerror or error}. Mend its rights, or choose another folder"
        ) from None
    with file:
        try:
            if not (_locked(file, fcntl.LOCK_SH) if joins else _owned(file, node)):
                raise _taken(folder, _read(file))
        except OSError as error:
            _log.warning("folder_not_locked", folder=str(folder), error=error.strerror or str(error))
        yield


def holder(folder: Path) -> dict[str, Any] | None:
    """Return the `node`, `pid` and `host` of the bridge that has a folder; None: none has. Blocks on the disk.

    Raises OSError where that cannot be told.
    """
    try:
        file = (folder / NAME).open("rb")
    except FileNotFoundError:
        return None
    with file:
        # A shared lock would not tell: that is what the bridge has. This one is let go of at once.
        return None if _locked(file, fcntl.LOCK_EX, tries=1) else _read(file)


def _owned(file: BinaryIO, node: str) -> bool:
    if not _locked(file, fcntl.LOCK_EX):
        return False
    file.truncate(0)
    file.seek(0)
    file.write(json.dumps({"node": node, "pid": os.getpid(), "host": socket.gethostname()}).encode())
    return _locked(file, fcntl.LOCK_SH)  # It may be let go of for a moment: then somebody else was quicker.


def _locked(file: BinaryIO, how: int, tries: int = _TRIES) -> bool:
    for _ in range(tries):
        try:
            fcntl.flock(file.fileno(), how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_AGAIN_S)
        else:
            return True
    return False


def _read(file: BinaryIO) -> dict[str, Any]:
    file.seek(0)
    try:
        told = json.loads(file.read(4096))
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {}


def _taken(folder: Path, by: dict[str, Any]) -> SettingsError:
    return SettingsError(
        f"store.recordings (BRIDGE_STORE__RECORDINGS) is {str(folder)!r}, where another bridge keeps its calls"
        f" ({described(by)}): each would take the other's for its own. Stop that one, or give this one"
        " another folder"
    )


def described(by: dict[str, Any]) -> str:
    """Who holds a folder, in words."""
    return f"{by.get('node', 'a nameless one')}, process {by.get('pid', '?')} on {by.get('host', '?')}"
