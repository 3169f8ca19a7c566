"""The speech server as a process of its own, started and ended by this one. Needs none of the extras itself."""

from __future__ import annotations

import asyncio
import dataclasses
from asyncio.subprocess import PIPE, Process
from typing import Any, Final

import msgspec
import structlog

from bridge.children import own_module
from bridge.errors import BridgeError
from bridge.speech_server.refusals import error_of
from bridge.speech_server.settings import ServerSettings, require_extras
from bridge.speech_server.words import Words, lines_of
from bridge.tasks import spawn

_log = structlog.get_logger()

_START_LIMIT: Final = 150.0
"""Seconds until it must answer; a model that is fetched by name takes longest."""
_STOP_LIMIT: Final = 8.0
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class ChildReady(msgspec.Struct, frozen=True, tag="ready"):
    """The child's first line: it answers."""

    url: str
    port: int


class ChildFailed(msgspec.Struct, frozen=True, tag="failed"):
    """The child's first line: it cannot start."""

    code: str
    message: str
    extra: str | None = None
    """The extra that would have to be installed."""


_first_line: msgspec.json.Decoder[ChildReady | ChildFailed] = msgspec.json.Decoder(ChildReady | ChildFailed)


class LocalServer:
    """A speech server in a child process, which also ends when this process does, however that ends."""

    def __init__(self, process: Process, ready: ChildReady, words: Words, log_task: asyncio.Task[None]) -> None:
        self.url = ready.url
        """`http://127.0.0.1:port`, to be used as a base URL."""
        self.port = ready.port
        self.pid = process.pid
        self.died = asyncio.Event()
        """Set when the process ended without being asked to."""
        self._process = process
        self._closing = False
        self._words = words
        self._log_task = log_task
        self._watch_task = spawn(self._watch(), name="speech-server-watch")

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.returncode is None

    async def close(self) -> None:
        """End the process: politely, and by force if it takes longer than some seconds. May be called twice."""
        self._closing = True
        await _end(self._process)
        await asyncio.gather(self._watch_task, self._log_task, return_exceptions=True)

    async def _watch(self) -> None:
        code = await self._process.wait()
        if not self._closing:
            _log.error("speech_server_died", pid=self._process.pid, exit_code=code, said=self._words.last)
            self.died.set()


async def launch_local(settings: ServerSettings | None = None) -> LocalServer:
    """Start a speech server on a free port of 127.0.0.1 (or as `settings` say) and wait until it answers.

    Raises `MissingExtraError`, `SettingsError`, or a `BridgeError` (code `speech_server_start`) that ends with the
    last line it wrote. Cancelling ends the process.
    """
    chosen = settings or ServerSettings(port=0)
    require_extras(chosen)
    process = await asyncio.create_subprocess_exec(
        *own_module("bridge.speech_server", "--child"), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    words = Words("speech server")
    log_task = spawn(_pass_on(process, words), name="speech-server-log")
    try:
        async with asyncio.timeout(_START_LIMIT):
            ready = await _started(process, chosen)
    except TimeoutError as error:
        await _end(process)
        raise _silent(f"did not answer within {_START_LIMIT:.0f} s", words) from error
    except BaseException:
        await _end(process)
        raise
    if ready is None:
        await _end(process)
        await log_task
        raise _silent(f"ended with code {process.returncode} while starting", words)
    return LocalServer(process, ready, words, log_task)


def _silent(what: str, words: Words) -> BridgeError:
    return BridgeError(f"the local speech server {what}: {words.last}", code="speech_server_start")


async def _started(process: Process, settings: ServerSettings) -> ChildReady | None:
    """Hand the settings over and read the child's first line; None if it ended without one."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the speech server's process has pipes")
    # Through the pipe and not as arguments, because every user of the machine may read those and there is a key.
    process.stdin.write(msgspec.json.encode(dataclasses.asdict(settings)) + b"\n")
    line = await process.stdout.readline()
    if not line.strip():
        return None
    first = _first_line.decode(line)
    if isinstance(first, ChildReady):
        return first
    raise error_of(first.code, first.message, first.extra)


async def _pass_on(process: Process, words: Words) -> None:
    """The child's log lines become ours, in our format and at our level; what else it says is kept for an error."""
    async for line in lines_of(process.stderr):
        if not _log_again(line):
            words.add(line)


def _log_again(line: str) -> bool:
    """Log what the child logged. False: the line is something else, such as the words of a native library."""
    try:
        fields: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        event, level = str(fields.pop("event")), _LEVELS[fields.pop("level")]
    except (msgspec.DecodeError, KeyError, UnicodeError):
        return False
    _log.log(level, event, **fields)
    return True


async def _end(process: Process) -> None:
    """Close the child's input, which tells it to stop; kill it if it does not."""
    if process.returncode is None and process.stdin is not None:
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            _log.warning("speech_server_killed", pid=process.pid)
            process.kill()
    await process.wait()
