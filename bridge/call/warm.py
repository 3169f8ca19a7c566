"""Speech to text that is ready before its call: opened when the carrier asks what to do with the call.

Between that question and the media stream lies about a second, in which the handshake with the speech service can
be done. What the recogniser tells meanwhile is kept for the call. A call that never brings its stream gives it up.
"""

from __future__ import annotations

import asyncio
import uuid

import structlog

from bridge.conversation.events import RecognizerEvent
from bridge.stt.base import EmitTurn, Recognizer, RecognizerFactory
from bridge.tasks import spawn

STREAM_WITHIN_S = 20.0
"""How long a recogniser waits for its call's media stream, in seconds. A stream that is later opens its own."""
AT_MOST = 100
"""How many recognisers wait at the same time; further calls open theirs when their streams come."""
_EVENTS_KEPT = 100

log = structlog.get_logger()


class WarmRecognizer:
    """A recogniser whose events are kept until a call adopts it."""

    def __init__(self, factory: RecognizerFactory, call_id: str = "") -> None:
        """`call_id`: of a call that is there already; empty for one to come, which gets its id now."""
        self.call_id = call_id or uuid.uuid4().hex
        """The bridge's own id of the call; the recogniser is named after it."""
        self.factory = factory
        self._kept: list[RecognizerEvent] = []
        self._emit: EmitTurn | None = None
        self.recognizer: Recognizer = factory.open(self._take, name=self.call_id)

    def adopt(self, emit: EmitTurn) -> None:
        """Hand `emit` what was kept, in order, and from then on each event as it comes."""
        while self._kept:  # An event that comes while these are looked at goes to the end of them.
            emit(self._kept.pop(0))
        self._emit = emit

    def let_go(self) -> None:
        """From now on nobody is told what it hears."""
        self._emit = _nobody

    def _take(self, event: RecognizerEvent) -> None:
        if self._emit is None:
            self._kept.append(event)
            del self._kept[:-_EVENTS_KEPT]
        else:
            self._emit(event)


def _nobody(_event: RecognizerEvent) -> None:
    pass


class WarmRecognizers:
    """The recognisers that wait for the media streams of calls to come, by the carrier's id of the call."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[WarmRecognizer, asyncio.TimerHandle]] = {}
        self._aborts: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, sid: str, factory: RecognizerFactory, call_id: str = "") -> None:
        """Open a recogniser for a call that is about to come, unless one waits for it or too many wait already.

        `call_id`: of a call that has its id already.
        """
        if sid in self._waiting or len(self._waiting) >= AT_MOST:
            return
        limit = asyncio.get_running_loop().call_later(STREAM_WITHIN_S, self.give_up, sid)
        self._waiting[sid] = (WarmRecognizer(factory, call_id), limit)

    def claim(self, sid: str, factory: RecognizerFactory) -> WarmRecognizer | None:
        """Return what waits for this call, which is the caller's from now on; None: open another.

        One of a factory other than the call's own is of no use to it, and is given up.
        """
        if sid not in self._waiting:
            return None
        warm, limit = self._waiting[sid]
        if warm.factory is not factory:
            self.give_up(sid)
            return None
        limit.cancel()
        del self._waiting[sid]
        return warm

    def give_up(self, sid: str) -> None:
        """The call does not come: drop the connection of what waits for it, if anything does."""
        if (waiting := self._waiting.pop(sid, None)) is None:
            return
        warm, limit = waiting
        limit.cancel()
        log.info("call_did_not_come", call=warm.call_id, sid=sid)
        task = spawn(warm.recognizer.abort(), name=f"give-up-{warm.call_id}")
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)

    def give_up_all(self) -> None:
        """No call comes any more: drop everything that waits."""
        for sid in [*self._waiting]:
            self.give_up(sid)

    async def close(self) -> None:
        """Drop everything that waits, and return when it is let go. Cancelling stops the waiting only."""
        self.give_up_all()
        if self._aborts:
            await asyncio.wait([*self._aborts])
