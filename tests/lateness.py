"""How late a busy machine is, so that what is measured in real time can allow for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bridge.tasks import spawn


class Lateness:
    """How late this process, and all that runs in it, gets to do what is due."""

    worst_s = 0.0

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look every 10 ms for the length of the block."""
        watching = spawn(self._watch(), name="lateness")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + 0.01
            await asyncio.sleep(0.01)
            self.worst_s = max(self.worst_s, clock() - due)
