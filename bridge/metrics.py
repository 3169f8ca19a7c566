"""Counters and latencies for operators, in Prometheus' format.

One `Metrics` object per application, made by the application and handed to whoever counts: no global state, so two
bridges in one process (tests) do not mix.
"""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_LATENCY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Seconds. Fine around half a second, where a conversation begins to feel slow."""


class Metrics:
    """Everything that is counted. Each attribute is a prometheus_client metric with its own sentence."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.calls = self._counter(
            "calls_total", "Calls that began, by mode: agent, transcribe when nobody answers, or log.", "mode"
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
            "Requests refused, by reason: signature, token_missing, token_wrong, token_used, token_expired,"
            " wrong_call and others.",
            "reason",
        )
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
        self.first_text = self._latency("first_text", "End of the caller's turn to the agent's first text.")
        self.first_audio = self._latency("first_audio", "End of the caller's turn to the first audio sent.")
        self.first_mark = self._latency("first_mark", "End of the caller's turn to the first mark that came back.")

    def render(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(f"phone_bridge_{name}", about, registry=self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"phone_bridge_{name}", about, labels, registry=self.registry)

    def _latency(self, name: str, about: str) -> Histogram:
        return Histogram(f"phone_bridge_{name}_seconds", about, registry=self.registry, buckets=_LATENCY_BUCKETS)
