"""What many calls share and what follows the settings: opened once, and closed when the last call has left it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Any, Generic, Protocol, TypeVar

import structlog

from bridge.tasks import spawn


class Closable(Protocol):
    """Anything that has to be closed."""

    async def close(self) -> None:
        """Let go of what it holds."""


class Waitable(Protocol):
    """Anything that can be waited for: a call's end."""

    async def wait(self) -> object:
        """Wait until it has come."""


T = TypeVar("T", bound=Closable)

log = structlog.get_logger()


class Shared(Generic[T]):
    """Things of one kind, each opened once for equal settings."""

    def __init__(self, name: str, *, linger_s: float = 0.0) -> None:
        """`name` is what the kind is called in the log.

        `linger_s` is how long one that is let go stays open behind its last call, in seconds.
        """
        self._name = name
        self._linger_s = linger_s
        self._open: list[tuple[Any, T]] = []
        self._leaving: dict[asyncio.Task[None], T] = {}

    @property
    def all(self) -> list[T]:
        """Those that new calls may use."""
        return [thing for _, thing in self._open]

    @property
    def everything(self) -> list[T]:
        """Those, and the ones that only live calls still use."""
        return [*self.all, *self._leaving.values()]

    def get(self, key: Any, make: Callable[[], T]) -> T:
        """Return the one that was opened for `key`, or open it now."""
        for known, thing in self._open:
            if known == key:
                return thing
        thing = make()
        self._open.append((key, thing))
        return thing

    def keep(self, wanted: Collection[T], users: Callable[[T], Iterable[Waitable]]) -> None:
        """Let go of all others; each is closed when the calls that use it are over.

        `users` returns, for one that is let go, the events that are set when those calls have ended.
        """
        for _, thing in self._open:
            if not any(thing is one for one in wanted):
                task = spawn(self._leave(thing, [*users(thing)]), name=f"{self._name}-leaves")
                self._leaving[task] = thing
                task.add_done_callback(lambda done: self._leaving.pop(done, None))
        self._open = [(key, thing) for key, thing in self._open if any(thing is one for one in wanted)]

    def forget_since(self, before: Collection[T]) -> list[T]:
        """Take out what was not there before: something went wrong, and nobody uses it. The caller closes it."""
        new = [thing for thing in self.all if not any(thing is one for one in before)]
        self._open = [(key, thing) for key, thing in self._open if any(thing is one for one in before)]
        return new

    async def close(self) -> None:
        """Close everything now, whoever uses it."""
        leaving, self._leaving = self._leaving, {}
        things = [*self.all, *leaving.values()]
        for task in leaving:
            task.cancel()
        self._open.clear()
        for thing in things:
            await thing.close()

    async def _leave(self, thing: T, users: list[Waitable]) -> None:
        log.info("shared_leaves", what=self._name, calls=len(users))
        for ended in users:
            await ended.wait()
        if users:
            await asyncio.sleep(self._linger_s)
        try:
            await thing.close()
        except Exception:  # It is nobody's any more: a fault in its end is told, and that is all.
            log.exception("shared_not_closed", what=self._name)
        else:
            log.info("shared_closed", what=self._name)
