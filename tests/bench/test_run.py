"""A tiny measurement, to the end: it holds what is counted, never how fast it was."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bridge.bench.figures import AGE, BARGE_IN, ECHO, HEARD, LATENESS, PLAY, PLAY_ALL, Level
from bridge.bench.load import LoadOptions
from bridge.bench.run import BenchOptions, Cores, cores_for, run_bench
from bridge.bench.systems import Command, Launch, Relay
from bridge.bench.talk import Pace
from bridge.bench.under_test import system_process
from bridge.errors import BridgeError

QUICK = LoadOptions(Pace(turn_s=0.8))


def measured_without_fault(level: Level) -> None:
    assert level.calls == 2
    assert level.turns >= 4
    assert level.ok, level.broken
    assert (level.lost_up, level.lost_down, level.stale_bytes) == (0, 0, 0)
    assert {HEARD, AGE, BARGE_IN, PLAY, PLAY_ALL, ECHO, LATENESS} <= level.figures.keys()
    assert level.figures[HEARD].p50 < level.figures[AGE].p50 + 0.001
    for figures in level.figures.values():
        assert figures.p50 <= figures.p95 <= figures.p99 <= figures.max


async def test_two_calls_of_the_bridge_are_measured(tmp_path: Path) -> None:
    shown: list[Level] = []
    options = BenchOptions(calls=(2,), turns=2, settle_s=0.5, load=QUICK)
    found = await run_bench(options, tmp_path, on_level=shown.append)

    assert [*found.levels] == shown
    measured_without_fault(shown[0])
    assert found.missing_at_end == 0
    assert len([*tmp_path.rglob("journal.jsonl")]) == 2, "the calls were not kept as in production"
    assert len([*tmp_path.rglob("*.wav")]) == 2


async def test_two_calls_of_the_bare_relay_are_measured(tmp_path: Path) -> None:
    options = BenchOptions(calls=(2,), turns=2, settle_s=0.5, load=QUICK, ladder=True)
    found = await run_bench(options, tmp_path, system=Relay())
    measured_without_fault(found.levels[-1])
    assert found.missing_at_end == 0


def test_system_and_load_have_cores_of_their_own_where_there_are_enough() -> None:
    assert cores_for(1, (0, 1), pin=True) == Cores((0,), (1,))
    assert cores_for(2, (2, 3, 4, 7), pin=True) == Cores((2, 3), (7,))
    assert (
        cores_for(2, (0, 1), pin=True) == cores_for(1, (0, 1), pin=False) == cores_for(1, (), pin=True) == Cores()
    )
    assert Cores((0, 1), (3,)).said == "system on core 0, 1, load on core 3"
    assert Cores().said == "nothing was pinned"


async def test_another_program_is_known_by_its_last_word(tmp_path: Path) -> None:
    code = "import time; print('hello'); print('it is ready at ws://127.0.0.1:9/x', flush=True); time.sleep(60)"
    async with system_process(Launch((sys.executable, "-c", code), {}), tmp_path) as running:
        assert running.url == "ws://127.0.0.1:9/x"


async def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match=r"nowhere: No such file"):
        await run_bench(BenchOptions(calls=(1,)), tmp_path, system=Command("./nowhere"))


def bridge(**environment: str) -> Launch:
    return Launch((sys.executable, "-m", "bridge", "serve", "--port", "0"), environment)


async def test_a_bridge_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="did not start; its last words") as failed:
        async with system_process(bridge(BRIDGE_SERVER__HOST="nowhere.invalid"), tmp_path):
            pass
    assert failed.value.code == "bench_system"
    assert "nowhere.invalid" in failed.value.message


async def test_a_bridge_that_ends_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def kept(*arguments: str, **options: object) -> asyncio.subprocess.Process:
        started.append(await create(*arguments, **options))  # type: ignore[arg-type]  # passed on as they came
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", kept)
    with pytest.raises(BridgeError, match="ended while it was measured"):
        async with system_process(bridge(BRIDGE_SPEECH__BASE_URL="http://127.0.0.1:9"), tmp_path):
            started[0].kill()
            await started[0].wait()
