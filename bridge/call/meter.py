"""What operators see of the calls: counters, latencies and one log line for each problem."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

import structlog

from bridge.agents.base import CallInfo
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.overheard import PartyTold
from bridge.metrics import Metrics

Mode: TypeAlias = Literal["agent", "transcribe", "log"]

Half: TypeAlias = Literal["stt", "tts"]

_LOOKED_AT = frozenset(
    {
        on.TurnStarted,
        on.TurnEnded,
        on.RecognizerFailed,
        on.RecognizerLost,
        on.RecognizerConnected,
        PartyTold,
    }
)


class Meter:
    """Observes one call and counts what its journal tells. Nothing is done per audio frame."""

    def __init__(
        self,
        metrics: Metrics,
        info: CallInfo,
        mode: Mode = "agent",
        clock: Callable[[], float] = time.monotonic,
        on_speech_limit: Callable[[CallInfo], None] = lambda _: None,
    ) -> None:
        """`mode`: whether an agent takes the call, nobody does and it is only transcribed, or two people talk.

        `clock` is the event loop's. `on_speech_limit` is told that the speech service refused this call because
        there are too many at once, and none stands by for it that has room.
        """
        self._metrics = metrics
        self._info = info
        self._on_speech_limit = on_speech_limit
        self._mode = mode
        self._log = structlog.get_logger().bind(call=info.id, sid=info.sid)
        self._clock = clock
        self._turn_ended: dict[int, int] = {}
        self._turn_started: float | None = None
        """When the turn began that has not silenced the agent yet."""
        self._helped = False
        """The recogniser that failed last has another one stand by for it."""
        self._lost: dict[str, float] = {}
        """Whose recogniser broke off, and when."""

    def __call__(self, now: float, event: object, commands: Iterable[object]) -> None:
        """Look at one step of the call."""
        if type(event) in _LOOKED_AT:
            self._look(now, event)
        for command in commands:
            if isinstance(command, do.Record):
                self._count(command.entry)
            elif isinstance(command, do.ClearPlayout) and self._turn_started is not None:
                self._metrics.clear.observe(self._clock() - self._turn_started)
                self._turn_started = None

    def _look(self, now: float, event: object, party: str = "") -> None:
        match event:
            case PartyTold(party, told):
                self._look(now, told, party)
            case on.TurnStarted():
                self._turn_started = now
            case on.TurnEnded():
                self._turn_started = None
            case on.RecognizerFailed(helped=helped):
                self._helped = helped
            case on.RecognizerLost():
                self._metrics.stt_lost.inc()
                self._lost.setdefault(party, now)
            case on.RecognizerConnected() if (lost := self._lost.pop(party, None)) is not None:
                self._metrics.stt_reconnect.observe(now - lost)
            case _:
                pass

    def _count(self, entry: journal.Entry) -> None:
        metrics = self._metrics
        match entry:
            case journal.CallOpened():
                metrics.calls.labels(mode=self._mode).inc()
            case journal.CallerSpoke(turn=turn, meaning=meaning, transcript=transcript):
                metrics.turns.inc()
                self._count_speech("stt", standby=entry.standby)
                metrics.degraded_turns.inc(entry.degraded)
                metrics.echoes.inc(meaning == "echo")
                self._turn_ended = {turn: entry.ended_ms}
                self._log.debug("caller_spoke", turn=turn, meaning=meaning, transcript=transcript)
            case journal.PartySpoke(party, turn, transcript):
                metrics.turns.inc()
                self._count_speech("stt", standby=entry.standby)
                metrics.degraded_turns.inc(entry.degraded)
                self._log.debug("party_spoke", party=party, turn=turn, transcript=transcript)
            case journal.AgentSpoke():
                self._count_reply(entry)
            case journal.AgentResumed():
                metrics.false_alarms.inc()
            case journal.SpeculationDropped():
                metrics.speculations.labels(outcome="dropped").inc()
            case journal.TransferTried(status=status, warm=warm):
                metrics.transfers.labels(how="warm" if warm else "cold", status=status).inc()
                self._log.info("transfer_tried", status=status, warm=warm)
            case journal.ProblemMet(source=source, code=code, message=message):
                self._count_problem(source, code, message)
            case journal.CallClosed(under_runs=under_runs, lost_marks=lost_marks):
                metrics.under_runs.inc(under_runs)
                metrics.lost_marks.inc(lost_marks)
            case _:
                pass

    def _count_speech(self, half: Half, *, standby: bool) -> None:
        self._metrics.speech_turns.labels(half=half, service="standby" if standby else "main").inc()

    def _count_problem(self, source: str, code: str, message: str) -> None:
        counter = self._metrics.agent_errors if source == "agent" else self._metrics.speech_errors
        counter.labels(code=code).inc()
        self._log.warning("call_problem", source=source, code=code, error=message)
        if code == "speech_limit" and not (source == "stt" and self._helped):
            self._on_speech_limit(self._info)

    def _count_reply(self, entry: journal.AgentSpoke) -> None:
        if entry.sent_ms is not None:
            self._count_speech("tts", standby=entry.standby)
        if entry.interrupted:
            self._metrics.barge_ins.inc()
        if entry.speculative:
            self._metrics.speculations.labels(outcome="used").inc()
        self._log.debug("agent_spoke", reply=entry.reply, interrupted=entry.interrupted, text=entry.heard)
        ended = self._turn_ended.pop(entry.turn, None)
        if ended is None:
            return
        for moment, latency in (
            (entry.asked_ms, self._metrics.agent_request),
            (entry.text_ms, self._metrics.first_text),
            (entry.sent_ms, self._metrics.first_audio),
            (entry.mark_ms, self._metrics.first_mark),
        ):
            if moment is not None:
                # A speculative answer may be there before the turn has ended: then the caller waits for nothing.
                latency.observe(max(moment - ended, 0) / 1000)
