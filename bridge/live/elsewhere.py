"""The live calls of other processes, as they tell of them: how each stands, for who begins to look at it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol, TypeAlias

from bridge.live.events import News
from bridge.live.picture import Picture

Who: TypeAlias = int | str
"""A process: the number of a worker of this bridge, or the run of another node."""

_LOST: Final = "process_lost"
"""Why a call is over whose process is not there any more."""


class Publishing(Protocol):
    """Who is told what happens in these calls."""

    def publish(self, news: News) -> None:
        """Tell everybody. Never waits and never raises."""


class Elsewhere:
    """Keeps a picture of each of these calls, and tells the feed what happens in them."""

    def __init__(self, feed: Publishing, grew: Callable[[str, str], None] = lambda *_: None) -> None:
        """`grew` is told of journals that have grown there: folder and call."""
        self._feed = feed
        self.grew = grew
        self._calls: dict[str, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def holds(self, call: str) -> bool:
        """Tell whether a call, by the bridge's id or the carrier's, goes on in one of them."""
        return call in self._calls or any(one.facts["sid"] == call for one in self._calls.values())

    def where(self, call: str) -> Who | None:
        """Return the process in which a call, by either of its ids, goes on; None: it is not known."""
        if (found := self._calls.get(call)) is not None:
            return found.worker
        return next((one.worker for one in self._calls.values() if one.facts["sid"] == call), None)

    def all(self) -> list[dict[str, Any]]:
        """Return them as programs see them."""
        return [one.as_dict() for one in self._calls.values()]

    # --- what the others tell ------------------------------------------------------------------------------

    def begins(self, worker: Who, calls: list[dict[str, Any]]) -> None:
        """A process is there, with these calls; what it was said to have before is not there any more."""
        self.gone(worker)
        for call in calls:
            self.call(worker, call)

    def call(self, worker: Who, call: dict[str, Any]) -> None:
        """A call has begun; this is how it stands."""
        self._calls[call["id"]] = _Call(worker, call)

    def news(self, _worker: Who, kind: str, call: str, data: dict[str, Any]) -> None:
        """Something has happened in a call."""
        news = News(kind, call, data)
        if (found := self._calls.get(call)) is not None:
            found.picture.remember(news)
        self._feed.publish(news)

    def over(self, worker: Who, call: str) -> None:
        """A call is over and recorded; unless it goes on in another process by now."""
        if (found := self._calls.get(call)) is not None and found.worker == worker:
            del self._calls[call]

    def gone(self, worker: Who) -> None:
        """A process is not there any more, nor are its calls."""
        self.only(worker, ())

    def only(self, worker: Who, calls: Collection[str]) -> None:
        """A process has no calls but these, whatever it was said to have before."""
        for id_ in [id_ for id_, one in self._calls.items() if one.worker == worker and id_ not in calls]:
            call = self._calls.pop(id_)
            if not call.picture.over:
                at_ms = call.picture.at_ms
                self._feed.publish(News("call.ended", id_, {"at_ms": at_ms, "reason": _LOST}))


class _Call:
    def __init__(self, worker: Who, told: Mapping[str, Any]) -> None:
        self.worker = worker
        self.facts = dict(told)
        self.picture = Picture.of(told)

    def as_dict(self) -> dict[str, Any]:
        return {**self.facts, **self.picture.as_dict()}
