"""The one thread that touches the disk, so that the event loop never waits for it, but for one counted moment.

Work is handed over as small jobs and done in their order, the vital ones (journals) before all others. What waits
is bounded: when the disk cannot follow, jobs with audio are refused first, and nobody waits.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
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


_LATER_S: Final = 0.1
"""How long a job that is not urgent waits for others, so that the thread wakes up once for all of them."""
_AT_ONCE_BYTES: Final = 512 * 1024
"""How much may wait for that."""
_MOMENT_S: Final = 0.001
"""For how long the event loop may stand still for the thread, at most; nearly always it is a fifth of that."""
_SLOW_S: Final = 1.0
"""How long a disk is taken for slow that was not done by then."""


class DiskThread:
    """Does jobs one after the other on a thread of its own, which starts with the first of them.

    Vital jobs go first, because an agent is asked only when the question is in the journal: that must not wait for
    the sound of all other calls. Each time it wakes up it competes with the event loop for the interpreter: so it
    does all else together, ten times a second, unless somebody waits for it.
    """

    def __init__(self, *, waiting_bytes: int = WAITING_BYTES, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._waiting_bytes = waiting_bytes
        self._reserve_bytes = reserve_bytes
        self._vital: deque[tuple[Job, int]] = deque()
        self._jobs: deque[tuple[Job, int, bool]] = deque()
        self._lock = threading.Lock()
        """Held for a moment, never over a disk call; guards everything here but the two below."""
        self._signal = threading.Lock()
        """Taken, but for the moment between a wake-up call and the thread's waking."""
        self._signal.acquire()
        self._done = 0
        """Bytes that were handed over and are written. The thread alone changes it."""
        self._thread: threading.Thread | None = None
        self._called = False
        """The signal was given, and the thread has not seen it yet."""
        self._slow_until = 0.0
        """Until then nobody waits a moment for it."""
        self._writing = False
        """A vital job is being done. The thread alone changes it."""
        self._urgent = False
        self._idle = False
        """The thread waits for a signal, however long it takes."""
        self._handed = 0
        """Bytes that were handed over."""
        self._behind = False
        self.refused = 0
        """How many jobs were dropped because the disk could not follow."""

    @property
    def waiting(self) -> int:
        """Bytes that were handed over and are not written yet."""
        return self._handed - self._done

    def put(self, job: Job, size: int = 0, *, vital: bool = False) -> bool:
        """Hand a job over and return at once; False when it was refused because too much waits already.

        `size` is the number of bytes the job keeps in memory. A vital job may use the reserve too, and is done at
        once, before those that are not; another one may be kept for a tenth of a second. A job is to deal with
        `OSError` by itself, as it knows what the failure means; anything else that it raises is logged.
        """
        if not self.hold(size, vital=vital):
            return False
        self._hand_over(job, size, vital=vital)
        return True

    def hold(self, size: int, *, vital: bool = False) -> bool:
        """Reckon with so many bytes that wait for a job; False: too much waits already, and they must be dropped.

        Whoever holds them has a job done that lets them go.
        """
        room = self._waiting_bytes + (self._reserve_bytes if vital else 0)
        if self.waiting + size > room:
            self.refused += 1
            if not self._behind:
                self._behind = True
                _log.error("disk_cannot_follow", waiting_bytes=self.waiting)
            return False
        if self._behind and self.waiting < self._waiting_bytes // 2:
            self._behind = False
            _log.warning("disk_follows_again", refused=self.refused)
        with self._lock:
            self._handed += size
        return True

    def let_go(self, size: int) -> None:
        """Bytes that were held are written. To be called in a job only."""
        self._done += size

    def do(self, job: Job, *, vital: bool) -> None:
        """Hand over a job that keeps nothing in memory but what is held for it; as `put`, but never refused."""
        self._hand_over(job, 0, vital=vital)

    async def settled(self) -> None:
        """Wait until every vital job that was handed over so far is done; not at all if that is so already.

        Being cancelled stops the waiting.
        """
        if (self._vital or self._writing) and not self._done_in_a_moment():
            await self._awaited(lambda: None, vital=True)

    def _done_in_a_moment(self) -> bool:
        """Let the thread have the interpreter for a moment, and tell whether the vital jobs are done by its end.

        On its own it gets it when the event loop has nothing else to do, and its answer waits for that once more:
        with many calls that takes far longer than the few lines that it has to write. A disk that was not done in
        the moment is left alone for a while, so that a slow one does not halt the loop time and again.
        """
        now = time.monotonic()
        if now < self._slow_until:
            return False
        written = threading.Lock()
        written.acquire()  # The job gives it back.
        self._hand_over(written.release, 0, vital=True)
        if written.acquire(timeout=_MOMENT_S):
            return True
        self._slow_until = now + _SLOW_S
        return False

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` behind everything handed over before, and return what it returns or raise what it raises.

        Is never refused. Being cancelled stops the waiting, not the work.
        """
        return await self._awaited(work, vital=False)

    async def _awaited(self, work: Callable[[], T], *, vital: bool) -> T:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                value = work()
            except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
                _tell(loop, _fail, result, error)
            else:
                _tell(loop, _succeed, result, value)

        self._hand_over(job, 0, vital=vital, at_once=True)
        return await result

    async def close(self) -> None:
        """Do everything that was handed over, then end the thread. A job that comes later starts it again.

        Being cancelled stops the waiting; the thread still does its jobs and ends.
        """
        if self._thread is None:
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._hand_over(lambda: _tell(loop, _succeed, ended, None), 0, at_once=True, last=True)
        await ended

    def _hand_over(
        self, job: Job, size: int, *, vital: bool = False, at_once: bool = False, last: bool = False
    ) -> None:
        with self._lock:
            if vital:
                self._vital.append((job, size))
            else:
                self._jobs.append((job, size, last))
            if self._thread is None:
                # A daemon: a process that ends without `close` must not hang for its disk.
                self._thread = threading.Thread(target=self._work, name="store-disk", daemon=True)
                self._thread.start()
            if at_once or self.waiting > _AT_ONCE_BYTES:
                self._urgent = True
            elif not (vital or self._idle):
                return  # It comes by itself.
            self._idle = False
            if not self._called:
                self._called = True
                self._signal.release()

    def _work(self) -> None:
        idle = False
        due = time.monotonic() + _LATER_S
        while True:
            called = self._signal.acquire(timeout=-1 if idle else max(0.0, due - time.monotonic()))
            with self._lock:
                if called:
                    self._called = False
                urgent, self._urgent = self._urgent, False
            if idle:
                idle, due = False, time.monotonic() + _LATER_S  # Something has come.
            self._do_vital()
            if not urgent and time.monotonic() < due:
                continue  # All else would hold up the loop just when it asks the agent.
            busy = bool(self._jobs)
            if self._do_all():
                return
            due = time.monotonic() + _LATER_S
            with self._lock:
                # Where there was nothing to do for a while, it waits until it is called.
                self._idle = idle = not (busy or self._vital or self._jobs or self._called)

    def _do_all(self) -> bool:
        """Do every job that is there; True: the thread is to end."""
        while self._vital or self._jobs:
            self._do_vital()
            if self._jobs:
                job, size, last = self._jobs.popleft()
                if last and self._leave():
                    job()
                    return True
                self._do(job, size)
                del job  # or the audio it holds would live on until the next one comes
        return False

    def _do_vital(self) -> None:
        while self._vital:
            self._writing = True  # Before it is taken out: `settled` looks at both.
            self._do(*self._vital.popleft())
            self._writing = False

    def _do(self, job: Job, size: int) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001 - it is logged; one job's fault must not end the thread that every call's record depends on
            _log.exception("disk_job_failed")
        self._done += size

    def _leave(self) -> bool:
        """Whether the thread may end: whoever hands a job over from now on sees that a new one is needed."""
        with self._lock:
            if self._vital or self._jobs:
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
