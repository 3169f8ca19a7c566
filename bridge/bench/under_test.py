"""The system under test, in a process of its own: set up by its environment alone, and watched from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.bench.names import READY
from bridge.bench.systems import Launch
from bridge.errors import BridgeError
from bridge.tasks import spawn

_READY: Final = re.compile(READY.encode() + rb" (\S+)\s*$")
_READY_WITHIN_S: Final = 60.0
_STOPPED_WITHIN_S: Final = 60.0
_LOG: Final = "system.log"


@dataclass(frozen=True, slots=True)
class UnderTest:
    """A system that runs."""

    url: str
    """Origin of its webhooks, or the `ws://` address of its media stream."""
    pid: int


@contextlib.asynccontextmanager
async def system_process(launch: Launch, folder: Path, cores: Iterable[int] = ()) -> AsyncIterator[UnderTest]:
    """Run a system for the length of the block, on these cores alone (none: on any).

    No settings of a bridge that this user has count for it. What it logs goes to `system.log` in `folder`, its
    working directory. Raises `BridgeError` (`bench_system`) if it does not start, or is no longer there at the end;
    cancelling stops it.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("BRIDGE_", "CARTESIA_"))
    }
    log = await asyncio.to_thread((folder / _LOG).open, "wb")
    with log:
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.arguments,
                cwd=folder,
                env={**inherited, **launch.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        except OSError as error:
            raise BridgeError(f"{launch.arguments[0]}: {error.strerror}", code="bench_system") from error
    if own := set(cores):
        # Whatever thread or process it begins from here on inherits this.
        os.sched_setaffinity(process.pid, own)
    reader: asyncio.Task[None] | None = None
    try:
        url = await _address(process, folder)
        reader = spawn(_read_on(process), name="bench-system-output")
        yield UnderTest(url, process.pid)
        if process.returncode is not None:
            raise await _ended(folder, "ended while it was measured")
    finally:
        await stop(process)
        if reader is not None:
            reader.cancel()


async def _address(process: asyncio.subprocess.Process, folder: Path) -> str:
    assert process.stdout is not None  # noqa: S101  It was asked for above.
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            while line := await process.stdout.readline():
                if (ready := _READY.search(line)) is not None:
                    return ready[1].decode()
    except TimeoutError:
        raise await _ended(folder, f"was not ready within {_READY_WITHIN_S:g} s") from None
    raise await _ended(folder, "did not start")


async def _read_on(process: asyncio.subprocess.Process) -> None:
    """Keep the pipe empty: a program that prints much must not wait for a reader."""
    assert process.stdout is not None  # noqa: S101  It was asked for above.
    while await process.stdout.read(65536):
        pass


async def _ended(folder: Path, what: str) -> BridgeError:
    text = await asyncio.to_thread((folder / _LOG).read_text, errors="replace")
    last = "\n".join(text.splitlines()[-5:])
    return BridgeError(f"the system under test {what}; its last words:\n{last}", code="bench_system")


async def stop(process: asyncio.subprocess.Process) -> None:
    """Let a process end, and kill one that does not; returns when it has gone."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
