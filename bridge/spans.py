"""Traces of calls for OpenTelemetry: from the carrier's voice request through the agent's answer to the first mark.

Off, and nothing of it imported, unless the standard variable OTEL_EXPORTER_OTLP_ENDPOINT (or that of traces alone)
names a collector; the other OTEL_ variables count as everywhere. A call is one trace, whose id is that of the
`traceparent` which webhook agents get, and a question's span has the id that stands there: what an agent traces of
its own lies below it. Nothing that anybody said is in a span.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aiohttp import web

from bridge.agents.base import CallInfo, Question
from bridge.agents.webhook.wire import asking_of, traceparent
from bridge.call.session import Observer
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.errors import MissingExtraError
from bridge.metrics import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_VOICE: Final = "/twilio/voice"
_COMING: Final = 10_000
"""Calls whose voice request is remembered until their stream comes."""


def wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether traces are to be sent."""
    return any(environment.get(name) for name in _ENDPOINTS)


async def open_spans(
    stack: contextlib.AsyncExitStack, observers: list[Callable[[CallInfo], Observer]]
) -> list[Any]:
    """Begin to send traces, if the environment says where to; the stack's end sends what is left.

    Joins the `observers` of calls, and returns what is to look at requests.
    Raises MissingExtraError where the libraries are not installed.
    """
    if not wanted(os.environ):
        return []
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  (heavy)
    except ImportError:
        raise MissingExtraError("otel", "OTEL_EXPORTER_OTLP_ENDPOINT, which asks for traces,") from None
    spans = await asyncio.to_thread(lambda: CallSpans(OTLPSpanExporter()))
    stack.push_async_callback(asyncio.to_thread, spans.close)
    observers.append(spans.observer)
    return [spans.middleware]


class CallSpans:
    """The traces of all calls of a process. They are sent by a thread of the library, in batches."""

    def __init__(self, exporter: SpanExporter) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  (only where traces are wanted)
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

        class Ids(RandomIdGenerator):
            """Ids that were chosen, once; else any."""

            trace, span = 0, 0

            def generate_trace_id(self) -> int:
                chosen, self.trace = self.trace, 0
                return chosen or super().generate_trace_id()

            def generate_span_id(self) -> int:
                chosen, self.span = self.span, 0
                return chosen or super().generate_span_id()

        self._ids = Ids()
        name = os.environ.get("OTEL_SERVICE_NAME", "phone-bridge")
        resource = Resource.create({"service.name": name, "service.version": VERSION})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("phone-bridge")
        self._coming: OrderedDict[str, tuple[int, int]] = OrderedDict()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Remember when the carrier asked about a call, until its stream comes: its trace begins then."""
        if request.path != _VOICE:
            return await handler(request)
        began = time.time_ns()
        response = await handler(request)
        sid = (await request.post()).get("CallSid")  # It was read, and found to be the carrier's.
        if isinstance(sid, str):
            self._coming[sid] = began, time.time_ns()
            if len(self._coming) > _COMING:
                self._coming.popitem(last=False)
        return response

    def observer(self, info: CallInfo) -> Observer:
        """Return what makes the spans of one call, step by step."""
        return _OneCall(info, self._tracer, self._choose, self._coming.pop(info.sid, None))

    def close(self) -> None:
        """Send what is left. Blocks on the network, for some seconds at most."""
        self._provider.shutdown()

    def _choose(self, parent: str) -> None:
        """Let the next span have the ids of a `traceparent`."""
        _, trace, span, _ = parent.split("-")
        self._ids.trace, self._ids.span = int(trace, 16), int(span, 16)


class _OneCall:
    """The spans of one call. Does nothing for audio beyond the first of an utterance."""

    def __init__(
        self, info: CallInfo, tracer: Tracer, choose: Callable[[str], None], coming: tuple[int, int] | None
    ) -> None:
        self._info, self._tracer, self._choose = info, tracer, choose
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._began = 0.0
        choose(traceparent(info.id, info.id))
        facts = {"call.id": info.id, "call.sid": info.sid, "call.direction": info.direction}
        start = coming[0] if coming else time.time_ns()
        self._call = tracer.start_span("call", start_time=start, attributes=facts)
        if coming:
            self._open("voice request", self._call, coming[0]).end(coming[1])
        self._turn: Span | None = None
        """The caller's turn until its answer was heard, or there is a newer one."""
        self._questions: dict[int, Span] = {}
        self._speech: dict[int, Span] = {}
        self._silent: set[int] = set()
        """Utterances of which no audio has come."""

    def __call__(self, now: float, event: on.Event, commands: list[do.Command]) -> None:
        """Look at one step of the call."""
        at = self._offset_ns + int(now * 1e9)
        self._take(event, at, now)
        for command in commands:
            self._see(command, at)

    def _take(self, event: on.Event, at: int, now: float) -> None:  # noqa: C901  It is a table.
        match event:
            case on.SpeechArrived(utterance):
                if utterance in self._silent:
                    self._silent.discard(utterance)
                    self._speech[utterance].add_event("first audio", timestamp=at)
            case on.StreamStarted():
                self._began = self._began or now
                self._call.add_event("media stream", timestamp=at)
            case on.TurnStarted():
                self._end_turn(at)
                self._turn = self._open("turn", self._call, at)
            case on.TurnEnded() if self._turn is not None:
                self._turn.add_event("end of turn", timestamp=at)
            case on.AgentActed(reply) if reply in self._questions:
                self._questions[reply].add_event("piece", {"kind": type(event.action).__name__}, timestamp=at)
            case on.AgentFinished(reply):
                self._end(self._questions, reply, at)
            case on.AgentFailed(reply, code):
                self._end(self._questions, reply, at, error=code)
            case on.SpeechFinished(utterance):
                self._end(self._speech, utterance, at)
            case on.SpeechFailed(utterance, code):
                self._end(self._speech, utterance, at, error=code)
            case _:
                pass

    def _see(self, command: do.Command, at: int) -> None:
        match command:
            case do.AskAgent():
                self._ask(command, at)
            case do.CancelReply(reply):
                self._end(self._questions, reply, at, cancelled=True)
            case do.Synthesize(utterance) if utterance not in self._speech:
                self._speech[utterance] = self._open("speech synthesis", self._turn or self._call, at)
                self._silent.add(utterance)
            case do.CancelSpeech(utterance):
                self._end(self._speech, utterance, at, cancelled=True)
            case do.Record(entry):
                self._note(entry, at)
            case _:
                pass

    def _ask(self, command: do.AskAgent, at: int) -> None:
        question = Question(
            command.occasion,
            self._info,
            command.reply,
            turn=command.turn,
            transcript=command.transcript,
            speculative=command.speculative,
            digits=command.digits,
        )
        self._choose(traceparent(self._info.id, asking_of(question)))
        asked = self._open("agent request", self._turn or self._call, at)
        asked.set_attributes(
            {"occasion": command.occasion, "turn": command.turn, "speculative": command.speculative}
        )
        self._questions[command.reply] = asked

    def _note(self, entry: journal.Entry, at: int) -> None:
        match entry:
            case journal.CallerSpoke(turn=turn, meaning=meaning) if self._turn is not None:
                self._turn.set_attributes({"turn": turn, "meaning": meaning, "degraded": entry.degraded})
                if meaning != "words":
                    self._end_turn(at)
            case journal.AgentSpoke() if self._turn is not None and entry.occasion != "prompt":
                for name, ms in (
                    ("first text", entry.text_ms),
                    ("first audio sent", entry.sent_ms),
                    ("first mark", entry.mark_ms),
                ):
                    if ms is not None:
                        self._turn.add_event(name, timestamp=self._offset_ns + int((self._began + ms / 1000) * 1e9))
                self._turn.set_attribute("interrupted", entry.interrupted)
            case journal.CallClosed(reason=reason):
                self._close(reason, entry, at)
            case _:
                pass

    def _close(self, reason: str, entry: journal.CallClosed, at: int) -> None:
        for spans in (self._questions, self._speech):
            for number in [*spans]:
                self._end(spans, number, at, cancelled=True)
        self._end_turn(at)
        self._call.set_attributes(
            {"reason": reason, "under_runs": entry.under_runs, "lost_marks": entry.lost_marks}
        )
        self._call.end(at)

    def _open(self, name: str, parent: Span, at: int) -> Span:
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415  (only where traces are wanted)

        return self._tracer.start_span(name, set_span_in_context(parent), start_time=at)

    def _end_turn(self, at: int) -> None:
        if self._turn is not None:
            self._turn.end(at)
            self._turn = None

    def _end(
        self, spans: dict[int, Span], number: int, at: int, *, error: str = "", cancelled: bool = False
    ) -> None:
        if (span := spans.pop(number, None)) is None:
            return
        if spans is self._speech:
            self._silent.discard(number)
        if cancelled:
            span.set_attribute("cancelled", value=True)
        if error:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415  (only where traces are wanted)

            span.set_status(StatusCode.ERROR, error)
            span.set_attribute("error.type", error)
        span.end(at)
