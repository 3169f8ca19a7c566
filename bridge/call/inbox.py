"""The loop of one call: events are taken one at a time, in the order in which they came; a deadline wakes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import structlog

E = TypeVar("E")
T = TypeVar("T")

log = structlog.get_logger()


class Inbox(Generic[E]):
    """Hands each event to `step` once the one before it is done with, whoever hands it in, and from wherever.

    `deadline` says when `ring` is due if nothing happens before (the loop's time; None: nothing is due); it is
    asked after each step, and there is one timer. When `step` raises, that is logged, nothing is taken any more,
    and `on_failure` is called: peers that many calls share hand events in, and must not suffer from one call's bug.
    """

    def __init__(
        self,
        step: Callable[[E], None],
        deadline: Callable[[], float | None],
        ring: E,
        on_failure: Callable[[], None],
        **names: str,
    ) -> None:
        """`names` tell the call in the log."""
        self.failed = False
        self._step = step
        self._deadline = deadline
        self._ring = ring
        self._on_failure = on_failure
        self._names = names
        self._loop = asyncio.get_running_loop()
        self._waiting: list[E] = []
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        """What it is set to. Not every event loop can tell: uvloop's handle of a moment that is past does not."""
        self._due: float | None = None
        """The deadline after the last step; the timer may be set for an earlier moment."""

    def take(self, event: E) -> None:
        """Take an event. Never waits, never raises."""
        if self.failed:
            return
        if self._busy:
            self._waiting.append(event)
            return  # A peer answered within its command: its turn comes when the commands are carried out.
        self._busy = True
        try:
            self._step(event)
            while self._waiting:
                self._step(self._waiting.pop(0))
            self._set_timer()
        except Exception:
            log.exception("call_failed", **self._names)
            self.failed = True
            self._waiting.clear()
            self._on_failure()
        finally:
            self._busy = False

    def stop(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Do nothing with what is taken from now on, and hold nobody.

        The peers of a call hand it what they have to tell, and the call holds them: without this, each call that
        is over would wait for the collector, and its buffers with it.
        """
        self.stop()
        self._step, self._deadline, self._on_failure = _nobody, _never, _nothing

    def _set_timer(self) -> None:
        """Be woken no later than at the deadline. It moves with most steps: a timer that is too early stays."""
        self._due = deadline = self._deadline()
        if deadline is None or (self._timer is not None and self._timer_at > deadline):
            self.stop()
        if self._timer is None and deadline is not None:
            self._ring_at(deadline)

    def _wake(self, when: float) -> None:
        self._timer = None
        if self._due is not None and self._due > when:
            self._ring_at(self._due)
        else:
            self.take(self._ring)

    def _ring_at(self, when: float) -> None:
        self._timer, self._timer_at = self._loop.call_at(when, self._wake, when), when


def _nobody(_event: object) -> None:
    pass


def _never() -> None:
    pass


def _nothing() -> None:
    pass


async def attempt(work: Coroutine[Any, Any, T], **names: str) -> T | None:
    """Do one step of a call's end; what goes wrong in it is logged: the end must come, whatever a peer does."""
    try:
        return await work
    except Exception:
        log.exception("call_end_failed", **names)
        return None
