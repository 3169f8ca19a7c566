"""What is counted of the calls."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.call.meter import Meter
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.overheard import PartyTold
from bridge.metrics import Metrics
from tests.call.peers import INFO

_PARTIES: tuple[journal.Party, ...] = ("caller", "callee")


class TestMeter:
    @pytest.mark.parametrize("mode", ["agent", "transcribe"])
    async def test_calls_are_counted_by_what_they_are_for(self, mode: Any) -> None:
        metrics = Metrics()
        meter = Meter(metrics, INFO, mode)
        meter(0.0, on.StreamStarted(), [do.Record(journal.CallOpened()), do.ForgetTurn()])
        assert metrics.registry.get_sample_value("phone_bridge_calls_total", {"mode": mode}) == 1

    @pytest.mark.parametrize(("source", "told"), [("stt", [INFO]), ("tts", []), ("agent", [])])
    async def test_only_a_refusal_to_listen_says_that_the_plan_has_no_stream_left(
        self, source: Any, told: list[Any]
    ) -> None:
        refused: list[Any] = []
        meter = Meter(Metrics(), INFO, on_speech_limit=refused.append)
        meter(0.0, on.TurnStarted(), [do.Record(journal.ProblemMet(1, source, "speech_limit", "429"))])
        assert refused == told

    async def test_what_the_journal_tells_is_counted(self) -> None:
        metrics = Metrics()
        meter = Meter(metrics, INFO)

        def write(*entries: journal.Entry) -> None:
            meter(0.0, on.TurnStarted(), [do.Record(entry) for entry in entries])

        def value(name: str, **labels: str) -> float:
            return metrics.registry.get_sample_value(f"phone_bridge_{name}", labels) or 0.0

        write(
            journal.CallerSpoke(1, "Hello", 0, 1000),
            journal.AgentSpoke(
                1,
                1,
                "turn.ended",
                "Hi",
                " there",
                True,
                1000,
                3000,
                text_ms=900,
                sent_ms=1600,
                mark_ms=None,
            ),
            journal.AgentSpoke(2, 1, "prompt", "Still there?", "", False, 1000, 3000, text_ms=5000),
            journal.AgentSpoke(3, 1, "prompt", "Hello?", "", False, 1000, 3000),
            journal.AgentResumed(1, 1, 1),
            journal.CallerSpoke(2, "there", 3000, 3500, meaning="echo"),
            journal.CallerSpoke(3, "I would", 3600, 3900, incomplete=True, degraded=True),
            journal.SpeculationDropped(3700, 3, 4),
            journal.AgentSpoke(5, 3, "turn.ended", "So", "", False, 3900, 3950, speculative=True),
            journal.TransferTried(3980, "+15550100009", "busy", warm=True),
            journal.CallClosed(4000, "caller", under_runs=2, lost_marks=3),
        )
        assert value("transfers_total", how="warm", status="busy") == 1
        assert (value("echoes_total"), value("degraded_turns_total")) == (1, 1)
        assert value("speculations_total", outcome="dropped") == 1
        assert value("speculations_total", outcome="used") == 1
        with capture_logs() as logs:
            write(
                journal.ProblemMet(0, "agent", "agent_timeout", "slow"),
                journal.ProblemMet(0, "stt", "speech_server", "broken"),
            )
        assert [(line["event"], line["source"], line["code"], line["error"]) for line in logs] == [
            ("call_problem", "agent", "agent_timeout", "slow"),
            ("call_problem", "stt", "speech_server", "broken"),
        ]
        assert [value("turns_total"), value("barge_ins_total"), value("false_alarms_total")] == [3, 1, 1]
        assert [value("under_runs_total"), value("lost_marks_total")] == [2, 3]
        assert value("agent_errors_total", code="agent_timeout") == 1
        assert value("speech_errors_total", code="speech_server") == 1
        assert (value("first_text_seconds_count"), value("first_text_seconds_sum")) == (1, 0)
        assert value("first_audio_seconds_sum") == pytest.approx(0.6)
        assert value("first_mark_seconds_count") == 0

    async def test_how_long_it_takes_to_fall_silent_and_to_hear_again(self) -> None:
        metrics = Metrics()
        meter = Meter(metrics, INFO, clock=lambda: 10.004)

        def value(name: str) -> float | None:
            return metrics.registry.get_sample_value(f"phone_bridge_{name}")

        meter(9.0, on.TurnStarted(), [])
        meter(9.9, on.TurnEnded(""), [])
        meter(9.95, on.OperatorActed(()), [do.ClearPlayout()])
        assert value("clear_seconds_count") == 0  # That was no caller.
        meter(10.0, on.TurnStarted(), [do.ClearPlayout()])
        meter(10.1, on.DeadlineReached(), [do.ClearPlayout()])
        assert value("clear_seconds_count") == 1
        assert value("clear_seconds_sum") == pytest.approx(0.004)

        meter(11.0, on.RecognizerConnected("r"), [])
        assert value("stt_reconnect_seconds_count") == 0  # It had never been away.
        for party in _PARTIES:
            meter(20.0, PartyTold(party, on.RecognizerLost("speech_server", "gone")), [])
        meter(21.0, PartyTold("callee", on.RecognizerConnected("r")), [])
        meter(21.5, PartyTold("callee", on.RecognizerConnected("r")), [])
        meter(23.0, PartyTold("caller", on.RecognizerConnected("r")), [])
        assert value("stt_lost_total") == 2
        assert (value("stt_reconnect_seconds_count"), value("stt_reconnect_seconds_sum")) == (2, 4)
