"""The admission of a running bridge: tells `Admission` of the calls that live, and counts whom it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from bridge.agents.base import CallInfo
from bridge.call.admission import Admission, Held, Limits, Reason
from bridge.call.log_session import LogSession
from bridge.call.loop_lag import LoopLag
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.metrics import Metrics

_STREAMS_OF_TWO = 2

log = structlog.get_logger()


class Admitting:
    """Asked for each call that is about to come, and for each of ours that is about to be placed."""

    def __init__(self, limits: Limits, registry: Registry, metrics: Metrics) -> None:
        """To be made on the event loop, whose lag it measures from then on, and closed."""
        self._admission = Admission(limits)
        self._registry = registry
        self._metrics = metrics
        self._lag = LoopLag()
        self._lag.start()
        self._loop = asyncio.get_running_loop()
        metrics.loop_lag.set_function(lambda: self._lag.seconds)

    def close(self) -> None:
        """Measure the event loop no more."""
        self._lag.stop()

    def take(self, limits: Limits) -> None:
        """Go by these limits from now on."""
        self._admission.limits = limits

    def refusal(self, sid: str, number: str, *, two_sides: bool = False) -> Reason | None:
        """Let a call in, or return why not; which is counted.

        `number` is our own of the two; `two_sides`: both are listened to, each by a stream of speech to text.
        """
        if self._registry.draining:
            return self._refused("draining", sid, number)
        held = Held(number, _STREAMS_OF_TWO if two_sides else 1)
        reason = self._admission.decide(sid, held, self._live(), lag_s=self._lag.seconds, now=self._loop.time())
        return None if reason is None else self._refused(reason, sid, number)

    def room_for_ours(self, call_id: str, number: str, within_s: float) -> bool:
        """Let a call of ours in that is about to be placed and may ring for `within_s` seconds. False: not yet."""
        live, now = self._live(), self._loop.time()
        reason = self._admission.decide(
            call_id, Held(number), live, lag_s=self._lag.seconds, now=now, held_s=within_s
        )
        return reason is None

    def came(self, info: CallInfo) -> None:
        """A call that was let in has its media stream: from now on it counts as one that lives."""
        self._admission.release(self._name(info))

    def release(self, call: str) -> None:
        """A call that was let in, by the carrier's id or ours, does not come."""
        self._admission.release(call)

    def full(self) -> Reason | None:
        """Return why no call is taken at this moment; None: calls are."""
        if self._registry.draining:
            return "draining"
        return self._admission.full(self._live(), lag_s=self._lag.seconds, now=self._loop.time())

    def speech_refused(self, info: CallInfo) -> None:
        """The speech service has refused a stream of this live call, because there are too many."""
        now = self._loop.time()
        live = {session.info.sid: _held(session) for session in self._registry.sessions}
        self._admission.plan.refused(info.sid, live, now)
        log.warning("speech_plan_full", call=info.id, sid=info.sid, streams=self._admission.plan.limit(now))

    def _live(self) -> Mapping[str, Held]:
        """Return the calls that live by the names under which they were let in: those of ours by the order's id."""
        return {self._name(session.info): _held(session) for session in self._registry.sessions}

    def _name(self, info: CallInfo) -> str:
        return info.id if self._admission.holds(info.id) else info.sid

    def _refused(self, reason: Reason, sid: str, number: str) -> Reason:
        self._metrics.admission_refusals.labels(reason=reason).inc()
        log.warning("call_not_taken", reason=reason, sid=sid, called=number)
        return reason


def _held(session: Session | LogSession) -> Held:
    return Held(session.info.number, _STREAMS_OF_TWO if isinstance(session, LogSession) else 1)
