"""Inference off the event loop: processes that each hold a model, and who gets one next.

A pool hands one job at a time to each of its processes, so that what waits here can still be dropped or overtaken:
texts that end a turn go before previews, previews before files. A job whose caller was cancelled is never started.
A process that dies is started again, and the job it had is done once more: no words are lost with it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
import structlog

from bridge.children import own_module
from bridge.errors import BridgeError, SettingsError, SpeechError
from bridge.speech_server.jobs import Failed, Job, Ready, Recognized, Report, Spoken, packed, read_report
from bridge.speech_server.refusals import error_of
from bridge.speech_server.waiting import MOST_LOAD, Load, Priority, Ticket, WaitingJobs
from bridge.speech_server.words import Words, lines_of
from bridge.tasks import spawn

__all__ = ["InferencePool", "Priority"]

_log = structlog.get_logger()

_START_LIMIT: Final = 120.0
"""Seconds for a model to load; one that is fetched by name takes longest."""
_RESTART_PAUSE: Final = 0.5
_STOP_LIMIT: Final = 3.0
_LOOK_AGAIN: Final = 0.1
"""Seconds after which it is asked again whether there is time for what can wait."""
_MOST_DEATHS: Final = 2
"""A job that so many processes died with is the reason for it."""

_Ticket: TypeAlias = Ticket[asyncio.Future[Report]]


class _Worker:
    """One process."""

    def __init__(self, process: Process, ready: Ready) -> None:
        self.process = process
        self.ready = ready
        self.ticket: _Ticket | None = None
        self.began = 0.0
        self.down = False
        """It has died, and the next one is not there yet."""


class InferencePool:
    """`count` processes of one role."""

    def __init__(self, role: str, engine: str, model: str | None, count: int) -> None:
        """`role` is `recognizer` or `voice`."""
        self._arguments = [role, engine, *([model] if model else [])]
        self._count = count
        self._waiting: WaitingJobs[asyncio.Future[Report]] = WaitingJobs()
        self._load = Load(count)
        self._again: asyncio.TimerHandle | None = None
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

    @property
    def behind_s(self) -> float:
        """How long the oldest job waits that somebody needs: under a second, unless there is too much to do."""
        return self._waiting.behind_s(asyncio.get_running_loop().time())

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

    async def recognize(self, job: Job | Callable[[], Job], priority: Priority) -> str:
        """Run a `Recognize`, or what makes one when its turn comes. Raises `SpeechError`.

        Cancelling drops the job, or its result if it is running.
        """
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
        if self._again is not None:
            self._again.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail_waiting("the speech server is stopping")
        await asyncio.gather(*(self._stop(worker) for worker in self._workers))
        self._workers.clear()

    async def _run(self, job: Job | Callable[[], Job], priority: Priority) -> Report:
        if self._closing:
            raise SpeechError("the speech server is stopping", code="speech_server", final=False)
        loop = asyncio.get_running_loop()
        make = job if callable(job) else lambda: job
        ticket = _Ticket(make, priority, loop.time(), loop.create_future())
        self._waiting.put(ticket)
        self._dispatch()
        try:
            report = await ticket.answer
        finally:
            self._waiting.drop(ticket)
        if isinstance(report, Failed):
            _log.warning("inference_failed", role=self._arguments[0], reason=report.message)
            raise SpeechError(report.message, code="speech_server", final=False)
        return report

    def _dispatch(self) -> None:
        """Give waiting jobs to idle processes."""
        now = asyncio.get_running_loop().time()
        for worker in self._workers:
            if worker.ticket is not None or worker.down:
                continue
            ticket = self._waiting.take(only_finals=self._load.share(now) > MOST_LOAD)
            if ticket is None:
                self._look_again()
                return
            worker.ticket, worker.began = ticket, now
            _input(worker.process).write(packed(msgspec.structs.replace(ticket.make(), id=next(self._ids))))

    def _look_again(self) -> None:
        """There is an idle process: what it was not given shall not wait for the next event."""
        if len(self._waiting) and self._again is None and not self._closing:
            self._again = asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._look)

    def _look(self) -> None:
        self._again = None
        self._dispatch()

    async def _serve(self, worker: _Worker) -> None:
        """Read what a process reports, and replace it if it dies."""
        while True:
            report = await read_report(_output(worker.process))
            ticket, worker.ticket = worker.ticket, None
            if ticket is not None and ticket.priority is Priority.FINAL:
                now = asyncio.get_running_loop().time()
                self._load.add(now - worker.began, now)
            if report is None:
                worker.down = True
                _log.error("inference_process_died", role=self._arguments[0], pid=worker.process.pid)
                if ticket is not None:
                    self._once_more(ticket)
                await self._replace(worker)
            elif ticket is not None and not ticket.answer.done():
                ticket.answer.set_result(report)
            self._dispatch()

    def _once_more(self, ticket: _Ticket) -> None:
        """A process died with a job."""
        ticket.deaths += 1
        if ticket.deaths >= _MOST_DEATHS:
            _fail(ticket, "the inference process died")
        elif not ticket.answer.done():
            self._waiting.put_back(ticket)
            self._dispatch()

    async def _replace(self, worker: _Worker) -> None:
        await worker.process.wait()
        while True:
            await asyncio.sleep(_RESTART_PAUSE)
            try:
                worker.process = (await self._launch()).process
                worker.down = False
            except (BridgeError, OSError) as error:
                _log.error("inference_restart_failed", role=self._arguments[0], reason=str(error))
                if all(other.down for other in self._workers):
                    self._fail_waiting("the inference process died and cannot be started again")
                await asyncio.sleep(_RESTART_PAUSE * 10)
            else:
                return

    async def _launch(self) -> _Worker:
        process = await asyncio.create_subprocess_exec(
            *own_module("bridge.speech_server.inference", *self._arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        words = Words(self._arguments[0])
        hearing = spawn(_hear(process, words), name=f"inference-{self._arguments[0]}-words")
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
        await hearing
        raise self._refusal(report, words)

    def _refusal(self, report: Report | None, words: Words) -> BridgeError:
        if isinstance(report, Failed):
            return error_of(report.code, report.message, report.extra)
        role, engine = self._arguments[:2]
        return SettingsError(f"the {role} {engine!r} ended while loading: {words.last}")

    def _fail_waiting(self, reason: str) -> None:
        for ticket in self._waiting.take_all():
            _fail(ticket, reason)

    async def _stop(self, worker: _Worker) -> None:
        if worker.ticket is not None:
            _fail(worker.ticket, "the speech server is stopping")
        await _end(worker.process)


def _fail(ticket: _Ticket, reason: str) -> None:
    if not ticket.answer.done():
        ticket.answer.set_result(Failed(0, "speech_server", reason))


def _input(process: Process) -> asyncio.StreamWriter:
    if process.stdin is None:
        raise RuntimeError("an inference process has a pipe for its input")
    return process.stdin


async def _hear(process: Process, words: Words) -> None:
    async for line in lines_of(process.stderr):
        words.add(line)


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
