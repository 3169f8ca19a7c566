"""The file sink: each document is a line that is appended to a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from bridge.errors import system_reason
from bridge.sinks.base import Sent, SinkDownError, Waiting


class FileSink:
    """Appends to one file, opened anew for each batch: a file that was moved away or removed is made again.

    A line is whole or not there: half of one that a full disk or a death has left is ended before the next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, batch: Sequence[Waiting]) -> Sent:
        """Append them, in one piece."""
        lines = b"".join(waiting.body.replace(b"\n", b" ") + b"\n" for waiting in batch)
        try:
            await asyncio.to_thread(self._append, lines)
        except OSError as error:
            raise SinkDownError(f"{self._path} cannot be written to: {system_reason(error)}") from None
        return Sent(frozenset(waiting.number for waiting in batch))

    async def close(self) -> None:
        """Nothing is held."""

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Others who use the machine cannot look in, unless the file was made for them.
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            if before:
                file.seek(before - 1)
                if file.read(1) != b"\n":
                    lines = b"\n" + lines
            left = memoryview(lines)
            try:
                while left:
                    left = left[file.write(left) or 0 :]
            except OSError:
                file.truncate(before)  # Nothing of it was written then, and all of it comes again.
                raise
