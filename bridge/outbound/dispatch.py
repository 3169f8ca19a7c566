"""Whose turn it is to be called: the queue, and the limits that it is there for. Pure; the clock is handed in.

Requests are placed in the order in which they came, so many a second and so many at the same time. One that the
carrier will take only later goes back to the front and holds up the rest: what is too much for the carrier now is
too much whoever is called.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection

from msgspec import Struct

from bridge.errors import BridgeError
from bridge.outbound.order import Order
from bridge.outbound.progress import OutboundCall

KEY_KEPT_S = 24 * 3600.0
"""How long the answer to an idempotency key is remembered, in seconds."""
_RETRY_AFTER_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""How long a request waits after each attempt that the carrier did not take."""


class Limits(Struct, frozen=True):
    """What the carrier and the house can bear."""

    calls_per_second: float = 1.0
    concurrent_calls: int = 10
    queue_length: int = 1000
    remembered: int = 10_000
    """Calls that are over, and keys, that are kept in mind."""


class QueueFullError(BridgeError):
    """So many requests wait that no more are taken."""

    def __init__(self, length: int) -> None:
        super().__init__(
            f"{length} calls wait to be placed, which is the most that may"
            " (outbound.queue_length, BRIDGE_OUTBOUND__QUEUE_LENGTH): try again later",
            code="queue_full",
        )


class KeyConflictError(BridgeError):
    """An idempotency key came again with another request."""

    def __init__(self, call: OutboundCall) -> None:
        super().__init__(
            "this Idempotency-Key was used for another request: take a new key for each call", code="key_conflict"
        )
        self.call = call
        """The call that was placed for it."""


class Dispatch:
    """The requests of one process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[str, OutboundCall] = {}
        self._waiting: deque[OutboundCall] = deque()
        self._active: dict[str, OutboundCall] = {}
        self._over: OrderedDict[str, None] = OrderedDict()
        self._keys: OrderedDict[str, OutboundCall] = OrderedDict()
        self._next_at = 0.0

    # --- what there is ---

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @property
    def active(self) -> list[OutboundCall]:
        """Those that were handed to the carrier and are not over."""
        return [*self._active.values()]

    def find(self, name: str) -> OutboundCall | None:
        """Return the call with this id of ours, or of the carrier's; None: there is none, or it is forgotten."""
        if name in self._known:
            return self._known[name]
        return next((call for call in self._known.values() if name and call.sid == name), None)

    @property
    def queued(self) -> list[OutboundCall]:
        """Those that wait for their turn, in their order."""
        return [*self._waiting]

    # --- what happens ---

    def submit(
        self, call_id: str, order: Order, now: float, *, key: str = "", created_at: str = ""
    ) -> OutboundCall:
        """Take a request. With a `key` that was used before, return the call that was taken for it.

        Raises `KeyConflictError` when the key came with another order, and `QueueFullError`.
        """
        self._forget_keys(now)
        if key and (known := self._keys.get(key)) is not None:
            if known.order != order:
                raise KeyConflictError(known)
            return known
        if len(self._waiting) >= self._limits.queue_length:
            raise QueueFullError(len(self._waiting))
        call = OutboundCall(call_id, order, requested_at=now, created_at=created_at)
        self._waiting.append(call)
        self._known[call_id] = call
        if key:
            self._keys[key] = call
        return call

    def due(self, now: float, room: Callable[[OutboundCall], bool] = lambda _: True) -> list[OutboundCall]:
        """Return the requests that are to be placed now; they count as active from here on.

        `room` is asked whether there is room for one more in the house; the first for which there is none holds up
        the rest.
        """
        found: list[OutboundCall] = []
        while (at := self.deadline(now)) is not None and at <= now and room(self._waiting[0]):
            call = self._waiting.popleft()
            # One token at a time: after a pause there is no burst, for the carrier counts by the second, too.
            self._next_at = max(now, self._next_at) + 1.0 / self._limits.calls_per_second
            call.status = "dialing"
            call.attempts += 1
            self._active[call.id] = call
            found.append(call)
        return found

    def deadline(self, now: float) -> float | None:
        """Return when `due` has something to return; None: not before another call is over, or is requested."""
        if not self._waiting or len(self._active) >= self._limits.concurrent_calls:
            return None
        return max(now, self._next_at, self._waiting[0].not_before)

    def put_off(self, call: OutboundCall, now: float) -> bool:
        """The carrier did not take a request: try again in a while. False: it was tried often enough."""
        if call.attempts > len(_RETRY_AFTER_S):
            return False
        del self._active[call.id]
        call.status = "queued"
        call.not_before = now + _RETRY_AFTER_S[call.attempts - 1]
        self._waiting.appendleft(call)
        return True

    def settle(self, call: OutboundCall) -> bool:
        """Make room, if a call is over by now. Returns whether it was there until now."""
        if not call.over or call.id in self._over:
            return False
        if self._active.pop(call.id, None) is None:
            self._waiting.remove(call)
        self._over[call.id] = None
        while len(self._over) > self._limits.remembered:
            oldest, _ = self._over.popitem(last=False)
            del self._known[oldest]
        return True

    def adopt(self, call: OutboundCall, now: float, *, key: str = "") -> None:
        """Take a request that another process took before, however many wait; one that is over is remembered."""
        if call.id in self._known:
            return
        call.requested_at = now
        self._known[call.id] = call
        self._waiting.append(call)
        if key:
            self._keys[key] = call
        self.settle(call)

    def leave(self, calls: Collection[str]) -> None:
        """Know nothing more of some that wait: another process has them."""
        self._waiting = deque(call for call in self._waiting if call.id not in calls)
        for call_id in calls:
            self._known.pop(call_id, None)

    def give_up_waiting(self, reason: str) -> list[OutboundCall]:
        """End everything that waits. Returns what that was."""
        given_up = [*self._waiting]
        for call in given_up:
            call.end("canceled", reason)
            self.settle(call)
        return given_up

    def _forget_keys(self, now: float) -> None:
        while self._keys:
            key, oldest = next(iter(self._keys.items()))
            too_many = len(self._keys) >= max(self._limits.remembered, self._limits.queue_length)
            if not too_many and now < oldest.requested_at + KEY_KEPT_S:
                return
            del self._keys[key]
