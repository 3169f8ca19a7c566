"""The live calls of this process: who they are, how they are answered, and how they end."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from bridge.agents.base import CallInfo
from bridge.call.answering import Answering
from bridge.call.flag import Flag
from bridge.call.left_message import LeftMessage, header_of, keep_alone
from bridge.call.log_calls import LogCalls
from bridge.call.log_session import LogSession
from bridge.call.others import Others
from bridge.call.outgoing import OutgoingCall
from bridge.call.reviving import arranged, by_softphone, info_of, policy_of
from bridge.call.session import Observer, Peers, Session
from bridge.call.warm import WarmRecognizers
from bridge.conversation.commands import Command, LeaveCall
from bridge.conversation.events import Event, TransferEnded
from bridge.conversation.journal import CallTakenOver
from bridge.conversation.overheard import ListenPolicy
from bridge.conversation.policy import Policy
from bridge.errors import CarrierError
from bridge.store.base import CallFiles, CallHeader, Store
from bridge.tasks import spawn

_CARRIER_ASKS_WITHIN_S = 5.0
"""How soon after a stream's end the carrier asks what comes next. If not, the call is ended by request."""
_REMEMBERED = 1_000
"""How many finished calls' departures are remembered for the carrier's question what comes next."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Profile:
    """How calls to a number are held."""

    policy: Policy
    peers: Peers
    agent_kind: str
    answering: Answering = field(default_factory=Answering)
    listening: ListenPolicy = field(default_factory=ListenPolicy)
    """The rules of calls that are only listened to."""


class Registry:
    """Opens, finds and closes the calls of a process."""

    def __init__(
        self,
        profile_of: Callable[[str], Profile],
        store: Store,
        hang_up: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`hang_up` ends a call at the carrier by its id, for calls that leaving the stream did not end."""
        self.others: Others | None = None
        """Who calls the other side of warm transfers; None: there are none."""
        self._profile_of = profile_of
        self._store = store
        self._hang_up = hang_up
        self._live: dict[str, Session] = {}
        self._warm = WarmRecognizers()
        self._left: OrderedDict[str, LeaveCall] = OrderedDict()
        self._asked: dict[str, Flag] = {}
        self._softphones: set[str] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._reviving: dict[str, asyncio.Task[Session | None]] = {}
        self._draining = False
        self.logs = LogCalls(store)
        """The calls between two people, which are listened to."""
        self.observers: list[Callable[[CallInfo], Observer]] = []
        """Asked for an observer of every new call."""
        self.watchers: list[Callable[[Session], Observer]] = []
        """The same, for who needs the call itself to make sense of its steps."""
        self.on_taken_over: Callable[[bool], None] = lambda _: None
        """Is told of each call that another process carried before: whether it gave it away, or has died."""
        self.changed: Callable[[], None] = lambda: None
        """Is called when a call has begun, is over, or is about to come."""
        self.logs.on_change = lambda: self.changed()  # noqa: PLW0108  Whoever wants to be told comes later.

    @property
    def live(self) -> Mapping[str, Session]:
        """The calls that are not over, by the carrier's id."""
        return self._live

    @property
    def sessions(self) -> list[Session | LogSession]:
        """All that are not over: those that an agent takes, and those that are listened to."""
        return [*self._live.values(), *self.logs.live.values()]

    def holds(self, call: str) -> bool:
        """Tell whether this call, by the bridge's id or the carrier's, goes on or is still being recorded."""
        return any(call in {session.info.id, session.info.sid} for session in self.sessions)

    def profile_of(self, called: str) -> Profile:
        """Return how a call to this number is held if it begins now."""
        return self._profile_of(called)

    @property
    def expected(self) -> int:
        """How many calls have speech to text waiting for their media stream."""
        return len(self._warm)

    @property
    def draining(self) -> bool:
        """True: no new calls are taken. What waits for one is given up when this is set."""
        return self._draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._draining = value
        if value:
            self._warm.give_up_all()

    def expect(self, sid: str, *, called: str, call_id: str = "") -> None:
        """Get speech ready for a call whose media stream is about to come. Never waits.

        `called` is our own number, also of a call of ours, whose id is `call_id`. Asked again for the same call, or
        for one that is live, it does nothing.
        """
        if self._draining or sid in self._live:
            return
        peers = self._profile_of(called).peers
        self._warm.expect(sid, peers.recognizers, call_id)
        self.changed()
        peers.synthesizer.warm()

    def by_softphone(self, sid: str) -> bool:
        """Tell whether a page of ours is the phone of this live call: no carrier knows it."""
        return sid in self._softphones

    def carrier_ended(self, sid: str) -> None:
        """The carrier says that a call is over: end it, or give up waiting for it."""
        self._warm.give_up(sid)
        if (session := self._live.get(sid)) is not None:
            session.stop("caller")
        self.logs.stop(sid, "caller")

    def stream_failed(self, sid: str) -> None:
        """The carrier could not open the media stream of a call: give up waiting for it."""
        self._warm.give_up(sid)

    def open(
        self,
        sid: str,
        *,
        caller: str,
        called: str,
        direction: str,
        parameters: Mapping[str, str],
        outgoing: OutgoingCall | None = None,
        softphone: str = "",
    ) -> Session:
        """Begin a call. The caller of this attaches the media stream to it.

        `outgoing`: what was ordered of a call of ours. `softphone`: the id that the call was promised, where a page
        of ours is the phone; no carrier is asked anything about such a call. Empty: a carrier carries it.
        """
        profile = self._profile_of(caller if direction == "outbound" else called)
        policy = profile.policy if outgoing is None else outgoing.applied_to(profile.policy)
        if softphone:
            policy = policy.without_carrier()
        warm = self._warm.claim(sid, profile.peers.recognizers)
        call_id = softphone if outgoing is None else outgoing.id
        info = CallInfo(
            id=call_id or (uuid.uuid4().hex if warm is None else warm.call_id),
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
                recording=policy.recording,
            )
        )
        if (given := arranged(info, outgoing)) is not None:
            record.append(given)
        others = None if softphone else self.others
        session = self._enter(
            info,
            lambda look: Session(info, policy, profile.peers, record, look, warm, others),
            softphone=bool(softphone),
        )
        log.info("call_started", call=info.id, sid=sid, agent=profile.agent_kind, warm=warm is not None)
        return session

    async def keep_message(
        self, sid: str, message: LeftMessage, *, caller: str, called: str, direction: str
    ) -> CallFiles:
        """Make a record of a message whose caller had no call here. Cancelling stops the waiting only."""
        header = header_of(sid, message, caller=caller, called=called, direction=direction)
        recording = self._profile_of(called).policy.recording
        return await keep_alone(self._store, replace(header, recording=recording), message)

    async def revive(self, sid: str) -> Session | None:
        """Go on with a call whose process has died or given it away: it waits for its new media stream from now on.

        None: it cannot be gone on with, as `Store.reopen` has it, or no calls are taken any more. Asked again
        meanwhile, it is the same call. Cancelling stops the waiting only.
        """
        if (session := self._live.get(sid)) is not None or self._draining:
            return session
        if (reviving := self._reviving.get(sid)) is None:
            reviving = self._reviving[sid] = spawn(self._revive(sid), name=f"revive-{sid}")
            reviving.add_done_callback(lambda _: self._reviving.pop(sid, None))
        return await asyncio.shield(reviving)

    async def _revive(self, sid: str) -> Session | None:
        past = await self._store.reopen(sid)
        if past is None:
            return None
        info, softphone = info_of(past), by_softphone(past)
        profile = self._profile_of(info.number)
        policy = policy_of(past, profile.policy)
        others = None if softphone else self.others
        session = self._enter(
            info,
            lambda look: Session(info, policy, profile.peers, past, look, None, others),
            softphone=softphone,
        )
        session.await_stream()
        last = past.entries[-1] if past.entries else None
        given = isinstance(last, CallTakenOver) and last.given
        tell = log.info if given else log.warning
        tell("call_taken_over", call=info.id, sid=sid, epoch=past.epoch, at_ms=past.at_ms, given=given)
        self.on_taken_over(given)
        return session

    def _enter(
        self, info: CallInfo, make: Callable[[tuple[Observer, ...]], Session], *, softphone: bool
    ) -> Session:
        """Make the session of a call, and be there for it from now on."""
        sid = info.sid
        if (earlier := self._asked.get(sid)) is not None:
            earlier.set()  # The carrier has brought the call back: it is not to be ended there.
        self._asked[sid] = asked = Flag()
        session = make((*(observe(info) for observe in self.observers), self._leaving(sid, asked)))
        for make_watch in self.watchers:
            session.watch(make_watch(session))
        self._live[sid] = session
        self.changed()
        if softphone:
            self._softphones.add(sid)
        self._left.pop(sid, None)
        ending = spawn(self._end(session, asked), name=f"call-{info.id}")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return session

    def departure(self, sid: str) -> LeaveCall | None:
        """Answer the carrier's question what comes next: how we ended the call, or None if we did not."""
        session = self._live.get(sid)
        departure = self._left.get(sid) if session is None else session.departure
        if departure is not None and (asked := self._asked.get(sid)) is not None:
            asked.set()
        return departure

    def _leaving(self, sid: str, asked: Flag) -> Observer:
        """Return what looks for a call that is left for a while, and sees to it that it does not get lost there."""

        def look(_now: float, _event: Event, commands: list[Command]) -> None:
            if any(isinstance(command, LeaveCall) and command.for_a_while for command in commands):
                asked.clear()
                spawn(self._see_off(sid, asked), name=f"see-off-{sid}")

        return look

    async def _see_off(self, sid: str, asked: Flag) -> None:
        """A call that the carrier was to connect, and of which it does not ask to whom, was not connected."""
        try:
            async with asyncio.timeout(_CARRIER_ASKS_WITHIN_S):
                await asked.wait()
        except TimeoutError:
            if (session := self._live.get(sid)) is not None:
                log.warning("carrier_does_not_ask", sid=sid)
                session.take(TransferEnded("failed"))

    async def _end(self, session: Session, asked: Flag) -> None:
        """Wait for a call's end, remember how it was left, and see to it that it ends at the carrier too."""
        sid = session.info.sid
        await session.ended.wait()
        del self._live[sid]
        self.changed()
        by_carrier = not self.by_softphone(sid)
        self._softphones.discard(sid)
        try:
            if session.departure is not None:
                self._left[sid] = session.departure
                while len(self._left) > _REMEMBERED:
                    self._left.popitem(last=False)
                if by_carrier:
                    await self._make_sure(sid, asked)
        finally:
            if self._asked.get(sid) is asked:
                del self._asked[sid]

    async def _make_sure(self, sid: str, asked: Flag) -> None:
        """End a call at the carrier that was left, and of which the carrier has not asked what comes next."""
        if self._hang_up is None:
            return
        try:
            async with asyncio.timeout(_CARRIER_ASKS_WITHIN_S):
                await asked.wait()
        except TimeoutError:
            pass
        else:
            return
        try:
            await self._hang_up(sid)
            log.info("call_hung_up_by_request", sid=sid)
        except CarrierError as error:
            log.warning("call_not_hung_up", sid=sid, code=error.code, error=error.message)

    async def close(self, *, within_s: float) -> None:
        """End all calls now, and wait until they are recorded and over at the carrier.

        Waits for `within_s` seconds at most; what is not done by then is cut short, and logged.
        """
        self.draining = True
        for session in [*self._live.values()]:
            session.stop("shutdown")
        endings = {*self._endings, *self.logs.stop_all("shutdown")}
        endings.add(spawn(self._warm.close(), name="give-up-expected"))
        _, late = await asyncio.wait(endings, timeout=within_s)
        for ending in late:
            log.warning("call_end_cut_short", task=ending.get_name())
            ending.cancel()
