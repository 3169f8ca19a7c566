"""An application of aiohttp's on this machine, for as long as a test needs it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web


@contextlib.asynccontextmanager
async def served(app: web.Application, *, backlog: int = 128, **options: Any) -> AsyncIterator[str]:
    """Serve, and give the address, `http://127.0.0.1:PORT`. `options` are those of aiohttp's `AppRunner`."""
    runner = web.AppRunner(app, **{"access_log": None, "shutdown_timeout": 0.01, **options})
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=backlog).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
