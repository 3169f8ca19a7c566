"""Starts the workers of a bridge, and again when they die; passes signals on. It carries no calls itself."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from bridge.errors import BridgeError, SettingsError
from bridge.local_token import local_token
from bridge.settings import Settings
from bridge.speech.local import open_speech, open_standby
from bridge.store.folder_lock import held
from bridge.tasks import spawn
from bridge.workers.board import make_board
from bridge.workers.place import Place, Start
from bridge.workers.port import keep_port
from bridge.workers.process import WorkerProcess, start_worker

_PAUSES_S: Final = (0.2, 1.0, 5.0, 15.0, 30.0)
"""Between the death of a worker and its next start, longer with each that follows soon; the last is repeated."""
_SOON_S: Final = 60.0
_LONGEST_FOLDER: Final = 80
"""Characters: the name of a Unix socket in it has room for 107 with most systems."""

log = structlog.get_logger()


async def supervise(
    settings: Settings,
    *,
    config: Path | None,
    overrides: dict[str, dict[str, Any]],
    ready: Callable[[str], None],
    debug: bool = False,
) -> None:
    """Run `server.workers` processes until cancelled; `ready` is told their address once all take calls.

    They read their settings from where these came from: `config`, the environment, and `overrides`. When this is
    cancelled they take no new calls, and give those that are going on `server.drain_seconds` to end; being
    cancelled again cuts that short. Raises SettingsError and the like for what cannot work, and OSError where the
    port cannot be had.
    """
    async with contextlib.AsyncExitStack() as stack:
        port = keep_port(settings.server.host, settings.server.port, stack)
        if not settings.twilio.auth_token.get_secret_value():
            local_token()  # The workers would all make it at the same moment.
        count = settings.server.workers
        await asyncio.to_thread(_hold_calls, settings, port, stack)
        folder = _folder(settings)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        make_board(folder, count)
        speech_url, standby_url = await open_speech(settings, stack), await open_standby(settings, stack)
        named = None if config is None else str(config)
        given = {**overrides, "server": {**overrides.get("server", {}), "port": port}}
        places = [Place(number, count, str(folder), port, speech_url, standby_url) for number in range(count)]
        workers = [_Kept(Start(place, named, given, debug)) for place in places]
        try:
            await _start_all(workers)
            with _on_hangup(workers):
                ready(workers[0].url)
                await asyncio.gather(*(worker.keep() for worker in workers))
        finally:
            await _stop_all(workers)


def _hold_calls(settings: Settings, port: int, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> None:
    """Hold the folder of calls for the workers, which join. That it cannot be made they tell themselves."""
    calls = settings.store.recordings
    with contextlib.suppress(OSError):
        calls.mkdir(parents=True, exist_ok=True)
        stack.enter_context(held(calls, settings.server.node or f"{socket.gethostname()}:{port}"))


def _folder(settings: Settings) -> Path:
    """Make the workers' private folder."""
    calls = settings.store.recordings
    for parent in (None, "/tmp", calls):  # noqa: S108  What is made there nobody else can enter.
        try:
            if parent is calls:  # Where nothing else can be written to, as in a container with a read-only root.
                calls.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="phone-bridge-", dir=parent)).absolute()
        except OSError:
            continue
        if len(str(folder)) <= _LONGEST_FOLDER:
            return folder
        folder.rmdir()
    raise SettingsError(
        "server.workers (BRIDGE_SERVER__WORKERS) is more than 1, and there is no folder for the sockets of the"
        " workers: set TMPDIR to one that can be written to, with a short name"
    )


async def _start_all(workers: list[_Kept]) -> None:
    """Start them side by side. Raises what is wrong with the first that cannot start."""
    tasks = [spawn(_outcome(worker.start()), name=f"start-worker-{worker.number}") for worker in workers]
    try:
        for outcome in asyncio.as_completed(tasks):
            if (error := await outcome) is not None:
                raise error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _outcome(work: Any) -> Exception | None:
    """An error that left a task would be logged as a fault of the program."""
    try:
        await work
    except (BridgeError, OSError) as error:
        return error
    return None


async def _stop_all(workers: list[_Kept]) -> None:
    """Tell all to stop, and wait for them. Being cancelled tells them once more, which cuts short what they do."""
    waiting = spawn(_ended(workers), name="workers-end")
    while not waiting.done():
        for worker in workers:
            worker.stop()
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            continue


async def _ended(workers: list[_Kept]) -> None:
    await asyncio.gather(*(worker.ended() for worker in workers))


@contextlib.contextmanager
def _on_hangup(workers: list[_Kept]) -> Iterator[None]:
    """Pass SIGHUP on for the length of the block: each worker takes the changed settings itself."""

    def pass_on() -> None:
        for worker in workers:
            worker.send(signal.SIGHUP)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, pass_on)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


class _Kept:
    """A worker that is started again whenever it has died."""

    def __init__(self, start: Start) -> None:
        self.number = start.place.number
        self.url = ""
        self._start = start
        self._process: WorkerProcess | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start it and wait until it takes calls. Raises BridgeError and OSError."""
        self._process = await start_worker(self._start)
        self.url = self._process.url

    async def keep(self) -> None:
        """Start it again whenever it dies, until it is told to stop."""
        died_often = 0
        while True:
            began = time.monotonic()
            if self._process is not None:
                code = await self._process.wait()
                if self._stopping:
                    return
                log.error("worker_died", worker=self.number, pid=self._process.pid, exit_code=code)
                died_often = 0 if time.monotonic() - began > _SOON_S else died_often
                self._process = None
            await asyncio.sleep(_PAUSES_S[min(died_often, len(_PAUSES_S) - 1)])
            died_often += 1
            again = msgspec.structs.replace(self._start.place, again=True)
            self._start = msgspec.structs.replace(self._start, place=again)
            try:
                await self.start()
            except (BridgeError, OSError) as error:
                log.error("worker_not_restarted", worker=self.number, error=str(error))
            else:
                log.info("worker_restarted", worker=self.number)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self._process is not None:
            self._process.send(number)

    def stop(self) -> None:
        """Tell it to stop."""
        self._stopping = True
        self.send(signal.SIGTERM)

    async def ended(self) -> None:
        """Wait until it has ended."""
        if self._process is not None:
            await self._process.wait()
