"""Inference processes: order, death, shutting down. The process is the real one with its real models."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.errors import SettingsError, SpeechError
from bridge.speech_server import samples
from bridge.speech_server.jobs import Recognize, Speak
from bridge.speech_server.worker import InferencePool, Priority
from bridge.tasks import spawn

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[InferencePool]:
    pool = InferencePool("recognizer", "moonshine", None, 1)
    await pool.start()
    yield pool
    await pool.close()


@pytest.fixture(scope="module")
def job(sentence: bytes) -> Recognize:
    return Recognize(0, samples.decode(sentence, "pcm_mulaw"), 8000, 1500)


async def test_a_job(pool: InferencePool, job: Recognize) -> None:
    assert pool.ready.engine == "moonshine"
    assert "foolishness" in await pool.recognize(job, Priority.FINAL)


async def test_finals_overtake_previews_and_files(pool: InferencePool, job: Recognize) -> None:
    done: list[str] = []

    async def run(name: str, priority: Priority) -> None:
        await pool.recognize(job, priority)
        done.append(name)

    asked = [
        ("running", Priority.FILE),
        ("file", Priority.FILE),
        ("preview", Priority.PREVIEW),
        ("final", Priority.FINAL),
    ]
    await asyncio.gather(*(run(name, priority) for name, priority in asked))
    assert done == ["running", "final", "preview", "file"]


async def test_a_cancelled_job_is_never_started(pool: InferencePool, job: Recognize) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await pool.recognize(job, Priority.FINAL)
    one_s = loop.time() - began
    running = spawn(pool.recognize(job, Priority.FINAL), name="asked")
    dropped = [spawn(pool.recognize(job, Priority.FINAL), name="asked") for _ in range(50)]
    await asyncio.sleep(0)
    for task in dropped:
        task.cancel()
    began = loop.time()
    await running
    await pool.recognize(job, Priority.FILE)
    assert loop.time() - began < 20 * one_s  # fifty more would take longer, however busy the machine is
    assert all(task.cancelled() for task in dropped)


async def test_a_job_of_the_wrong_kind_fails_and_the_next_one_works(pool: InferencePool, job: Recognize) -> None:
    with pytest.raises(SpeechError):
        await pool.speak(Speak(0, "Hi.", "en-US", None, "pcm_mulaw", 8000))
    assert await pool.recognize(job, Priority.FINAL)


async def test_a_process_that_dies_costs_nothing_but_time(pool: InferencePool, job: Recognize) -> None:
    running = spawn(pool.recognize(job, Priority.FINAL), name="asked")
    waiting = spawn(pool.recognize(job, Priority.FINAL), name="asked")
    await asyncio.sleep(0)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    assert "foolishness" in await running
    assert "foolishness" in await waiting
    assert pool.pids != (pid,)


async def test_closing_fails_what_waits_and_ends_the_processes(job: Recognize) -> None:
    pool = InferencePool("recognizer", "moonshine", None, 1)
    await pool.start()
    (pid,) = pool.pids
    asked = [spawn(pool.recognize(job, Priority.FINAL), name="asked") for _ in range(3)]
    await asyncio.sleep(0)
    await pool.close()
    assert all(isinstance(error, SpeechError) for error in await asyncio.gather(*asked, return_exceptions=True))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(SpeechError):
        await pool.recognize(job, Priority.FINAL)


@pytest.mark.parametrize(
    ("role", "engine", "model", "says"),
    [
        ("recognizer", "moonshine", "/nowhere/model", "neither a folder"),
        ("voice", "nanotts", "x", "takes no model"),
    ],
)
async def test_a_model_that_cannot_be_loaded(role: str, engine: str, model: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        await InferencePool(role, engine, model, 1).start()
