"""What operators are shown: bounded, documented, and true of a real call."""

from __future__ import annotations

import asyncio
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from bridge.agents.base import Question
from bridge.app import running
from bridge.conversation.actions import Say
from bridge.metrics import LABELS, OTHER, BoundedCounter, Metrics
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line, SimulatedCall
from tests.scripted_speech import ScriptedSpeech

ROOT = Path(__file__).parent.parent
OPERATION = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Operation\n")[1].split("\n## ")[0]
TOKEN = "0123456789abcdef0123456789abcdef"
LONG = " ".join(f"word{number}" for number in range(20))

NOT_COUNTERS = {
    "phone_bridge_build_info": "version",
    "phone_bridge_sink_waiting": "sink",
    "phone_bridge_standby": "half",
}
"""Gauges with a label: the version of this build, the sinks of the settings, the two halves of speech."""


def metrics_of(metrics: Metrics) -> Iterator[tuple[str, MetricWrapperBase]]:
    for name, metric in vars(metrics).items():
        if isinstance(metric, MetricWrapperBase):
            yield name, metric


def samples(page: bytes) -> dict[str, float]:
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_every_label_has_a_bounded_set_of_values() -> None:
    """An outside party that makes up codes adds one line to the page, whatever it makes up."""
    metrics = Metrics()
    seen = set()
    for name, metric in metrics_of(metrics):
        labels = metric._labelnames
        if isinstance(metric, BoundedCounter):
            known = LABELS[f"{name}_total"]
            assert set(labels) == set(known)
            for number in range(100):
                metric.labels(**dict.fromkeys(labels, f"made up {number}")).inc()
            seen.add(f"{name}_total")
        elif labels:
            assert NOT_COUNTERS[metric._name] == ",".join(labels)
    assert seen == set(LABELS)
    page = metrics.render()[0].decode()
    assert "made up" not in page
    found = samples(page.encode())
    assert found[f"phone_bridge_agent_errors_total code={OTHER}"] == 100
    most = sum(
        len(labels) and _product(len(values) + 1 for values in labels.values()) for labels in LABELS.values()
    )
    assert most < 150


def _product(numbers: Iterator[int]) -> int:
    result = 1
    for number in numbers:
        result *= number
    return result


def test_values_that_are_known_stand_as_they_are_given() -> None:
    metrics = Metrics()
    for name, metric in metrics_of(metrics):
        if isinstance(metric, BoundedCounter):
            for label, values in LABELS[f"{name}_total"].items():
                for value in values:
                    others = {other: next(iter(LABELS[f"{name}_total"][other])) for other in metric._labelnames}
                    metric.labels(**{**others, label: value}).inc()
                    assert f'{label}="{value}"' in metrics.render()[0].decode()


def test_every_metric_is_documented() -> None:
    names = [
        metric._name + ("_total" if isinstance(metric, Counter) else "") for _, metric in metrics_of(Metrics())
    ]
    assert len(names) > 30
    missing = [
        name
        for name in [*names, "phone_bridge_build_info"]
        if f"`{name.removeprefix('phone_bridge_')}`" not in OPERATION
    ]
    assert missing == []


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> str:
    """An agent that answers at length, and then fails."""
    module = types.ModuleType("counted_agent")
    asked: list[Question] = []

    async def answer(question: Question) -> Any:
        if question.occasion == "turn.ended":
            asked.append(question)
            if len(asked) > 1:
                raise ValueError("no")
            yield Say(LONG)

    module.answer = answer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "counted_agent", module)
    return "counted_agent:answer"


async def test_a_real_call_is_seen(tmp_path: Path, agent: str) -> None:
    environment = {
        "BRIDGE_SERVER__PORT": "0",
        "BRIDGE_SPEECH__API_KEY": "sk_test",
        "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
        "BRIDGE_STORE__RECORDINGS": str(tmp_path),
        "BRIDGE_AGENT__KIND": "python",
        "BRIDGE_AGENT__URL": agent,
        "BRIDGE_AGENT__EAGER": "false",
    }
    async with ScriptedSpeech().running() as speech:
        settings = load_settings(environment={**environment, "BRIDGE_SPEECH__BASE_URL": speech.url}, files=())
        async with running(settings) as up, SimulatedCall(Line(up.url, TOKEN)) as call:

            async def now() -> dict[str, float]:
                return samples((await asyncio.to_thread(up.metrics.render))[0])

            peer = await speech.listener()
            await peer.say_turn("Tell me")
            began = await call.wait_agent_speaking(10)
            assert began is not None
            await call.pause(began + 1.0 - call.now)
            assert (await now())["phone_bridge_live_calls"] == 1
            await peer.turn("start")
            assert await call.wait_until_agent_silent(0.2, 5)
            await peer.turn("update", " Stop")
            await peer.turn("end", " Stop it.")
            assert await call.wait_for_agent(10, silence_s=0.3)
            peer.drop()
            await speech.listener(1)
            async with asyncio.timeout(5):
                while (await now())["phone_bridge_stt_reconnect_seconds_count"] == 0:  # noqa: ASYNC110  Nobody is told.
                    await asyncio.sleep(0.01)
            session = up.registry.live[call.call_sid]
            await call.hang_up()
            async with asyncio.timeout(10):
                await session.ended.wait()
            found = {name.removeprefix("phone_bridge_"): value for name, value in (await now()).items()}

    assert found["live_calls"] == 0
    assert found["calls_total mode=agent"] == 1
    assert found["turns_total"] == 2
    assert (found["barge_ins_total"], found["false_alarms_total"]) == (1, 0)
    assert found["agent_errors_total code=agent_crashed"] == 1
    assert (found["stt_lost_total"], found["stt_reconnect_seconds_count"]) == (1, 1)
    assert found["speech_errors_total code=speech_unreachable"] == 1
    assert (found["tts_lost_total"], found["lost_marks_total"], found["degraded_turns_total"]) == (0, 0, 0)
    # The waterfall of the one answer, whose parts come one after the other. The apology answers nothing in time.
    waits = [found[f"{name}_seconds_sum"] for name in ("agent_request", "first_text", "first_audio", "first_mark")]
    assert waits == sorted(waits)
    assert 0 < waits[-1] < 20
    assert found["first_mark_seconds_count"] >= 1
    assert found["clear_seconds_count"] == 1
    assert 0 < found["clear_seconds_sum"] < 1
    assert found["journal_seconds_count"] >= 3
    assert 0 < found["journal_seconds_sum"] < 5
    assert [value for name, value in found.items() if name.startswith("build_info version=")] == [1]
    assert time.time() - 3600 < found["process_start_time_seconds"] <= time.time()
