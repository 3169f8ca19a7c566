"""The live calls as people see them: what was said so far, how they stand, and who may act on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import structlog

from bridge.agents.base import CallInfo
from bridge.call.log_calls import KIND
from bridge.call.log_session import LogSession
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.conversation.commands import Command
from bridge.conversation.events import Event
from bridge.conversation.overheard import Happening, Order
from bridge.live.events import News
from bridge.live.feed import Feed
from bridge.live.picture import Picture
from bridge.live.watch import Hide, Watch

log = structlog.get_logger()


class Teller(Protocol):
    """Who is told what happens; the feed of this process, or of another that people ask."""

    @property
    def fine(self) -> bool:
        """Tell whether anybody wants to know of every word."""

    def publish(self, news: News) -> None:
        """Tell everybody. Never waits and never raises."""


class LiveCall:
    """One live call. It is shown every step of its session, and tells the feed of it."""

    def __init__(self, session: Session | LogSession, agent: str, teller: Teller, hide: Hide) -> None:
        self.session = session
        self.agent = agent
        self._teller = teller
        info = session.info
        self._facts: dict[str, Any] = {
            "sid": info.sid,
            "from": info.caller,
            "to": info.called,
            "direction": info.direction,
            "agent": agent,
            "started_at": info.started_at,
        }
        look = session if isinstance(session, Session) else None
        self._watch = Watch(info.id, self._facts, look, hide)
        self._picture = Picture()
        self._deaf = False

    @property
    def id(self) -> str:
        """The bridge's id of the call."""
        return self.session.info.id

    @property
    def moves(self) -> bool:
        """Tell whether another process goes on with it: its end here is not the call's."""
        return isinstance(self.session, Session) and self.session.abandoned

    def look(self, now: float, event: Event, commands: list[Command]) -> None:
        """Look at a step of an agent's call, as its observer. Never raises."""
        self._see(now, event, commands, secret=isinstance(self.session, Session) and self.session.secret)

    def overhear(self, now: float, event: Happening, orders: list[Order]) -> None:
        """The same for a call between two people."""
        self._see(now, event, orders, secret=False)

    def _see(self, now: float, event: Event | Happening, commands: Any, *, secret: bool) -> None:
        if self._deaf:
            return
        try:
            for news in self._watch.step(now, event, commands, secret=secret, fine=self._teller.fine):
                self._picture.remember(news)
                self._teller.publish(news)
        except Exception:
            log.exception("live_watch_failed", call=self.id)
            self._deaf = True

    def as_dict(self, recording: str) -> dict[str, Any]:
        """Return the call as programs see it; `recording` is whether its sound is kept."""
        saying = self.session.saying if isinstance(self.session, Session) else None
        return {
            "id": self.id,
            **self._facts,
            "mode": _mode(self.session),
            **self._picture.as_dict(),
            "recording": recording,
            "saying": None if saying is None else self._watch.as_data(saying),
        }


def _mode(session: Session | LogSession) -> str:
    if isinstance(session, LogSession):
        return "log"
    return "agent" if session.answered else "transcribe"


class LiveCalls:
    """The live calls of a process, and the feed of what happens in them."""

    def __init__(self, registry: Registry, hide: Callable[[CallInfo], Hide] = lambda _: Hide()) -> None:
        """Begins to look at every call that comes from now on; `hide` is asked for what to hide in each."""
        self.feed = Feed()
        self.teller: Teller = self.feed
        """Who is told what happens in the calls."""
        self.elsewhere: Callable[[], list[dict[str, Any]]] = list
        """Returns the live calls of other processes, as programs see them."""
        self._registry = registry
        self._hide = hide
        self._calls: dict[str, LiveCall] = {}
        registry.watchers.append(self._watch)
        registry.logs.watchers.append(self._overhear)

    def all(self) -> list[LiveCall]:
        """Return the calls that are not over, in the order in which they came."""
        self._forget()
        return list(self._calls.values())

    def watch_with(self, make_watch: Callable[[Session | LogSession], Any]) -> None:
        """Show every call that comes from now on to another watcher, too, once it is here."""
        self._registry.watchers.append(make_watch)
        self._registry.logs.watchers.append(make_watch)

    def as_dicts(self, recording: Callable[[str], str]) -> list[dict[str, Any]]:
        """Return those of all processes as programs see them, in the order in which they came.

        `recording` tells of one of this process whether its sound is kept.
        """
        calls = [call.as_dict(recording(call.id)) for call in self.all()]
        if there := self.elsewhere():
            calls = sorted((*calls, *there), key=lambda call: str(call["started_at"]))
        return calls

    def find(self, call: str) -> LiveCall | None:
        """Return a live call by the bridge's id or the carrier's; None: there is none."""
        self._forget()
        if (found := self._calls.get(call)) is not None:
            return found
        return next((one for one in self._calls.values() if one.session.info.sid == call), None)

    def end_softphone(self, session: Session | LogSession) -> bool:
        """End the call if its phone is a page of ours, and tell whether it is: no carrier could end it."""
        if not self._registry.by_softphone(session.info.sid):
            return False
        self._registry.carrier_ended(session.info.sid)
        return True

    def _forget(self) -> None:
        over = [id_ for id_, call in self._calls.items() if call.session.ended.is_set()]
        for id_ in over:
            del self._calls[id_]

    def _watch(self, session: Session) -> Any:
        self._forget()
        kind = self._registry.profile_of(session.info.number).agent_kind
        self._calls[session.info.id] = call = LiveCall(session, kind, self.teller, self._hide(session.info))
        return call.look

    def _overhear(self, session: LogSession) -> Any:
        self._forget()
        self._calls[session.info.id] = call = LiveCall(session, KIND, self.teller, self._hide(session.info))
        return call.overhear
