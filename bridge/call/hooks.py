"""Turn-taking as it happens, for Python programs that run the bridge: a method for each event of speech to text.

A program derives from `TurnHooks`, overrides what it wants to know of, and hands an object of it to the bridge. The
names are those that turn-taking services are known by.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from bridge.agents.base import CallInfo
from bridge.call.session import Observer
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.tasks import spawn

_WAITING_AT_MOST = 1000
"""How many hooks of a call may wait for an asynchronous one before them; those beyond are left out."""


class TurnHooks:
    """What speech to text tells of every call: override what you want to know of.

    Each method may be an ordinary one, which must not wait, or `async`. The hooks of one call run one after the
    other, in the order of the events: one that comes while an asynchronous hook of the same call is at work waits
    for it; the call itself never does. What a hook raises is logged, once for each hook and call, and changes
    nothing.

    Turn events come as the service told them, whatever the call makes of them: noise begins turns too. The call has
    acted on an event when its hook is told of it. What came before the call's media stream, because speech to text
    was got ready for it, is told at the call's start.
    """

    def connected(self, call: CallInfo, request_id: str) -> Any:
        """The session is ready; again after each reconnection. `request_id` is the service's own."""

    def disconnected(self, call: CallInfo, code: str, message: str) -> Any:
        """The connection broke and is being restored, or, with an empty `code`, the session closed as it should."""

    def connection_error(self, call: CallInfo, failure: on.RecognizerFailed) -> Any:
        """The service reported an error or could not be reached; `failure.details` holds what it said."""

    def turn_start(self, call: CallInfo) -> Any:
        """The caller began to speak; there are no words yet."""

    def turn_update(self, call: CallInfo, transcript: str) -> Any:
        """More words: all of the turn so far, verbatim."""

    def turn_eager_end(self, call: CallInfo, transcript: str) -> Any:
        """The caller may be done."""

    def turn_resume(self, call: CallInfo) -> Any:
        """The eager end was wrong: the caller goes on."""

    def turn_end(self, call: CallInfo, transcript: str) -> Any:
        """The caller is done; `transcript` is empty when the sound was no speech."""


def observer_of(hooks: TurnHooks) -> Callable[[CallInfo], Observer]:
    """Return what `Registry.observers` takes: an observer for each new call, which runs its hooks."""
    return lambda info: _HookRunner(hooks, info)


class _HookRunner:
    """Runs the hooks of one call, in order."""

    def __init__(self, hooks: TurnHooks, info: CallInfo) -> None:
        self._hooks = hooks
        self._info = info
        self._log = structlog.get_logger().bind(call=info.id, sid=info.sid)
        self._waiting: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._logged: set[str] = set()

    def __call__(self, _now: float, event: on.Event, _commands: list[do.Command]) -> None:
        """Look at one step of the call."""
        if (hook := _hook_of(event)) is None:
            return
        if self._running is not None:
            self._wait(hook)
        elif (pending := self._start(*hook)) is not None:
            self._running = spawn(self._go_on(hook[0], pending), name=f"hooks-{self._info.id}")

    def _wait(self, hook: tuple[str, tuple[Any, ...]]) -> None:
        if len(self._waiting) < _WAITING_AT_MOST:
            self._waiting.append(hook)
        elif "" not in self._logged:
            self._logged.add("")
            self._log.error("hooks_left_out", waiting=_WAITING_AT_MOST, hook=hook[0])

    def _start(self, name: str, arguments: tuple[Any, ...]) -> Awaitable[Any] | None:
        """Call a hook. Returns what is to be waited for, if it is asynchronous."""
        try:
            result = getattr(self._hooks, name)(self._info, *arguments)
        except Exception as error:  # noqa: BLE001  A stranger's code: whatever it raises must not reach the call.
            self._failed(name, error)
            return None
        return result if inspect.isawaitable(result) else None

    async def _go_on(self, name: str, pending: Awaitable[Any]) -> None:
        """Wait for an asynchronous hook, then run those that came meanwhile."""
        try:
            await self._finish(name, pending)
            while self._waiting:
                name, arguments = self._waiting.popleft()
                if (next_one := self._start(name, arguments)) is not None:
                    await self._finish(name, next_one)
        finally:
            self._running = None

    async def _finish(self, name: str, pending: Awaitable[Any]) -> None:
        try:
            await pending
        except Exception as error:  # noqa: BLE001  As above.
            self._failed(name, error)

    def _failed(self, name: str, error: Exception) -> None:
        if name not in self._logged:
            self._logged.add(name)
            self._log.error("hook_failed", hook=name, exc_info=error)


def _hook_of(event: on.Event) -> tuple[str, tuple[Any, ...]] | None:  # noqa: PLR0911  It is a table.
    """Return the hook that is told of an event, and what it is told."""
    match event:
        case on.RecognizerConnected(request_id):
            return "connected", (request_id,)
        case on.RecognizerLost(code, message):
            return "disconnected", (code, message)
        case on.RecognizerClosed():
            return "disconnected", ("", "")
        case on.RecognizerFailed():
            return "connection_error", (event,)
        case on.TurnStarted():
            return "turn_start", ()
        case on.TurnUpdated(transcript):
            return "turn_update", (transcript,)
        case on.TurnEagerlyEnded(transcript):
            return "turn_eager_end", (transcript,)
        case on.TurnResumed():
            return "turn_resume", ()
        case on.TurnEnded(transcript):
            return "turn_end", (transcript,)
        case _:
            return None
