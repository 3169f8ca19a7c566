"""Counters and latencies for operators, in Prometheus' format.

One `Metrics` object per application, made by the application and handed to whoever counts: no global state, so two
bridges in one process (tests) do not mix.

Nothing is counted per audio frame, and no label has values that somebody outside could make up: whatever is not
listed here counts as `other`. So the page has the same few hundred lines after a million calls as after the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

OTHER: Final = "other"
"""The value of a label for everything that is not in `LABELS`."""

VERSION: Final = version("phone-bridge")
"""Of this build."""

_ENDS: Final = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
_SPEECH: Final = ("auth", "plan", "request", "limit", "server", "unreachable", "timeout", "empty")
_AGENT: Final = ("unreachable", "timeout", "status", "answer", "crashed", "breaker_open", "target", "held")
_TOKEN: Final = ("missing", "wrong", "used", "expired")

LABELS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "admission_refusals_total": {"reason": frozenset({"draining", "lag", "calls", "number", "speech"})},
    "calls_taken_over_total": {"why": frozenset({"died", "given"})},
    "calls_total": {"mode": frozenset({"agent", "transcribe", "log"})},
    "outbound_calls_total": {"status": _ENDS},
    "refused_requests_total": {
        "reason": frozenset(f"token_{why}" for why in _TOKEN)
        | {"signature", "origin", "wrong_call", "no_start", "malformed_message"}
        | {"wrong_format", "call_over", "draining"}
    },
    "refused_connections_total": {"reason": frozenset({"connections", "address", "head_late", "no_request"})},
    "malformed_messages_total": {"peer": frozenset({"carrier"})},
    "speculations_total": {"outcome": frozenset({"used", "dropped"})},
    "speech_turns_total": {
        "half": frozenset({"stt", "tts"}),
        "service": frozenset({"main", "standby"}),
    },
    "transfers_total": {"how": frozenset({"cold", "warm"}), "status": _ENDS | {"answered", "declined"}},
    "speech_errors_total": {
        "code": frozenset(f"speech_{what}" for what in _SPEECH)
        | {f"sound_{what}" for what in ("unreachable", "format", "refused")}
    },
    "agent_errors_total": {
        "code": frozenset(f"agent_{what}" for what in _AGENT) | {"unknown_action", "recording_off"}
    },
    "agent_breaker_total": {"state": frozenset({"open", "closed"})},
}
"""Counter → label → the values that it may have beside `other`. The names of sinks are those of the settings."""

_WAIT_BUCKETS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Seconds that a caller waits. Fine around half a second, where a conversation begins to feel slow."""
_OWN_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds that the bridge itself takes: a few milliseconds on a machine that has the time."""


class BoundedCounter(Counter):
    """A counter whose labels have the values of `LABELS`, and `other` for all else."""

    def labels(self, *values: object, **named: object) -> BoundedCounter:
        """Return the counter of these values, which are given by name."""
        known = LABELS[self._name.removeprefix("phone_bridge_") + "_total"]
        bounded = {name: value if value in known[name] else OTHER for name, value in named.items()}
        return super().labels(*values, **bounded)


class Metrics:
    """Everything that is counted. Each attribute is a prometheus_client metric with its own sentence."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Gauge(
            "phone_bridge_build_info", "Always 1; the version is its label.", ("version",), registry=self.registry
        )
        build.labels(version=VERSION).set(1)
        self.calls = self._counter(
            "calls_total", "Calls that began, by mode: agent, transcribe when nobody answers, or log.", "mode"
        )
        self.calls_taken_over = self._counter(
            "calls_taken_over_total",
            "Calls that another process carried before, by why: it died, or has given the call away (given).",
            "why",
        )
        self.live_calls = Gauge("phone_bridge_live_calls", "Calls that are going on.", registry=self.registry)
        self.outbound_calls = self._counter(
            "outbound_calls_total",
            "Calls of ours that are over, by status: completed, busy, no-answer, failed, canceled.",
            "status",
        )
        self.outbound_waiting = Gauge(
            "phone_bridge_outbound_waiting", "Calls of ours that wait for their turn.", registry=self.registry
        )
        self.refused_requests = self._counter(
            "refused_requests_total",
            "Requests of the carrier that were refused, by reason, such as signature, token_used or draining.",
            "reason",
        )
        self.refused_connections = self._counter(
            "refused_connections_total",
            "Connections closed before their first request: connections, address, head_late, no_request.",
            "reason",
        )
        self.admission_refusals = self._counter(
            "admission_refusals_total",
            "Calls that were not taken, by reason: draining, lag, calls, number, speech.",
            "reason",
        )
        self.loop_lag = self._gauge("loop_lag_seconds", "How late the event loop is, smoothed over a second or so.")
        self.malformed_messages = self._counter("malformed_messages_total", "Messages that did not fit.", "peer")
        self.turns = self._counter("turns_total", "Turns of callers that ended.")
        self.degraded_turns = self._counter(
            "degraded_turns_total", "Turns given up because the speech-to-text service was away."
        )
        self.echoes = self._counter("echoes_total", "Turns that were the agent's own voice come back.")
        self.speculations = self._counter(
            "speculations_total", "Answers prepared at an eager end, by outcome: used or dropped.", "outcome"
        )
        self.barge_ins = self._counter("barge_ins_total", "Times that a caller cut the agent off.")
        self.false_alarms = self._counter(
            "false_alarms_total", "Barge-ins that were no speech; the agent spoke on."
        )
        self.transfers = self._counter(
            "transfers_total",
            "Callers that were to be passed on, by how (cold, warm) and how that ended.",
            "how",
            "status",
        )
        self.stt_lost = self._counter("stt_lost_total", "Connections to speech to text that broke within a call.")
        self.tts_lost = self._counter(
            "tts_lost_total", "Connections to text to speech that broke while something was to be said."
        )
        self.speech_turns = self._counter(
            "speech_turns_total",
            "Turns heard (half stt) and answers spoken (tts), by which speech service: main or standby.",
            "half",
            "service",
        )
        self.standby = Gauge(
            "phone_bridge_standby",
            "Whether the standby stands in for a half of the speech service, stt or tts: 1 or 0.",
            ("half",),
            registry=self.registry,
        )
        self.speech_errors = self._counter("speech_errors_total", "Failures of the speech service.", "code")
        self.agent_errors = self._counter("agent_errors_total", "Questions that the agent did not answer.", "code")
        self.agent_breaker = self._counter(
            "agent_breaker_total",
            "Times that a failing webhook was left alone (open), and asked again (closed).",
            "state",
        )
        self.under_runs = self._counter("under_runs_total", "Gaps in the agent's speech: audio came too late.")
        self.lost_marks = self._counter("lost_marks_total", "Marks that the carrier did not send back in time.")
        self.erased_calls = self._counter("erased_calls_total", "Calls erased, on request or because of their age.")
        self.store_up = self._gauge("store_up", "Whether the database of calls does what it is asked: 1 or 0.")
        self.bus_up = self._gauge(
            "bus_up", "Whether the message bus is connected: 1 or 0, also where there is none."
        )
        self.unchecked_tokens = self._counter(
            "unchecked_tokens_total",
            "Tokens of media streams taken without a look at what other bridges have used.",
        )
        self.nodes = self._gauge("other_nodes", "Other bridges at the same bus that are there.")
        self.store_waiting = self._gauge(
            "store_waiting_calls", "Calls with entries in their journals that the database lacks."
        )
        self.store_lag = self._gauge(
            "store_lag_seconds", "How long the database has lacked an entry that it is to have."
        )
        self.sink_waiting = Gauge(
            "phone_bridge_sink_waiting",
            "Documents that wait to be sent to a sink.",
            ("sink",),
            registry=self.registry,
        )
        self.sink_dropped = self._gauge(
            "sink_dropped", "Documents for sinks that were given up since the start: no room, or too old."
        )
        self.agent_request = self._wait("agent_request", "End of the caller's turn to the question to the agent.")
        self.first_text = self._wait("first_text", "End of the caller's turn to the agent's first text.")
        self.first_audio = self._wait("first_audio", "End of the caller's turn to the first audio sent.")
        self.first_mark = self._wait("first_mark", "End of the caller's turn to the first mark that came back.")
        self.clear = self._own(
            "clear", "Word that the caller speaks to the end of the agent's speech (clear) sent."
        )
        self.journal = self._own("journal", "Entry of a journal to its being written to the disk.")
        self.stt_reconnect = self._wait("stt_reconnect", "Loss of speech to text to its being back, within a call.")

    def render(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(f"phone_bridge_{name}", about, registry=self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        kind = BoundedCounter if labels else Counter
        if labels:
            assert set(labels) == set(LABELS[name]), name  # noqa: S101  What is missing there shows at the start.
        return kind(f"phone_bridge_{name}", about, labels, registry=self.registry)

    def _wait(self, name: str, about: str) -> Histogram:
        return Histogram(f"phone_bridge_{name}_seconds", about, registry=self.registry, buckets=_WAIT_BUCKETS)

    def _own(self, name: str, about: str) -> Histogram:
        return Histogram(f"phone_bridge_{name}_seconds", about, registry=self.registry, buckets=_OWN_BUCKETS)
