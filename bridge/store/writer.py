"""The one thread that touches the disk, so that the event loop never waits for it.

Work is handed over as small jobs and done in their order. What waits is bounded: when the disk cannot follow, jobs
with audio are refused first, and nobody waits.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import structlog

T = TypeVar("T")
Job: TypeAlias = Callable[[], None]

_log = structlog.get_logger()

WAITING_BYTES: Final = 32 * 1024 * 1024
"""How much may wait for the disk: over half an hour of one call's audio, or six seconds of three hundred calls'."""
RESERVE_BYTES: Final = 8 * 1024 * 1024
"""How much more of what must not be lost (journals) may wait."""


class DiskThread:
    """Does jobs one after the other on a thread of its own, which starts with the first of them."""

    def __init__(self, *, waiting_bytes: int = WAITING_BYTES, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._waiting_bytes = waiting_bytes
        self._reserve_bytes = reserve_bytes
        self._jobs: queue.SimpleQueue[tuple[Job, int, bool]] = queue.SimpleQueue()
        self._lock = (
            threading.Lock()
        )  # held for a moment, never over a disk call; guards `_thread` and the counters
        self._thread: threading.Thread | None = None
        self._waiting = 0
        self._behind = False
        self.refused = 0
        """How many jobs were dropped because the disk could not follow."""

    @property
    def waiting(self) -> int:
        """Bytes that were handed over and are not written yet."""
        return self._waiting

    def put(self, job: Job, size: int = 0, *, vital: bool = False) -> bool:
        """Hand a job over and return at once; False when it was refused because too much waits already.

        `size` is the number of bytes the job keeps in memory. A vital job may use the reserve too. A job is to deal
        with `OSError` by itself, as it knows what the failure means; anything else that it raises is logged.
        """
        room = self._waiting_bytes + (self._reserve_bytes if vital else 0)
        if self._waiting + size > room:
            self.refused += 1
            if not self._behind:
                self._behind = True
                _log.error("disk_cannot_follow", waiting_bytes=self._waiting)
            return False
        if self._behind and self._waiting < self._waiting_bytes // 2:
            self._behind = False
            _log.warning("disk_follows_again", refused=self.refused)
        self._hand_over(job, size)
        return True

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` behind everything handed over before, and return what it returns or raise what it raises.

        Is never refused. Being cancelled stops the waiting, not the work.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                value = work()
            except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
                _tell(loop, _fail, result, error)
            else:
                _tell(loop, _succeed, result, value)

        self._hand_over(job, 0)
        return await result

    async def close(self) -> None:
        """Do everything that was handed over, then end the thread. A job that comes later starts it again.

        Being cancelled stops the waiting; the thread still does its jobs and ends.
        """
        if self._thread is None:
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._hand_over(lambda: _tell(loop, _succeed, ended, None), 0, last=True)
        await ended

    def _hand_over(self, job: Job, size: int, *, last: bool = False) -> None:
        with self._lock:
            self._waiting += size
            self._jobs.put((job, size, last))
            if self._thread is None:
                # A daemon: a process that ends without `close` must not hang for its disk.
                self._thread = threading.Thread(target=self._work, name="store-disk", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            job, size, last = self._jobs.get()
            if last and self._leave():
                job()
                return
            try:
                job()
            except Exception:  # noqa: BLE001 - it is logged; one job's fault must not end the thread that every call's record depends on
                _log.exception("disk_job_failed")
            del job  # or the audio it holds would live on until the next one comes
            with self._lock:
                self._waiting -= size

    def _leave(self) -> bool:
        """Whether the thread may end: whoever hands a job over from now on sees that a new one is needed."""
        with self._lock:
            if not self._jobs.empty():
                return False
            self._thread = None
            return True


_shared = DiskThread()


def shared_disk() -> DiskThread:
    """The disk thread of this process."""
    return _shared


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(what, *args)
    except RuntimeError:  # the loop was closed meanwhile: nobody waits for the answer any more
        _log.debug("disk_answer_unwanted")


def _succeed(result: asyncio.Future[T], value: T) -> None:
    if not result.done():
        result.set_result(value)


def _fail(result: asyncio.Future[Any], error: Exception) -> None:
    if not result.done():
        result.set_exception(error)
