"""What the workers of a bridge know of each other without asking: files that change in one step, in their folder.

Who holds a call, and which tokens of media streams were used, must be the same for all of them at any moment, and
must outlive the one that has written it. The system makes a name in a folder once, whoever asks for it first; and
each reads how busy the others are from a page of memory that they share.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

_REMEMBERED: Final = 20_000
"""Names that one worker holds at most: of its calls, those that are over as well, as the carrier asks late."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_LOAD: Final = struct.Struct("<II")
_HELD, _USED, _LOADS = "held", "used", "loads"

log = structlog.get_logger()


def make_board(folder: Path, workers: int) -> None:
    """Lay out what the workers share in their folder. Blocks on the disk; raises OSError."""
    (folder / _HELD).mkdir()
    (folder / _USED).mkdir()
    (folder / _LOADS).write_bytes(bytes(_LOAD.size * workers))


class Board:
    """One worker's view of what all share.

    Nothing here waits for another process, and all of it is called on the event loop: what is asked of the system
    is a small name in a folder, which takes it some microseconds.
    """

    def __init__(self, folder: Path, number: int, count: int) -> None:
        """`number` is this worker's, of `count`. Raises OSError."""
        self._folder = folder
        self._number, self._count = number, count
        with (folder / _LOADS).open("r+b") as file:
            self._loads = mmap.mmap(file.fileno(), _LOAD.size * count)
        self.goes_on: Callable[[str], bool] = lambda _: False
        """Tells of a name that this worker holds whether its call goes on: such a name is not forgotten."""
        self.left = frozenset(self._names())
        """Names that a worker of this number held, which has died."""
        self._held = OrderedDict.fromkeys(self.left)
        self.set_load(0, 0)

    # --- who holds what ------------------------------------------------------------------------------------

    def holder(self, name: str) -> int | None:
        """Return the number of the worker that holds a call, by any of its names; None: nobody does."""
        if not _NAME.fullmatch(name):
            return None
        try:
            number = int((self._folder / _HELD / name).readlink().name)
        except (OSError, ValueError):
            return None
        return number if number < self._count else None

    def hold(self, name: str) -> None:
        """From now on this worker holds what is named so. Never raises; where the disk is full, it is logged."""
        if not _NAME.fullmatch(name):
            return
        if name in self._held:
            self._held.move_to_end(name)
        self._held[name] = None
        try:
            if self.holder(name) != self._number:
                self._write(name)
        except OSError as error:
            log.error("call_not_held", name=name, error=str(error))
        while len(self._held) > _REMEMBERED:
            self._forget_oldest()

    def _write(self, name: str) -> None:
        path = self._folder / _HELD / name
        half = self._folder / f"{self._number}.{name}"
        half.unlink(missing_ok=True)
        half.symlink_to(str(self._number))
        half.replace(path)

    def _forget_oldest(self) -> None:
        name, _ = self._held.popitem(last=False)
        if self.goes_on(name):
            self._held[name] = None
        elif self.holder(name) == self._number:
            with contextlib.suppress(OSError):
                (self._folder / _HELD / name).unlink()

    def _names(self) -> list[str]:
        names = [entry.name for entry in os.scandir(self._folder / _HELD)]
        return [name for name in names if self.holder(name) == self._number]

    # --- what is good once ---------------------------------------------------------------------------------

    def use(self, token: str) -> bool:
        """Use up what is good once, for all workers. False: it was used before.

        Where the disk does not let it, that is logged, and whoever asks goes by what it knows itself.
        """
        try:
            os.close(os.open(self._folder / _USED / token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        except OSError as error:
            log.error("token_not_marked", error=str(error))
        return True

    def forget_used(self, token: str) -> None:
        """What was used can be used no more anyway: it is too old."""
        with contextlib.suppress(OSError):
            (self._folder / _USED / token).unlink()

    # --- how busy they are ---------------------------------------------------------------------------------

    def set_load(self, live: int, expected: int) -> None:
        """Tell how many calls this worker carries, and how many are about to come."""
        _LOAD.pack_into(self._loads, self._number * _LOAD.size, live, expected)

    @property
    def live(self) -> int:
        """How many calls all workers carry."""
        return sum(live for live, _ in _LOAD.iter_unpack(self._loads[:]))

    def least_busy(self) -> int:
        """Return the worker that has the fewest calls; this one, if no other has fewer."""
        loads = [live + expected for live, expected in _LOAD.iter_unpack(self._loads[:])]
        fewest = min(loads)
        return self._number if loads[self._number] == fewest else loads.index(fewest)

    def close(self) -> None:
        """Carry nothing any more."""
        self.set_load(0, 0)
