"""Lines on their way to a file: each time the disk thread comes to them, it takes all that are there."""

from __future__ import annotations

import time
from collections.abc import Callable

from bridge.store.writer import DiskThread


class Lines:
    """The lines of one file, which are added on the event loop and written on the disk thread."""

    def __init__(
        self,
        disk: DiskThread,
        write: Callable[[bytes], None],
        *,
        vital: bool = False,
        on_written: Callable[[float], None] | None = None,
    ) -> None:
        """`write` is handed whole lines, and deals with `OSError` by itself. `vital` as in `DiskThread.put`.

        `on_written` is told, on the disk thread, how many seconds the first of the lines had to wait.
        """
        self._disk = disk
        self._write = write
        self._vital = vital
        self._on_written = on_written
        self._lines: list[bytes] = []
        self._since = 0.0
        """When the disk thread was told to come."""
        self._called = False
        """The disk thread was told to come, and has not looked yet."""

    def add(self, line: bytes) -> None:
        """Hand a line over; where too much waits already, it is dropped. Never waits and never raises."""
        if not self._disk.hold(len(line), vital=self._vital):
            return
        self._lines.append(line)
        if not self._called:
            self._since = time.monotonic()
            self._called = True
            self._disk.do(self._take, vital=self._vital)

    def _take(self) -> None:
        since = self._since
        self._called = False  # Before it looks: what is added from now on calls it again.
        count = len(self._lines)
        together = b"".join(self._lines[:count])
        del self._lines[:count]  # No more: the event loop may have added one meanwhile.
        if not together:
            return
        try:
            self._write(together)
        finally:
            self._disk.let_go(len(together))
        if self._on_written is not None:
            self._on_written(time.monotonic() - since)
