"""The calls that this process has taken, which are found without asking the database."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from bridge.agents.base import CallInfo

_REMEMBERED: Final = 1_000
"""The database finds those before: it is a second or so behind, or a time of being away."""


class OwnCalls:
    """Remembers the latest calls of this process, by both their ids."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, CallInfo] = OrderedDict()
        self._ids: dict[str, str] = {}

    def observer(self, info: CallInfo) -> Callable[..., None]:
        """Take note of a call that begins; for the registry, which asks for an observer of each."""
        self._calls[info.id] = info
        self._ids[info.sid] = info.id
        while len(self._calls) > _REMEMBERED:
            _, oldest = self._calls.popitem(last=False)
            if self._ids.get(oldest.sid) == oldest.id:
                del self._ids[oldest.sid]
        return lambda *_: None

    def find(self, name: str) -> CallInfo | None:
        """Return the call of this id, the bridge's or the carrier's; None: there was none here."""
        return self._calls.get(self._ids.get(name, name))

    def forget(self, call_ids: Iterable[str]) -> None:
        """Find calls no more that were erased."""
        for call_id in call_ids:
            if (info := self._calls.pop(call_id, None)) is not None:
                self._ids.pop(info.sid, None)
