"""The live calls of this process: who they are, how they are answered, and how they end."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bridge.agents.base import CallInfo
from bridge.call.session import Observer, Peers, Session
from bridge.conversation.commands import LeaveCall
from bridge.conversation.policy import Policy
from bridge.errors import CarrierError
from bridge.store.base import CallHeader, Store
from bridge.tasks import spawn

_CARRIER_ASKS_WITHIN_S = 5.0
"""How soon after a stream's end the carrier asks what comes next. If not, the call is ended by request."""
_REMEMBERED = 10_000
"""How many finished calls' departures are remembered for the carrier's question what comes next."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Profile:
    """How calls to a number are held."""

    policy: Policy
    peers: Peers
    agent_kind: str


class Registry:
    """Opens, finds and closes the calls of a process."""

    def __init__(
        self,
        profile_of: Callable[[str], Profile],
        store: Store,
        hang_up: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`hang_up` ends a call at the carrier by its id, for calls that leaving the stream did not end."""
        self._profile_of = profile_of
        self._store = store
        self._hang_up = hang_up
        self._live: dict[str, Session] = {}
        self._left: OrderedDict[str, LeaveCall] = OrderedDict()
        self._asked: OrderedDict[str, None] = OrderedDict()
        self.draining = False
        """True: no new calls are taken."""
        self.observers: list[Callable[[CallInfo], Observer]] = []
        """Asked for an observer of every new call."""

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
        spawn(self._forget_when_over(session), name=f"call-{info.id}")
        log.info("call_started", call=info.id, sid=sid, agent=profile.agent_kind)
        return session

    def departure(self, sid: str) -> LeaveCall | None:
        """Answer the carrier's question what comes next: how we ended the call, or None if we did not."""
        session = self._live.get(sid)
        departure = self._left.get(sid) if session is None else session.departure
        if departure is not None:
            self._asked[sid] = None
            _forget_oldest(self._asked)
        return departure

    async def _forget_when_over(self, session: Session) -> None:
        await session.ended.wait()
        self._live.pop(session.info.sid, None)
        if session.departure is not None:
            self._left[session.info.sid] = session.departure
            _forget_oldest(self._left)
            await self._make_sure(session.info.sid)

    async def _make_sure(self, sid: str) -> None:
        """End a call at the carrier that was left, and of which the carrier has not asked what comes next."""
        if self._hang_up is None:
            return
        await asyncio.sleep(_CARRIER_ASKS_WITHIN_S)
        if sid in self._asked:
            return
        try:
            await self._hang_up(sid)
            log.info("call_hung_up_by_request", sid=sid)
        except CarrierError as error:
            log.warning("call_not_hung_up", sid=sid, code=error.code, error=error.message)

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


def _forget_oldest(known: OrderedDict[str, Any]) -> None:
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
