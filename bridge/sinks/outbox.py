"""Documents on disk that were not sent yet: they outlive the process, and whatever they are sent to being away.

One SQLite file, touched by one thread. What is handed over is written together with all else that waits for that
moment, a few milliseconds later. It is bounded: when it is full, the oldest go.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import structlog

from bridge.sinks.base import Waiting

T = TypeVar("T")

FOLDER: Final = ".outbox"
"""Below the folder of calls."""
MOST_BYTES: Final = 256 * 1024 * 1024
MOST_IN_MEMORY: Final = 20_000
"""Documents that may wait for the disk."""
MAX_AGE_S: Final = 7 * 24 * 3600
"""What could not be sent for so long is given up."""

_FILE: Final = "outbox.db"
_ATTEMPTS: Final = 20
_ROOM: Final = 0.9
"""A full outbox is emptied down to this part of what it may hold."""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL, call TEXT NOT NULL, id TEXT NOT NULL, kept_at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS waiting_sink ON waiting (sink, number);
CREATE INDEX IF NOT EXISTS waiting_call ON waiting (call);
CREATE TABLE IF NOT EXISTS calls (call TEXT PRIMARY KEY, entries INTEGER NOT NULL) WITHOUT ROWID;
"""

_log = structlog.get_logger()


class Outbox:
    """What waits to be sent to each of some sinks."""

    def __init__(self, folder: Path, sinks: Sequence[str], *, most_bytes: int = MOST_BYTES) -> None:
        """`folder` is that of the calls."""
        self._folder = folder / FOLDER
        self._sinks = tuple(sinks)
        self._most_bytes = most_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        """Held for a moment; guards what was handed over and not written."""
        self._handed: deque[tuple[str, str, bytes, int, bool]] = deque()
        self._bytes = 0
        self._full = self._failing = self._closed = False
        self.backlog: Counter[str] = Counter()
        """Documents that wait, by sink."""
        self.dropped = 0
        """Documents that were given up since the start: no room, too old, or no disk."""
        self._wake: dict[str, asyncio.Event] = {name: asyncio.Event() for name in self._sinks}
        self._loop = asyncio.get_running_loop()

    # --- on the event loop ---------------------------------------------------------------------------------

    async def open(self) -> dict[str, int]:
        """Read what is left of an earlier process.

        Returns the calls that it did not see the end of, with how many of their entries were handed over. When the
        file cannot be used, that is logged, and what is sent is then not kept.
        """
        return await self._run(self._open)

    def put(self, call: str, id_: str, body: bytes, entries: int, *, last: bool) -> None:
        """Keep a document for every sink. Never waits and never raises.

        `entries` of the call have been seen with it; `last`: there will be no more.
        """
        with self._lock:
            if len(self._handed) >= MOST_IN_MEMORY:
                self._handed.popleft()
                self.dropped += 1
            self._handed.append((call, id_, body, entries, last))
            first = len(self._handed) == 1
        if first:
            with contextlib.suppress(RuntimeError):  # It is closed: the process ends.
                self._thread.submit(self._write)

    def news(self, sink: str) -> asyncio.Event:
        """Return what is set when more has come for a sink."""
        return self._wake[sink]

    async def waiting(self, sink: str, count: int, but: Collection[str] = ()) -> list[Waiting]:
        """Return the oldest documents for a sink, but for those of some calls."""
        return await self._run(lambda: self._waiting(sink, count, tuple(but)))

    async def done(self, sink: str, numbers: Collection[int]) -> None:
        """Forget documents: they were sent."""
        if numbers:
            await self._run(lambda: self._done(sink, tuple(numbers)))

    async def sweep(self) -> None:
        """Give up what is too old."""
        await self._run(self._sweep)

    async def close(self) -> None:
        """Write what was handed over, and let go. Does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        await self._run(self._write)
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._thread, work)

    # --- on the thread -------------------------------------------------------------------------------------

    def _open(self) -> dict[str, int]:
        for again in (True, False):
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if not again or isinstance(error, sqlite3.OperationalError):
                    _log.error("outbox_unusable", path=str(self._folder / _FILE), error=str(error))
                    break
                aside = self._folder / f"{_FILE}.{time.time_ns()}.broken"
                _log.error("outbox_broken", kept_as=str(aside), error=str(error))
                with contextlib.suppress(OSError):
                    (self._folder / _FILE).replace(aside)
            except OSError as error:
                _log.error("outbox_unusable", path=str(self._folder / _FILE), error=str(error))
                break
        return {}

    def _connect(self) -> dict[str, int]:
        # The words of callers are nobody else's: others who use the machine cannot look in.
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self._folder / _FILE, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            connection.executescript(_TABLES)
            counted = connection.execute("SELECT sink, COUNT(*), SUM(LENGTH(body)) FROM waiting GROUP BY sink")
            for sink, count, size in counted.fetchall():
                self.backlog[sink] = count
                self._bytes += size
            left = dict(connection.execute("SELECT call, entries FROM calls").fetchall())
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return left

    def _write(self) -> None:
        with self._lock:
            handed, self._handed = self._handed, deque()
        if not handed:
            return
        try:
            if self._connection is None:
                raise sqlite3.OperationalError("it could not be opened")
            self._insert(self._connection, handed)
            self._failing = False
        except sqlite3.Error as error:
            self.dropped += len(handed) * len(self._sinks)
            if not self._failing:
                self._failing = True
                _log.error("outbox_not_written", lost=len(handed), error=str(error))
            return
        with contextlib.suppress(RuntimeError):  # The loop is closed: the process ends.
            self._loop.call_soon_threadsafe(self._tell)

    def _insert(
        self, connection: sqlite3.Connection, handed: Collection[tuple[str, str, bytes, int, bool]]
    ) -> None:
        now = int(time.time())
        with _transaction(connection):
            connection.executemany(
                "INSERT INTO waiting (sink, call, id, kept_at, body) VALUES (?, ?, ?, ?, ?)",
                [(sink, call, id_, now, body) for call, id_, body, _, _ in handed for sink in self._sinks],
            )
            connection.executemany(
                "INSERT INTO calls (call, entries) VALUES (?, ?)"
                " ON CONFLICT (call) DO UPDATE SET entries = excluded.entries",
                [(call, entries) for call, _, _, entries, _ in handed],
            )
            over = [(call,) for call, _, _, _, last in handed if last]
            connection.executemany("DELETE FROM calls WHERE call = ?", over)
        for sink in self._sinks:
            self.backlog[sink] += len(handed)
        self._bytes += sum(len(body) for _, _, body, _, _ in handed) * len(self._sinks)
        if self._bytes > self._most_bytes:
            self._make_room(connection)
        elif self._full and self._bytes < self._most_bytes / 2:
            self._full = False

    def _make_room(self, connection: sqlite3.Connection) -> None:
        # Others who forget calls do not tell of it: what is there counts, not what was counted.
        (self._bytes,) = connection.execute("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM waiting").fetchone()
        if self._bytes <= self._most_bytes:
            return
        gone, freed, wanted = [], 0, self._bytes - self._most_bytes * _ROOM
        for number, sink, size in connection.execute(
            "SELECT number, sink, LENGTH(body) FROM waiting ORDER BY number"
        ):
            if freed >= wanted:
                break
            gone.append(number)
            freed += size
            self.backlog[sink] -= 1
        with _transaction(connection):
            connection.execute("DELETE FROM waiting WHERE number <= ?", (gone[-1],))
        self._bytes -= freed
        self.dropped += len(gone)
        if not self._full:
            self._full = True
            _log.error("outbox_full", dropped=len(gone), most_bytes=self._most_bytes)

    def _waiting(self, sink: str, count: int, but: tuple[str, ...]) -> list[Waiting]:
        if self._connection is None:
            return []
        others = f" AND call NOT IN ({','.join('?' * len(but))})" if but else ""
        rows = self._connection.execute(
            f"SELECT number, call, id, body FROM waiting WHERE sink = ?{others} ORDER BY number LIMIT ?",  # noqa: S608  Only question marks are put in.
            (sink, *but, count),
        )
        found = [Waiting(*row) for row in rows.fetchall()]
        if not but and len(found) < count:
            self.backlog[sink] = len(found)  # Others may have been at the file, too.
        return found

    def _done(self, sink: str, numbers: tuple[int, ...]) -> None:
        self._delete(f"sink = ? AND number IN ({','.join('?' * len(numbers))})", (sink, *numbers))

    def _sweep(self) -> None:
        given_up = self._delete("kept_at < ?", (int(time.time()) - MAX_AGE_S,))
        if given_up:
            self.dropped += given_up
            _log.error("outbox_given_up", documents=given_up, days=MAX_AGE_S // 86_400)

    def _delete(self, which: str, values: tuple[object, ...]) -> int:
        if self._connection is None:
            return 0
        with _transaction(self._connection) as connection:
            rows = connection.execute(
                f"DELETE FROM waiting WHERE {which} RETURNING sink, LENGTH(body)",  # noqa: S608  Ours alone.
                values,
            ).fetchall()
        for sink, size in rows:
            self.backlog[sink] -= 1
            self._bytes -= size
        return len(rows)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell(self) -> None:
        for event in self._wake.values():
            event.set()


def forget_waiting(folder: Path, calls: Collection[str]) -> int:
    """Forget all that waits of some calls in the outbox below the folder of calls, without a trace.

    Returns how many documents that was. A bridge may be using the outbox. Blocks on the disk; raises OSError.
    """
    path = folder / FOLDER / _FILE
    if not path.exists():
        return 0
    gone = 0
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5.0, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON").fetchall()
            connection.executescript(_TABLES)
            with _transaction(connection):
                for call in calls:
                    connection.execute("DELETE FROM calls WHERE call = ?", (call,))
                    gone += connection.execute("DELETE FROM waiting WHERE call = ?", (call,)).rowcount
            _empty_log(connection)
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from None
    return gone


def _empty_log(connection: sqlite3.Connection) -> None:
    """What was deleted still stands in the log of changes: empty it, as soon as nobody reads there."""
    for _ in range(_ATTEMPTS):
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
        time.sleep(0.05)
    raise sqlite3.OperationalError("the log of changes is in use")


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
