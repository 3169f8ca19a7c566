"""What the first worker hears from the others: lines of JSON over a Unix socket, for as long as both live.

The others tell of the journals that have grown, and of what happens in their calls; the first puts journals into
the database, and shows the calls. It asks for figures, and says whether anybody looks at every word. What happens
while the first is being started anew is not kept here: it is told how everything stands when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog

from bridge.tasks import spawn

_LONGEST_LINE: Final = 64 * 1024 * 1024
_MOST_UNSENT: Final = 16 * 1024 * 1024
"""Bytes that may wait for a first worker that does not read; it is told anew how everything stands then."""
_AGAIN_S: Final = 0.2
_GATHER_S: Final = 0.1
"""How long growths are gathered, so that a call that talks is told of ten times a second at most."""
_NAMES: Final = 20_000
_FIGURES_WITHIN_S: Final = 2.0

_NOT_UNDERSTOOD: Final = (ValueError, TypeError, LookupError, RecursionError, msgspec.DecodeError)
"""What comes of a message that is none: the connection is given up, and made again."""

log = structlog.get_logger()


class Told(Protocol):
    """Who is told by the other workers; all of it on the event loop."""

    def begins(self, worker: int, calls: list[dict[str, Any]]) -> None:
        """A worker is there, with these calls; calls that it was said to have before are not there any more."""

    def call(self, worker: int, call: dict[str, Any]) -> None:
        """A call has begun."""

    def news(self, worker: int, kind: str, call: str, data: dict[str, Any]) -> None:
        """Something has happened in a call."""

    def over(self, worker: int, call: str) -> None:
        """A call is over and recorded."""

    def grew(self, folder: str, call: str) -> None:
        """The journal in this folder has grown."""

    def gone(self, worker: int) -> None:
        """A worker is not there any more, nor are its calls."""


class Reporter:
    """Tells the first worker what happens in this one. Nothing here waits for it, but `run`."""

    def __init__(
        self, number: int, path: Path, calls: Callable[[], list[dict[str, Any]]], figures: Callable[[], bytes]
    ) -> None:
        """`calls` returns how the live calls stand, `figures` what Prometheus would be told of this worker."""
        self._number = number
        self._path = path
        self._calls = calls
        self._figures = figures
        self._writer: asyncio.StreamWriter | None = None
        self._grown: OrderedDict[str, str] = OrderedDict()
        self._flushing: asyncio.TimerHandle | None = None
        self.fine = False
        """Whether somebody wants to know of every word."""

    # --- what is told --------------------------------------------------------------------------------------

    def call(self, call: dict[str, Any]) -> None:
        """A call has begun."""
        self._send({"call": call})

    def news(self, kind: str, call: str, data: Any) -> None:
        """Something has happened in a call."""
        self._send({"news": [kind, call, data]})

    def over(self, call: str) -> None:
        """A call is over and recorded."""
        self._send({"over": call})

    def grew(self, folder: str, call: str) -> None:
        """The journal in this folder has grown. Told a moment later, or when the first worker is there again."""
        self._grown[folder] = call
        while len(self._grown) > _NAMES:
            self._grown.popitem(last=False)  # It looks through all folders when it starts.
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_GATHER_S, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        if self._writer is not None and self._grown:
            grown, self._grown = self._grown, OrderedDict()
            self._send({"grew": [*grown.items()]})

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is None:
            return
        if self._writer.transport.get_write_buffer_size() > _MOST_UNSENT:
            log.error("first_worker_does_not_read")
            self._writer.transport.abort()
            self._writer = None
            return
        self._writer.write(_line(message))

    # --- the connection ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the connection for as long as this worker lives. Cancelling ends it."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=_LONGEST_LINE)
            except OSError:
                await asyncio.sleep(_AGAIN_S)
                continue
            try:
                await self._speak(reader, writer)
            except (OSError, *_NOT_UNDERSTOOD) as error:
                log.warning("first_worker_lost", error=str(error))
            finally:
                self._writer, self.fine = None, False
                writer.close()
            await asyncio.sleep(_AGAIN_S)

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._send({"begins": self._number, "calls": self._calls()})
        self._flush()
        while line := await reader.readline():
            message = _read(line)
            if "fine" in message:
                self.fine = message["fine"]
            if "figures" in message:
                figures = await asyncio.to_thread(self._figures)
                self._send({"figures": message["figures"], "text": figures.decode()})

    async def last_words(self) -> None:
        """Hand over what is still to be told. Takes a second at most."""
        self._flush()
        if self._writer is not None:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._writer.drain()


class Hub:
    """The first worker's end: one connection from each of the others."""

    def __init__(self, path: Path, told: Told) -> None:
        self._path = path
        self._told = told
        self._server: asyncio.Server | None = None
        self._others: dict[int, asyncio.StreamWriter] = {}
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._questions = 0
        self._left = asyncio.Event()
        self._fine = False
        self._reading: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to listen. Raises OSError."""
        await asyncio.to_thread(self._path.unlink, missing_ok=True)  # Left by one that has died.
        self._server = await asyncio.start_unix_server(self._met, str(self._path), limit=_LONGEST_LINE)

    async def close(self) -> None:
        """Hear nothing more."""
        if self._server is not None:
            self._server.close()
        for task in [*self._reading]:
            task.cancel()
        if self._reading:
            await asyncio.wait([*self._reading])

    async def others_gone(self, within_s: float) -> None:
        """Wait until all others have stopped, and have told all; for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._others:
                    self._left.clear()
                    await self._left.wait()

    def knows(self, worker: int) -> bool:
        """Tell whether this worker has said which calls it has."""
        return worker in self._others

    def want_fine(self, fine: bool) -> None:
        """Tell the others whether somebody wants to know of every word."""
        if fine != self._fine:
            self._fine = fine
            for writer in self._others.values():
                writer.write(_line({"fine": fine}))

    async def figures(self) -> list[str]:
        """Return what Prometheus would be told of each of the others that answers in time."""
        waiting: list[asyncio.Future[str]] = []
        for writer in self._others.values():
            self._questions += 1
            self._asked[self._questions] = answer = asyncio.get_running_loop().create_future()
            waiting.append(answer)
            writer.write(_line({"figures": self._questions}))
        if not waiting:
            return []
        done, late = await asyncio.wait(waiting, timeout=_FIGURES_WITHIN_S)
        if late:
            log.warning("figures_missing", workers=len(late))
        self._asked = {number: answer for number, answer in self._asked.items() if answer not in waiting}
        return [answer.result() for answer in waiting if answer in done]

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio makes a task of this and keeps it; ours are kept by a name, so that they can be waited for.
        task = spawn(self._hear(reader, writer), name="worker-link")
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker = -1
        try:
            while line := await reader.readline():
                message = _read(line)
                if "begins" in message:
                    worker = int(message["begins"])
                    self._others[worker] = writer
                    if self._fine:
                        writer.write(_line({"fine": True}))
                    self._told.begins(worker, message["calls"])
                else:
                    self._take(worker, message)
        except (OSError, *_NOT_UNDERSTOOD) as error:
            log.warning("worker_lost", worker=worker, error=str(error))
        finally:
            writer.close()
            if self._others.get(worker) is writer:
                del self._others[worker]
                self._left.set()
                self._told.gone(worker)

    def _take(self, worker: int, message: dict[str, Any]) -> None:
        match message:
            case {"news": [kind, call, data]}:
                self._told.news(worker, kind, call, data)
            case {"grew": grown}:
                for folder, call in grown:
                    self._told.grew(folder, call)
            case {"call": call}:
                self._told.call(worker, call)
            case {"over": call}:
                self._told.over(worker, call)
            case {"figures": number, "text": text}:
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(text)
            case _:
                log.warning("worker_message_unknown", worker=worker)


def _read(line: bytes) -> dict[str, Any]:
    """Read a message. Raises one of `_NOT_UNDERSTOOD` for what is none."""
    return msgspec.json.decode(line, type=dict[str, Any])


def _line(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message, enc_hook=str) + b"\n"
