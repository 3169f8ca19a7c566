"""Removes the folder of a call, and nothing else, whatever the database says where it is. Blocks on the disk."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path, PurePosixPath
from typing import Final

from bridge.errors import BridgeError
from bridge.store.folder import JOURNAL, TIMELINE
from bridge.store.sql import spool
from bridge.store.sql.following import row_id

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_QUIET_S: Final = 60.0
"""A call whose files have not grown for so long does not go on: its sound alone grows each second."""


def goes_on(root: Path, name: str, call_id: str) -> bool:
    """Tell whether a call may be going on in some process: it is not finished, and its files grew just now.

    Raises BridgeError as `remove`.
    """
    folder = _checked(root, name, call_id)
    if not folder.is_dir() or (folder / TIMELINE).exists():
        return False
    times = [0.0]
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            times.append(path.lstat().st_mtime)
    return abs(time.time() - max(times)) < _QUIET_S


def remove(root: Path, name: str, call_id: str) -> int:
    """Remove the folder `name` below `root` with all that is in it; returns how many files there were.

    The journal goes first: without it nobody takes what is left for a call. Doing it again does no harm. Raises
    OSError, and BridgeError (code `erase_refused`) for what is no folder of this call.
    """
    folder = _checked(root, name, call_id)
    if not folder.exists():
        return 0
    number = sum(1 for path in folder.rglob("*") if not path.is_dir())
    (folder / JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(folder)  # it follows no symbolic link
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # of a day without calls
    return number


def of_days_before(root: Path, day: str) -> list[tuple[str, str]]:
    """Return the folders of calls from the days before one, such as 2026-03-01, and the ids of their calls."""
    found: list[tuple[str, str]] = []
    for path in spool.days(root):
        if _DAY.fullmatch(path.name) and path.name < day and not path.is_symlink():
            found += [
                (f"{path.name}/{folder.name}", _owner(folder) or folder.name)
                for folder in sorted(path.iterdir())
                if folder.is_dir() and not folder.is_symlink()
            ]
    return found


def _owner(folder: Path) -> str | None:
    """Read whose folder it is; None: its journal is gone, or torn, and names nobody."""
    try:
        header, _ = spool.read_beginning(folder)
    except (OSError, BridgeError):
        return None
    return row_id(folder.name, header)


def _checked(root: Path, name: str, call_id: str) -> Path:
    """Return the folder of a call. Raises BridgeError where the name leads anywhere else."""
    parts = PurePosixPath(name).parts
    if len(parts) != 2 or any(part in {"..", "/"} or "\\" in part or "\0" in part for part in parts):
        raise _refused(name, "it does not lie where calls do")
    day, folder = root / parts[0], root / parts[0] / parts[1]
    if day.is_symlink() or folder.is_symlink():
        raise _refused(name, "it is a symbolic link")
    if folder.exists() and folder.resolve().parent.parent != root.resolve():
        raise _refused(name, "it does not lie where calls do")
    if _owner(folder) not in {call_id, None}:
        raise _refused(name, "it is the folder of another call")
    return folder


def _refused(name: str, why: str) -> BridgeError:
    return BridgeError(f"the folder {name!r} is not removed: {why}", code="erase_refused")
