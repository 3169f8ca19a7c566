"""Inference off the event loop: processes that each hold a model, and who gets one next.

A pool hands one job at a time to each of its processes, so that what waits here can still be dropped or overtaken:
texts that end a turn go before previews, previews before files. A job whose caller was cancelled is never started.
A process that dies costs the job it had and is started again.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import sys
from asyncio.subprocess import PIPE, Process
from enum import IntEnum
from typing import Final

import msgspec
import structlog

from bridge.errors import BridgeError, SettingsError, SpeechError
from bridge.speech_server.jobs import Failed, Job, Ready, Recognized, Report, Spoken, packed, read_report
from bridge.speech_server.refusals import error_of
from bridge.tasks import spawn

_log = structlog.get_logger()

_START_LIMIT: Final = 120.0
"""Seconds for a model to load; one that is fetched by name takes longest."""
_RESTART_PAUSE: Final = 0.5
_STOP_LIMIT: Final = 3.0


class Priority(IntEnum):
    """Who goes first."""

    FINAL = 0
    PREVIEW = 1
    FILE = 2


class _Worker:
    """One process."""

    def __init__(self, process: Process, ready: Ready) -> None:
        self.process = process
        self.ready = ready
        self.job: tuple[Job, asyncio.Future[Report]] | None = None


class InferencePool:
    """`count` processes of one role."""

    def __init__(self, role: str, engine: str, model: str | None, count: int) -> None:
        """`role` is `recognizer` or `voice`."""
        self._arguments = [role, engine, *([model] if model else [])]
        self._count = count
        self._queue: list[tuple[int, int, Job, asyncio.Future[Report]]] = []
        self._ids = itertools.count(1)
        self._workers: list[_Worker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self.ready = Ready("")
        """What the engine said of itself."""

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes' ids."""
        return tuple(worker.process.pid for worker in self._workers)

    async def start(self) -> None:
        """Start the processes and wait until their models are loaded.

        Raises `MissingExtraError` or `SettingsError`. Cancelling ends what was started.
        """
        try:
            for _ in range(self._count):
                self._workers.append(await self._launch())
        except BaseException:
            await self.close()
            raise
        self.ready = self._workers[0].ready
        self._tasks = [
            spawn(self._serve(worker), name=f"inference-{self._arguments[0]}-{index}")
            for index, worker in enumerate(self._workers)
        ]

    async def recognize(self, job: Job, priority: Priority) -> str:
        """Run a `Recognize`. Raises `SpeechError`. Cancelling drops the job, or its result if it is running."""
        report = await self._run(job, priority)
        if not isinstance(report, Recognized):
            raise SpeechError("the recogniser gave no text", code="speech_server", final=False)
        return report.text

    async def speak(self, job: Job) -> Spoken:
        """Run a `Speak`. Raises `SpeechError`. Cancelling drops the job, or its result if it is running."""
        report = await self._run(job, Priority.FINAL)
        if not isinstance(report, Spoken):
            raise SpeechError("the voice gave no audio", code="speech_server", final=False)
        return report

    async def close(self) -> None:
        """End the processes. Jobs that wait or run fail with `SpeechError`."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail_waiting("the speech server is stopping")
        await asyncio.gather(*(self._stop(worker) for worker in self._workers))
        self._workers.clear()

    async def _run(self, job: Job, priority: Priority) -> Report:
        if self._closing:
            raise SpeechError("the speech server is stopping", code="speech_server", final=False)
        future: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        number = next(self._ids)
        numbered = msgspec.structs.replace(job, id=number)
        heapq.heappush(self._queue, (priority, number, numbered, future))
        self._dispatch()
        report = await future
        if isinstance(report, Failed):
            _log.warning("inference_failed", role=self._arguments[0], reason=report.message)
            raise SpeechError(report.message, code="speech_server", final=False)
        return report

    def _dispatch(self) -> None:
        """Give waiting jobs to idle processes."""
        for worker in self._workers:
            if worker.job is not None or worker.process.returncode is not None:
                continue
            while self._queue:
                _, _, job, future = heapq.heappop(self._queue)
                if future.done():
                    continue
                worker.job = job, future
                _input(worker.process).write(packed(job))
                break

    async def _serve(self, worker: _Worker) -> None:
        """Read what a process reports, and replace it if it dies."""
        while True:
            report = await read_report(_output(worker.process))
            held, worker.job = worker.job, None
            if report is None:
                if held is not None:
                    _fail(held[1], "the inference process died")
                _log.error("inference_process_died", role=self._arguments[0], pid=worker.process.pid)
                await self._replace(worker)
            elif held is not None and not held[1].done():
                held[1].set_result(report)
            self._dispatch()

    async def _replace(self, worker: _Worker) -> None:
        await worker.process.wait()
        while True:
            await asyncio.sleep(_RESTART_PAUSE)
            try:
                worker.process = (await self._launch()).process
            except (BridgeError, OSError) as error:
                _log.error("inference_restart_failed", role=self._arguments[0], reason=str(error))
                if all(other.process.returncode is not None for other in self._workers):
                    self._fail_waiting("the inference process died and cannot be started again")
                await asyncio.sleep(_RESTART_PAUSE * 10)
            else:
                return

    async def _launch(self) -> _Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge.speech_server.inference",
            *self._arguments,
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip - program and arguments on one line
        try:
            async with asyncio.timeout(_START_LIMIT):
                report = await read_report(_output(process))
        except BaseException as error:
            await _end(process)
            if isinstance(error, TimeoutError):
                raise SettingsError(
                    f"the {self._arguments[0]} {self._arguments[1]!r} was not loaded within {_START_LIMIT:.0f} s"
                ) from error
            raise
        if isinstance(report, Ready):
            return _Worker(process, report)
        await _end(process)
        raise self._refusal(report)

    def _refusal(self, report: Report | None) -> BridgeError:
        if isinstance(report, Failed):
            return error_of(report.code, report.message, report.extra)
        role, engine = self._arguments[:2]
        return SettingsError(f"the {role} {engine!r} ended while loading; its last words stand above")

    def _fail_waiting(self, reason: str) -> None:
        for *_, future in self._queue:
            _fail(future, reason)
        self._queue.clear()

    async def _stop(self, worker: _Worker) -> None:
        if worker.job is not None:
            _fail(worker.job[1], "the speech server is stopping")
        await _end(worker.process)


def _fail(future: asyncio.Future[Report], reason: str) -> None:
    if not future.done():
        future.set_result(Failed(0, "speech_server", reason))


def _input(process: Process) -> asyncio.StreamWriter:
    if process.stdin is None:
        raise RuntimeError("an inference process has a pipe for its input")
    return process.stdin


def _output(process: Process) -> asyncio.StreamReader:
    if process.stdout is None:
        raise RuntimeError("an inference process has a pipe for its output")
    return process.stdout


async def _end(process: Process) -> None:
    """Close the process's input, and kill it if it does not end by that."""
    if process.returncode is None:
        _input(process).close()
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()
