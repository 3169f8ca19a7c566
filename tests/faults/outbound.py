"""A call of ours that cannot be placed: nobody hears anything, and whoever ordered it learns why."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.outbound.order import Order
from tests.faults.catalogue import Cell
from tests.faults.outcome import Outcome
from tests.faults.stage import CALLER, OURS, stage


async def place_outbound(cell: Cell, folder: Path, database: Path, outcome: Outcome) -> None:
    """Order a call while the carrier's REST fails, and wait for its end."""
    async with stage(cell, folder, database) as there:
        await there.fail()
        call, _ = there.up.dialer.place(Order(CALLER, OURS))
        begin = asyncio.get_running_loop().time()
        async with asyncio.timeout(60):
            while not call.over:  # noqa: ASYNC110  Nobody is told.
                await asyncio.sleep(0.05)
        outcome.noticed, outcome.noticed_s = str(call.reason), asyncio.get_running_loop().time() - begin
        outcome.heard = "no call comes about: nobody is rung"
        outcome.record = f"the order is {call.status} ({call.reason}), tried {call.attempts} times"
        outcome.lost = "the call; the order says why"
        outcome.ended = "never begun"
