"""A pool whose processes do what a test says, when it says so; and a detector that takes loud for speech."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from bridge.speech_server import worker
from bridge.speech_server.engine import Samples
from bridge.speech_server.jobs import Job, Ready, Recognize, Recognized, packed, read_job
from bridge.speech_server.worker import InferencePool


class ScriptedProcess:
    """A process that loaded at once and does nothing by itself."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = self
        self.stdout = asyncio.StreamReader()
        self.jobs: list[Job] = []
        """What it was given, in order."""
        self._ended = asyncio.Event()

    def write(self, data: bytes) -> None:
        job = read_job(io.BytesIO(data))
        assert job is not None
        self.jobs.append(job)

    def answer(self, text: str) -> None:
        """Be done with the job that was given last."""
        self.stdout.feed_data(packed(Recognized(self.jobs[-1].id, text)))

    def kill(self) -> None:
        # That a process has died shows at its pipe first.
        self.stdout.feed_eof()
        self._ended.set()

    close = kill

    async def wait(self) -> int:
        await self._ended.wait()
        self.returncode = -9
        return self.returncode


class ScriptedPool(InferencePool):
    """The real pool on scripted processes."""

    def __init__(self, count: int) -> None:
        super().__init__("recognizer", "scripted", None, count)
        self.launched: list[ScriptedProcess] = []

    async def _launch(self) -> Any:
        process = ScriptedProcess(len(self.launched) + 1)
        self.launched.append(process)
        return worker._Worker(process, Ready("scripted", ["en"]))  # type: ignore[arg-type]  # stands in for one

    @property
    def given(self) -> list[Recognize]:
        """All jobs that processes were given."""
        return [job for process in self.launched for job in process.jobs if isinstance(job, Recognize)]


class LoudIsSpeech:
    """A detector that needs no model."""

    window_samples = 256

    def score(self, window: Samples) -> float:
        return float(np.abs(window).max() > 0.1)

    def reset(self) -> None: ...


@asynccontextmanager
async def scripted_pool(monkeypatch: pytest.MonkeyPatch, count: int = 1) -> AsyncIterator[ScriptedPool]:
    """A pool that has started."""
    monkeypatch.setattr(worker, "_RESTART_PAUSE", 0.0)
    pool = ScriptedPool(count)
    await pool.start()
    yield pool
    await pool.close()


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(20):
        await asyncio.sleep(0)
