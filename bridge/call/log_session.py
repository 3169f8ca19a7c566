"""One call between two people, listened to: the shell around `Overheard`, as `Session` is for an agent's calls.

Each side has a speech-to-text session of its own, which is opened when its first sound comes: a side that is never
heard costs nothing. Nothing is ever sent to the carrier, which would break off such a stream (error 31924).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import structlog

from bridge.agents.base import CallInfo
from bridge.call import trace
from bridge.call.carrier import Carrier
from bridge.call.flag import Flag
from bridge.call.inbox import Inbox, attempt
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Action
from bridge.conversation.journal import CallClosed, Party
from bridge.conversation.overheard import (
    Happening,
    ListenPolicy,
    Order,
    Overheard,
    PartyJoined,
    PartyTold,
)
from bridge.conversation.recording import State
from bridge.store.base import CallFiles, CallRecord
from bridge.stt.base import Recognizer, RecognizerFactory
from bridge.tasks import spawn

LogObserver: TypeAlias = Callable[[float, Happening, list[Order]], None]
"""Sees every step of such a call; as `bridge.call.session.Observer`."""

_PARTIES: Final[dict[str, Party]] = {"inbound": "caller", "outbound": "callee"}
_PARTIES_OF_OURS: Final[dict[str, Party]] = {"inbound": "callee", "outbound": "caller"}
"""Who is on which of the carrier's tracks: `inbound` is the phone at the end of this very line, which in a call
that the carrier's account has placed is the one that was called."""
_AHEAD_MS: Final = 30_000
"""Sound whose timestamp lies further ahead of the clock than this is not recorded: it would fill the disk."""


class LogSession:
    """One call, from its media stream's start until everything of it is recorded."""

    def __init__(
        self,
        info: CallInfo,
        policy: ListenPolicy,
        recognizers: RecognizerFactory,
        record: CallRecord,
        observers: tuple[LogObserver, ...] = (),
    ) -> None:
        self.info = info
        self.other = policy.to
        """Whom the caller is connected with."""
        self.files: CallFiles | None = None
        """Where the call was kept; known once it is over."""
        self.ended = Flag()
        """Set when everything of the call is recorded and let go."""
        self._recognizers = recognizers
        self._log = structlog.get_logger().bind(call=info.id, sid=info.sid)
        self._loop = asyncio.get_running_loop()
        self._parties = _PARTIES_OF_OURS if info.direction.startswith("outbound") else _PARTIES
        self._overheard = Overheard(policy)
        self._record = record
        self._observers = observers
        self._listening: dict[Party, Recognizer] = {}
        self._inbox: Inbox[Happening] = Inbox(
            self._step, self._deadline, on.DeadlineReached(), self._close, call=info.id, sid=info.sid
        )
        self._closing = False
        self._carrier: Carrier | None = None
        self._began: float | None = None
        self._offset_ms = 0
        record.trace(trace.first_line(policy))

    def uses(self, peer: object) -> bool:
        """Tell whether the call needs this peer until its end."""
        return peer is self._recognizers

    def act(self, actions: Sequence[Action]) -> None:
        """Keep what an operator notes, and pause or resume the recording as they set; nothing else can be done."""
        self.take(on.OperatorActed(tuple(actions)))

    def watch(self, observer: LogObserver) -> None:
        """Let somebody see every step from here on."""
        self._observers = (*self._observers, observer)

    # --- the carrier's side --------------------------------------------------------------------------------

    @property
    def attached(self) -> bool:
        """Tell whether a media stream carries the call now."""
        return self._carrier is not None

    @property
    def over_for_carrier(self) -> bool:
        """Tell whether no media stream may carry the call any more."""
        return self._inbox.failed or self._overheard.ending

    def attach(self, carrier: Carrier) -> None:
        """Listen to this media stream: the first one, or one that replaces a lost one."""
        if (old := self._carrier) is not None:
            self._carrier = None
            old.close()
            self.take(on.StreamLost())
        self._carrier = carrier
        carrier.watch(lambda: self.detach(carrier, on.StreamLost()))
        if self._began is None:
            self._began = self._loop.time()
        self._offset_ms = self._at_ms()
        self.take(on.StreamStarted())

    def hear(self, track: str, timestamp_ms: int | None, audio: bytes) -> None:
        """Take mu-law audio of one of the carrier's tracks; `timestamp_ms` counts from the start of the stream."""
        party = self._parties.get(track)
        if party is None or self.over_for_carrier:
            return
        if self._carrier is not None:
            self._carrier.heard()
        (self._listening.get(party) or self._join(party)).send(audio)
        now_ms = self._at_ms()
        at_ms = now_ms if timestamp_ms is None else self._offset_ms + timestamp_ms
        if at_ms > now_ms + _AHEAD_MS:
            return
        if party == "caller":
            self._record.caller_audio(at_ms, audio)
        else:
            self._record.callee_audio(at_ms, audio)

    def detach(self, carrier: Carrier, event: on.StreamLost | on.StreamStopped) -> None:
        """The media stream is gone. One that another has replaced can say no more about the call."""
        carrier.abandon()
        if self._carrier is carrier:
            self._carrier = None
        elif self._carrier is not None or isinstance(event, on.StreamLost):
            return
        self.take(event)

    @property
    def recording(self) -> State:
        """Whether the call's sound is recorded now."""
        return self._overheard.recording

    def stop(self, reason: str) -> None:
        """Stop listening: the carrier says that the call is over (`caller`), or somebody wants it so."""
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None
        self.take(on.StreamStopped(reason))

    def _join(self, party: Party) -> Recognizer:
        """Open the session of a side whose first sound has come."""
        take = self._inbox.take  # The inbox only, so that nothing keeps a call that is over.
        recognizer = self._recognizers.open(
            lambda event: take(PartyTold(party, event)), name=f"{self.info.id} {party}"
        )
        self._listening[party] = recognizer
        self.take(PartyJoined(party))
        return recognizer

    # --- the loop ------------------------------------------------------------------------------------------

    def take(self, event: Happening) -> None:
        """Take what happened. Never waits, never raises."""
        self._inbox.take(event)

    def _deadline(self) -> float | None:
        return None if self.ended.is_set() else self._overheard.deadline

    def _step(self, event: Happening) -> None:
        now = self._loop.time()
        orders = self._overheard.handle(event, now)
        for order in orders:
            self._carry_out(order)
        self._record.trace(trace.step_line(now, event, orders))
        for observe in self._observers:
            observe(now, event, orders)

    def _carry_out(self, order: Order) -> None:
        match order:
            case do.Record(entry):
                self._record.append(entry)
                if isinstance(entry, CallClosed):
                    self._log = self._log.bind(reason=entry.reason, seconds=round(entry.at_ms / 1000, 1))
            case do.LeaveCall(reason):
                self._log.info("call_leaving", reason=reason)
                if self._carrier is not None:
                    self._carrier.close()
            case do.FinishRecognizer():
                for party, recognizer in self._listening.items():
                    spawn(recognizer.finish(), name=f"drain-{self.info.id}-{party}")
            case do.PauseRecording(at_ms):
                self._record.pause_audio(at_ms)
            case do.ResumeRecording(at_ms):
                self._record.resume_audio(at_ms)
            case do.Close():
                self._close()

    # --- the end -------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if not self._closing:
            self._closing = True
            spawn(self._let_go(), name=f"close-{self.info.id}")

    async def _let_go(self) -> None:
        """Release both recognisers, and finish the record. One that fails at that does not keep the others."""
        self._inbox.stop()
        try:
            for recognizer in self._listening.values():
                await attempt(recognizer.abort(), call=self.info.id)
            self.files = await attempt(self._record.close(), call=self.info.id)
        finally:
            if self._carrier is not None:
                self._carrier.close()
            self._inbox.close()
            self._observers = ()
            self.ended.set()
        self._log.info("call_ended", folder=str(self.files.folder) if self.files else None)

    def _at_ms(self) -> int:
        """Return the time of the call in milliseconds."""
        return 0 if self._began is None else round((self._loop.time() - self._began) * 1000)
