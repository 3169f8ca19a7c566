"""The live calls of other processes, as they tell of them: how each stands, for who begins to look at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bridge.live.events import News
from bridge.live.feed import Feed
from bridge.live.picture import Picture

_LOST: Final = "process_lost"
"""Why a call is over whose process is not there any more."""


class Elsewhere:
    """Keeps a picture of each of these calls, and tells the feed what happens in them."""

    def __init__(self, feed: Feed, grew: Callable[[str, str], None] = lambda *_: None) -> None:
        """`grew` is told of journals that have grown there: folder and call."""
        self._feed = feed
        self.grew = grew
        self._calls: dict[str, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def holds(self, call: str) -> bool:
        """Tell whether a call, by the bridge's id or the carrier's, goes on in one of them."""
        return call in self._calls or any(one.facts["sid"] == call for one in self._calls.values())

    def all(self) -> list[dict[str, Any]]:
        """Return them as programs see them."""
        return [one.as_dict() for one in self._calls.values()]

    # --- what the others tell ------------------------------------------------------------------------------

    def begins(self, worker: int, calls: list[dict[str, Any]]) -> None:
        """A process is there, with these calls; what it was said to have before is not there any more."""
        self.gone(worker)
        for call in calls:
            self.call(worker, call)

    def call(self, worker: int, call: dict[str, Any]) -> None:
        """A call has begun; this is how it stands."""
        self._calls[call["id"]] = _Call(worker, call)

    def news(self, _worker: int, kind: str, call: str, data: dict[str, Any]) -> None:
        """Something has happened in a call."""
        news = News(kind, call, data)
        if (found := self._calls.get(call)) is not None:
            found.picture.remember(news)
        self._feed.publish(news)

    def over(self, _worker: int, call: str) -> None:
        """A call is over and recorded."""
        self._calls.pop(call, None)

    def gone(self, worker: int) -> None:
        """A process is not there any more, nor are its calls."""
        for id_ in [id_ for id_, call in self._calls.items() if call.worker == worker]:
            call = self._calls.pop(id_)
            if not call.picture.over:
                at_ms = call.picture.at_ms
                self._feed.publish(News("call.ended", id_, {"at_ms": at_ms, "reason": _LOST}))


class _Call:
    def __init__(self, worker: int, told: Mapping[str, Any]) -> None:
        self.worker = worker
        self.facts = dict(told)
        self.picture = Picture.of(told)

    def as_dict(self) -> dict[str, Any]:
        return {**self.facts, **self.picture.as_dict()}
