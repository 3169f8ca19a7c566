"""The live calls of this process: who they are, how they are answered, and how they end."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from bridge.agents.base import CallInfo
from bridge.call.session import Observer, Peers, Session
from bridge.conversation.commands import LeaveCall
from bridge.conversation.policy import Policy
from bridge.store.base import CallHeader, Store
from bridge.tasks import spawn

_REMEMBERED = 10_000
"""How many finished calls' departures are remembered for the carrier's question what comes next."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How calls to a number are held."""

    policy: Policy
    peers: Peers
    agent_kind: str


class Registry:
    """Opens, finds and closes the calls of a process."""

    def __init__(self, profile_of: Callable[[str], Profile], store: Store) -> None:
        self._profile_of = profile_of
        self._store = store
        self._live: dict[str, Session] = {}
        self._left: OrderedDict[str, LeaveCall] = OrderedDict()
        self.draining = False
        """True: no new calls are taken."""
        self.observers: list[Callable[[CallInfo], Observer]] = []
        """Asked for an observer of every new call."""
        self.on_opened: Callable[[Session], None] = lambda _: None
        """Told of each call that begins."""
        self.on_closed: Callable[[Session], None] = lambda _: None
        """Told of each call that is over."""

    @property
    def live(self) -> Mapping[str, Session]:
        """The calls that are not over, by the carrier's id."""
        return self._live

    def open(self, sid: str, *, caller: str, called: str, direction: str, parameters: Mapping[str, str]) -> Session:
        """Begin a call. The caller of this attaches the media stream to it."""
        profile = self._profile_of(called)
        info = CallInfo(
            id=uuid.uuid4().hex,
            sid=sid,
            caller=caller,
            called=called,
            direction=direction,
            parameters=dict(parameters),
            started_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        )
        record = self._store.open(
            CallHeader(
                id=info.id,
                sid=sid,
                caller=caller,
                called=called,
                direction=direction,
                started_at=info.started_at,
                agent_kind=profile.agent_kind,
            )
        )
        observers = tuple(make(info) for make in self.observers)
        session = Session(info, profile.policy, profile.peers, record, observers)
        self._live[sid] = session
        self.on_opened(session)
        spawn(self._forget_when_over(session), name=f"call-{info.id}")
        structlog.get_logger().info("call_started", call=info.id, sid=sid, agent=profile.agent_kind)
        return session

    def departure(self, sid: str) -> LeaveCall | None:
        """Return how we ended the call, or None if we did not."""
        session = self._live.get(sid)
        return self._left.get(sid) if session is None else session.departure

    async def _forget_when_over(self, session: Session) -> None:
        await session.ended.wait()
        self._live.pop(session.info.sid, None)
        if session.departure is not None:
            self._left[session.info.sid] = session.departure
            while len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
        self.on_closed(session)

    async def close(self, *, within_s: float) -> None:
        """End all calls now and wait until they are recorded, at most `within_s` seconds."""
        self.draining = True
        sessions = [*self._live.values()]
        for session in sessions:
            session.stop("shutdown")
        if sessions:
            waits = [spawn(session.ended.wait(), name="call-over") for session in sessions]
            _, pending = await asyncio.wait(waits, timeout=within_s)
            for wait in pending:
                wait.cancel()
