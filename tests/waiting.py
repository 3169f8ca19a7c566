"""Waiting for what nobody is told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def until(holds: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Wait until something is so, and return it. Raises TimeoutError.

    Nothing of it is measured: a busy machine may take long.
    """
    async with asyncio.timeout(within_s):
        while not (found := holds()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return found
