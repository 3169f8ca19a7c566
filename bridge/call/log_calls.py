"""The live calls of this process that are listened to. The registry holds them beside those that an agent takes."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from bridge.agents.base import CallInfo
from bridge.call.log_session import LogObserver, LogSession
from bridge.conversation.events import TransferEnded
from bridge.conversation.overheard import ListenPolicy
from bridge.store.base import CallHeader, Store
from bridge.stt.base import RecognizerFactory
from bridge.tasks import spawn

_REMEMBERED = 1000
"""Calls whose dialling ended while no stream was there: most of them never bring one."""
KIND = "log"
"""What stands in a call's record in the place of the kind of agent."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parties:
    """Who talks in a call that is listened to."""

    sid: str
    """The carrier's id of the call."""
    caller: str
    called: str
    """The number dialled."""
    other: str = ""
    """Whom the caller is connected with; empty: who was dialled."""
    direction: str = "inbound"
    elsewhere: bool = False
    """The call began without us: neither its end nor its dialling is told by anything but the stream's end."""
    parameters: Mapping[str, str] = field(default_factory=dict)


class LogCalls:
    """Opens, finds and closes calls that are listened to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._live: dict[str, LogSession] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._early: OrderedDict[str, TransferEnded] = OrderedDict()
        self.observers: list[Callable[[CallInfo], LogObserver]] = []
        """Asked for an observer of every new call."""
        self.watchers: list[Callable[[LogSession], LogObserver]] = []
        """The same, for who needs the call itself to make sense of its steps."""
        self.on_change: Callable[[], None] = lambda: None
        """Is called when a call has begun, or is over."""

    @property
    def live(self) -> Mapping[str, LogSession]:
        """The calls that are not over, by the carrier's id."""
        return self._live

    def open(self, who: Parties, policy: ListenPolicy, recognizers: RecognizerFactory) -> LogSession:
        """Begin to listen. The caller of this attaches the media stream."""
        info = CallInfo(
            id=uuid.uuid4().hex,
            sid=who.sid,
            caller=who.caller,
            called=who.called,
            direction=who.direction,
            parameters=dict(who.parameters),
            started_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        )
        record = self._store.open(
            CallHeader(
                id=info.id,
                sid=info.sid,
                caller=info.caller,
                called=info.called,
                direction=info.direction,
                started_at=info.started_at,
                agent_kind=KIND,
                other=who.other,
                recording=policy.recording,
            )
        )
        own = replace(policy, to=who.other or who.called, ended="over" if who.elsewhere else "caller")
        session = LogSession(info, own, recognizers, record, tuple(make(info) for make in self.observers))
        for make_watch in self.watchers:
            session.watch(make_watch(session))
        self._live[who.sid] = session
        self.on_change()
        ending = spawn(self._forget(session), name=f"log-{info.id}")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        log.info("call_started", call=info.id, sid=who.sid, agent=KIND)
        return session

    def dial_ended(self, sid: str, event: TransferEnded) -> None:
        """Tell a call how its dialling ended; a busy line may answer before the stream has come."""
        if (session := self._live.get(sid)) is not None:
            session.take(event)
            return
        self._early[sid] = event
        while len(self._early) > _REMEMBERED:
            self._early.popitem(last=False)

    def started(self, session: LogSession) -> None:
        """The stream of a call has come: tell the call what came before it."""
        if (early := self._early.pop(session.info.sid, None)) is not None:
            session.take(early)

    def stop(self, sid: str, reason: str) -> bool:
        """Stop listening to a call. Returns whether it was listened to."""
        session = self._live.get(sid)
        if session is None or session.over_for_carrier:
            return False
        session.stop(reason)
        return True

    async def _forget(self, session: LogSession) -> None:
        await session.ended.wait()
        del self._live[session.info.sid]
        self.on_change()

    def stop_all(self, reason: str) -> set[asyncio.Task[None]]:
        """Stop listening to all calls. Returns what to wait for until they are recorded."""
        for sid in [*self._live]:
            self.stop(sid, reason)
        return {*self._endings}
