"""One worker's process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import PIPE, Process

import msgspec

from bridge.children import own_module
from bridge.errors import BridgeError, MissingExtraError, SettingsError
from bridge.workers.place import Failed, Ready, Start

_START_LIMIT_S = 60.0

_first_line: msgspec.json.Decoder[Ready | Failed] = msgspec.json.Decoder(Ready | Failed)


async def start_worker(start: Start) -> WorkerProcess:
    """Start a worker and wait until it takes calls.

    Raises what it says is wrong, as the error that it is, and `BridgeError` (code `worker_start`) where it says
    nothing. Cancelling ends it.
    """
    # A session of its own: Ctrl-C at a terminal is for the supervisor, which tells its workers.
    process = await asyncio.create_subprocess_exec(
        *own_module("bridge.workers"), stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(_START_LIMIT_S):
            ready = await _started(process, start)
    except TimeoutError:
        await _kill(process)
        raise BridgeError(f"a worker was not ready within {_START_LIMIT_S:g} s", code="worker_start") from None
    except BaseException:
        await _kill(process)
        raise
    return WorkerProcess(start.place.number, process, ready.url)


async def _started(process: Process, start: Start) -> Ready:
    assert process.stdin is not None  # noqa: S101  Both were asked for.
    assert process.stdout is not None  # noqa: S101
    with contextlib.suppress(ConnectionError):
        process.stdin.write(msgspec.json.encode(start) + b"\n")
        await process.stdin.drain()
    line = await process.stdout.readline()
    if not line.strip():
        code = await process.wait()
        raise BridgeError(f"a worker ended with code {code} while it was starting", code="worker_start")
    first = _first_line.decode(line)
    if isinstance(first, Ready):
        return first
    await process.wait()
    raise _error(first)


def _error(failed: Failed) -> BridgeError:
    if failed.extra is not None:
        # The error puts its remedy behind the sentence by itself.
        return MissingExtraError(failed.extra, failed.message.partition(" needs the ")[0])
    if failed.code == "settings":
        return SettingsError(failed.message)
    return BridgeError(failed.message, code=failed.code)


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


class WorkerProcess:
    """A worker that has started."""

    def __init__(self, number: int, process: Process, url: str) -> None:
        self.number = number
        self.pid = process.pid
        self.url = url
        self._process = process

    async def wait(self) -> int:
        """Return its exit code once it has ended."""
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there still."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
