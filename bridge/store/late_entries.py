"""What is found out about a call when it is over, and its record finished: one more entry of its journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.files import finish_from_journal
from bridge.store.folder import JOURNAL
from bridge.store.journal_file import entry_line, read_journal
from bridge.store.sealing import NO_KEYS, Keys, write_all
from bridge.store.taking_over import own


def read_call(folder: Path) -> tuple[CallHeader, list[Entry]]:
    """Return what is kept of the call in a folder. Blocks on the disk; raises OSError and BridgeError."""
    return read_journal(folder / JOURNAL)


def add_entry(folder: Path, make: Callable[[Sequence[Entry]], Entry], keys: Keys = NO_KEYS) -> None:
    """Put an entry behind the others of a finished call, and write anew what is made of them.

    `make` is given those that are there. Blocks on the disk, and while somebody else does the same; raises OSError,
    also where the call was erased meanwhile, and BridgeError.
    """
    with (folder / JOURNAL).open("r+b", buffering=0) as file:
        own(file)
        entry = make(read_call(folder)[1])
        file.seek(0, 2)
        write_all(file, entry_line(entry))
        finish_from_journal(folder, keys)
