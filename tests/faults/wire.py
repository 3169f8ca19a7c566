"""What lies between the bridge and its peers, and can be broken: a network, a disk, a database file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from bridge.tasks import spawn

_FULL_BYTES: Final = 768 * 1024
"""How large a disk is that will be full: room for what the call keeps before that."""


class Network:
    """A relay of TCP connections to one address, which stops to pass on what was asked for by `marked`."""

    def __init__(self, port: int, marked: bytes) -> None:
        """`marked`: what the first bytes of a connection hold that may be broken; empty: each may."""
        self.url = ""
        self.port = 0
        self._behind = port
        self._marked = marked
        self._frozen = ""
        self._tasks: set[asyncio.Task[None]] = set()

    def freeze(self, way: str) -> None:
        """`half-open`: nothing passes any more; `stalls`: nothing from the address to who has connected."""
        self._frozen = way

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Network]:
        """Relay for the length of the block."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        try:
            yield self
        finally:
            server.close()
            for task in [*self._tasks]:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            first = await reader.read(65536)
            there, to = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.transport.abort()
            return
        marks = asyncio.Event()  # A connection that carried other requests before may be used for what breaks.
        if self._marked in first:
            marks.set()
        to.write(first)
        ways = [
            spawn(self._pass(reader, to, marks, forth=True), name="network"),
            spawn(self._pass(there, writer, marks, forth=False), name="network"),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, to):
                end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marks: asyncio.Event, *, forth: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if forth and self._marked in data:
                    marks.set()
                frozen = self._frozen if marks.is_set() else ""
                if frozen == "stalls" and not forth:
                    await asyncio.Event().wait()  # It reads no more, until the connection is cut.
                if frozen != "half-open":
                    writer.write(data)
                    await writer.drain()


class Disk:
    """A small disk of its own (a tmpfs) that can be filled up. Only root may mount one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Disk]:
        """Mount for the length of the block. Raises OSError where that is not allowed."""
        self.folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_FULL_BYTES}", "tmpfs", str(self.folder)]
        done = await asyncio.to_thread(subprocess.run, mount, capture_output=True, check=False)
        if done.returncode:
            raise OSError(f"no disk can be mounted here: {done.stderr.decode().strip()}")
        try:
            yield self
        finally:
            await asyncio.to_thread(subprocess.run, ["umount", "-l", str(self.folder)], check=True)

    async def fill(self) -> None:
        """Leave no room."""

        def ballast() -> None:
            with contextlib.suppress(OSError), (self.folder / "ballast").open("wb", buffering=0) as file:
                while file.write(b"\0" * 4096):
                    pass

        await asyncio.to_thread(ballast)

    async def clear(self) -> None:
        """Make room again."""
        await asyncio.to_thread((self.folder / "ballast").unlink, missing_ok=True)


class Lock:
    """Holds a SQLite file as another program would that writes for a long time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._held: sqlite3.Connection | None = None

    async def take(self) -> None:
        """Nobody else may write."""

        def hold() -> sqlite3.Connection:
            connection = sqlite3.connect(self._file, timeout=5, isolation_level=None, check_same_thread=False)
            connection.execute("BEGIN EXCLUSIVE")
            return connection

        self._held = await asyncio.to_thread(hold)

    async def give_back(self) -> None:
        """Let others in again."""
        if self._held is not None:
            await asyncio.to_thread(self._held.close)
            self._held = None
