"""Puts a call's journal that came from another node onto this one's disk, to be taken over as one of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog

from bridge.store.base import CallHeader
from bridge.store.folder import JOURNAL, TIMELINE, CallFolder
from bridge.store.journal_file import read_header

LEFT: Final = "journal-left.jsonl"
"""What an earlier journal of the same call on this disk held that nobody went on with."""

_log = structlog.get_logger()


def bring(calls: Path, journal: bytes, folder: str = "") -> CallHeader:
    """Write the journal of a call that is this node's from now on, and return its header.

    `calls` is the folder of all calls; `folder` the call's below that, if it is known. What this disk holds of the
    call already, from a time when it was held here before, is left where it is, but for the journal: the new one
    goes on from it, and lines that are not in that are put beside it. Blocks on the disk. Raises OSError, and
    ValueError, KeyError or TypeError where it is no journal.
    """
    first, _, _ = journal.partition(b"\n")
    header = read_header(first)
    place = calls.joinpath(*folder.split("/")) if folder else CallFolder(calls, header).path
    if not place.resolve().is_relative_to(calls.resolve()):
        raise ValueError(f"{folder!r} is no folder of a call")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700, exist_ok=True)
    path = place / JOURNAL
    _keep_rest(path, journal)
    half = path.with_name(f".{path.name}.part")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(journal)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    (place / TIMELINE).unlink(missing_ok=True)  # It means "finished", and the call goes on.
    return header


def _keep_rest(path: Path, journal: bytes) -> None:
    """Put aside what stands in an earlier journal and not in the new one."""
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        return
    if not journal.startswith(before):
        begins = next((at for at, (old, new) in enumerate(zip(before, journal, strict=False)) if old != new), None)
        begins = len(journal) if begins is None else before.rfind(b"\n", 0, begins) + 1
        with path.with_name(LEFT).open("ab") as file:
            file.write(before[begins:])
        _log.warning("journal_left", folder=str(path.parent), bytes=len(before) - begins)
