"""What happens in the live calls, event by event, for everybody who listens.

The last events are kept, so that who lost the connection can go on where it broke off. A listener has no queue of
its own, only a place in what is kept: one that falls behind by more than that misses events, and is told so.
Nothing here ever waits for a listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from bridge.live.events import GAP, News

KEPT: Final = 10_000
"""Events that are kept at most."""
KEPT_BYTES: Final = 8_000_000
"""Bytes of what they say at most."""
MOST_LISTENERS: Final = 500
"""Who may listen at the same time: each holds a connection, and is woken by every event."""
FINE_S: Final = 60.0
"""For how long after the last listener has left the fine grain is still kept, for when they come back."""
_BATCH: Final = 200
"""Events that a listener is handed at once, at most."""


class Event(Struct):
    """One event, with its place among all.

    Thousands are kept, and hardly ever does anybody ask for them: what can be made of the rest is made then. What
    it says is kept packed, so that it is small, and the collector has nothing to look at.
    """

    epoch: str
    number: int
    at: float
    """When it happened, in seconds since 1970."""
    type: str
    call: str
    said: bytes
    """What it says beside the above, as the JSON of an object."""
    _json: str = ""

    @property
    def id(self) -> str:
        """Its id."""
        return f"{self.epoch}-{self.number}"

    @property
    def data(self) -> dict[str, Any]:
        """All of it: `id`, `type`, `call` and `time` as well."""
        return {**self._head, **msgspec.json.decode(self.said)}

    @property
    def json(self) -> str:
        """The event as JSON; made once, for all listeners."""
        if not self._json:
            head = msgspec.json.encode(self._head)
            whole = head if self.said == b"{}" else b"%b,%b" % (head[:-1], self.said[1:])
            self._json = whole.decode()
        return self._json

    @property
    def _head(self) -> dict[str, str]:
        moment = dt.datetime.fromtimestamp(self.at, dt.UTC).isoformat(timespec="milliseconds")
        return {"id": self.id, "type": self.type, "call": self.call, "time": moment}


class Feed:
    """The events of one process. Its id of an event is `<epoch>-<number>`; the epoch tells processes apart."""

    def __init__(self, *, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
        self._epoch = f"{time.time_ns() // 1_000_000:x}"
        self._kept: deque[Event] = deque()
        self._most, self._most_bytes = kept, kept_bytes
        self._bytes = 0
        self._last = 0
        self._listeners: set[Listener] = set()
        self._left_at = -FINE_S
        self.closed = False
        self.on_fine: Callable[[bool], None] = lambda _: None
        """Is told when `fine` becomes true, and some time after it became false."""

    @property
    def last_id(self) -> str:
        """The id of the last event: who listens after it misses nothing that is still to come."""
        return f"{self._epoch}-{self._last}"

    @property
    def full(self) -> bool:
        """Tell whether as many listen as may."""
        return len(self._listeners) >= MOST_LISTENERS

    @property
    def fine(self) -> bool:
        """Tell whether anybody wants to know of every word, or did a moment ago."""
        return bool(self._listeners) or time.monotonic() < self._left_at + FINE_S

    def publish(self, news: News) -> None:
        """Tell everybody. Never waits and never raises."""
        self._last += 1
        event = Event(self._epoch, self._last, time.time(), news.type, news.call, _packed(news.data))
        self._kept.append(event)
        self._bytes += len(event.said)
        while len(self._kept) > self._most or (self._bytes > self._most_bytes and len(self._kept) > 1):
            self._bytes -= len(self._kept.popleft().said)
        for listener in self._listeners:
            listener.news.set()

    @contextlib.contextmanager
    def listen(
        self, after: str = "", *, calls: Collection[str] = (), types: Collection[str] = ()
    ) -> Iterator[Listener]:
        """Listen for the length of the block: to what comes after the event of this id; empty: from now on.

        `calls` and `types` are those that are wanted; empty: all. The event `gap` always comes.
        """
        listener = Listener(self, after, calls, types)
        self._listeners.add(listener)
        self.on_fine(True)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._left_at = time.monotonic()
            asyncio.get_running_loop().call_later(FINE_S + 1, self._look_whether_fine)

    def _look_whether_fine(self) -> None:
        if not self.fine:
            self.on_fine(False)

    def close(self) -> None:
        """Let every listener come to its end, behind the events that it has not taken yet."""
        self.closed = True
        for listener in self._listeners:
            listener.news.set()

    # --- for listeners -------------------------------------------------------------------------------------

    def number_after(self, after: str) -> int | None:
        """Return the number of the event that comes after this id; None: that cannot be told any more."""
        epoch, _, number = after.partition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdecimal() and len(number) < 20):
            return None
        following = int(number) + 1
        return following if self.oldest <= following <= self._last + 1 else None

    @property
    def oldest(self) -> int:
        """The number of the oldest event that is kept, or of the next if none is."""
        return self._last - len(self._kept) + 1

    @property
    def next_number(self) -> int:
        """The number of the event that comes next."""
        return self._last + 1

    def from_number(self, number: int, most: int) -> list[Event]:
        """Return what is kept from this number on, the oldest first."""
        begin = number - self.oldest
        return [self._kept[index] for index in range(begin, min(begin + most, len(self._kept)))]

    def gap(self) -> Event:
        """Return what tells that events were missed, and from where it goes on."""
        return Event(self._epoch, self._last, time.time(), GAP, "", b"{}")


class Listener:
    """A place in the feed. Iterating hands out events in batches, and ends when the feed is closed."""

    def __init__(self, feed: Feed, after: str, calls: Collection[str], types: Collection[str]) -> None:
        self.news = asyncio.Event()
        """Set when there is something to take."""
        self.ended = False
        """Whether nothing more is handed out, although the feed goes on."""
        self._feed = feed
        self._calls, self._types = frozenset(calls), frozenset(types)
        known = feed.number_after(after) if after else feed.next_number
        self._gap = known is None
        self._next = feed.next_number if known is None else known

    def end(self) -> None:
        """Hand out nothing more, not even what has come by now."""
        self.ended = True
        self.news.set()

    def take(self) -> list[Event]:
        """Return what has come since the last time, as much as fits into a batch; empty: nothing."""
        self.news.clear()
        if self._gap or self._next < self._feed.oldest:
            # What is kept still is older than what who missed something now asks for: they begin anew.
            self._gap = False
            self._next = self._feed.next_number
            return [self._feed.gap()]
        events = self._feed.from_number(self._next, _BATCH)
        self._next += len(events)
        if self._next < self._feed.next_number:
            self.news.set()
        return [event for event in events if self._wants(event)]

    def _wants(self, event: Event) -> bool:
        return (not self._calls or event.call in self._calls) and (not self._types or event.type in self._types)

    async def batches(self, *, beat_s: float) -> AsyncIterator[list[Event]]:
        """Yield events as they come, and an empty list whenever nothing has come for `beat_s` seconds."""
        while not self.ended:
            closed = self._feed.closed
            events = self.take()
            if events:
                yield events
            elif closed and not self.news.is_set():
                return
            if self.news.is_set() or self._feed.closed:
                continue
            try:
                async with asyncio.timeout(beat_s):
                    await self.news.wait()
            except TimeoutError:
                yield []


def _packed(said: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(said)
    except (TypeError, ValueError):
        # A note may hold anything, and a text half of a surrogate pair: tell what can be told.
        text = json.dumps(said, ensure_ascii=False, default=str, skipkeys=True, separators=(",", ":"))
        return text.encode("utf-8", "replace")
