"""The bridge under test, in a process of its own: started as a user starts it, set up by its environment alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.errors import BridgeError

_READY: Final = re.compile(rb"phone-bridge is ready at (\S+)")
_READY_WITHIN_S: Final = 30.0
_STOPPED_WITHIN_S: Final = 30.0
_LOG: Final = "bridge.log"


@dataclass(frozen=True, slots=True)
class UnderTest:
    """A bridge that runs."""

    url: str
    pid: int

    async def processor(self) -> tuple[float, float] | None:
        """Seconds that its event loop had a processor, and wanted one but had to wait; None where nobody tells."""
        try:
            text = await asyncio.to_thread(Path(f"/proc/{self.pid}/schedstat").read_text)
        except OSError:
            return None  # Not Linux, or a kernel without these statistics.
        used, waited, *_ = map(int, text.split())
        return used / 1e9, waited / 1e9


@contextlib.asynccontextmanager
async def bridge_process(settings: Mapping[str, str], folder: Path) -> AsyncIterator[UnderTest]:
    """Run `phone-bridge serve` for the length of the block.

    `settings` are environment variables; nothing else of the user's settings counts. What the bridge logs goes to
    `bridge.log` in `folder`, its working directory. Raises `BridgeError` (`bench_bridge`) if it does not start, or
    is no longer there at the end; cancelling stops it.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("BRIDGE_", "CARTESIA_"))
    }
    log = await asyncio.to_thread((folder / _LOG).open, "wb")
    with log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "serve", "--port", "0"),
            cwd=folder,
            env={**inherited, **settings},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        yield UnderTest(await _address(process, folder), process.pid)
        if process.returncode is not None:
            raise await _ended(folder, "ended while it was measured")
    finally:
        await _stop(process)


async def _address(process: asyncio.subprocess.Process, folder: Path) -> str:
    assert process.stdout is not None  # noqa: S101  It was asked for above.
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            ready = _READY.search(await process.stdout.readline())
    except TimeoutError:
        raise await _ended(folder, f"was not ready within {_READY_WITHIN_S:g} s") from None
    if ready is None:
        raise await _ended(folder, "did not start")
    return ready[1].decode()


async def _ended(folder: Path, what: str) -> BridgeError:
    text = await asyncio.to_thread((folder / _LOG).read_text, errors="replace")
    last = "\n".join(text.splitlines()[-5:])
    return BridgeError(f"the bridge under test {what}; its last words:\n{last}", code="bench_bridge")


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
