"""Plays cells, many at a time, and judges what came of each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bridge.store.sql.database import FILE, Database
from bridge.tasks import spawn
from tests.faults import judge
from tests.faults.catalogue import BEFORE, Cell
from tests.faults.logged import NOBODY, collecting, logged
from tests.faults.outbound import place_outbound
from tests.faults.outcome import Outcome
from tests.faults.play import Said, StuckError, play
from tests.faults.stage import Stage, stage

_SLOW_LEAVES_S: Final = 30.0


async def play_all(
    cells: Sequence[Cell], *, at_once: int, to_ask: int = 2, done: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Play every cell that there can be, so many at once; returns the outcomes in the order of `cells`.

    `to_ask`: how many questions callers still have after the fault.
    """
    NOBODY.unhandled.clear()
    room = asyncio.Semaphore(at_once)
    starting = asyncio.Lock()
    with collecting(), tempfile.TemporaryDirectory(prefix="faults-") as name:
        database = await _empty_database(Path(name) / "empty")

        async def one(number: int, cell: Cell) -> Outcome:
            if cell.impossible:
                return Outcome(cell)
            async with room:
                outcome = await play_cell(cell, Path(name) / str(number), database, starting, Said(to_ask=to_ask))
            done(outcome)
            return outcome

        tasks = [spawn(one(number, cell), name=cell.name) for number, cell in enumerate(cells)]
        outcomes = await asyncio.gather(*tasks)
    if NOBODY.unhandled and outcomes:
        outcomes[-1].wrong += [f"in no cell: {text}" for text in NOBODY.unhandled]
    return outcomes


async def play_cell(cell: Cell, folder: Path, database: Path, starting: asyncio.Lock, said: Said) -> Outcome:
    """Play one cell. Whatever goes wrong is in its outcome; `said` is filled with what the caller says."""
    outcome = Outcome(cell)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with logged() as log:
        try:
            if cell.dependency == "carrier's REST" and cell.state == BEFORE:
                await place_outbound(cell, folder, database, outcome)
            else:
                async with _started(cell, folder, database, starting) as there:
                    zero = await _played(there, said, outcome)
                    await there.mend()
                    journal = await judge.journal_of(there)
                    judge.judge(there, said, log, journal, outcome, zero)
                    if there.bus is not None or there.lock is not None or there.disk is not None:
                        outcome.lost = await judge.kept_elsewhere(there, journal, outcome.lost)
        except (OSError, AssertionError, TimeoutError) as error:
            outcome.wrong.append(f"the cell was not played: {type(error).__name__} {error}")
        except Exception as error:  # noqa: BLE001  one cell must not end the table
            outcome.wrong.append(f"the cell broke: {type(error).__name__} {error}")
    outcome.wrong += log.unhandled
    outcome.seconds = loop.time() - begin
    if not outcome.heard:
        outcome.wrong.append("nothing is known of what the caller heard")
    return outcome


async def _played(there: Stage, said: Said, outcome: Outcome) -> float:
    """Play the call; returns the loop's time at which its own time began."""
    loop = asyncio.get_running_loop()
    try:
        await play(there, said)
    except StuckError:
        outcome.wrong.append("the call is stuck: it was not over 20 s after the caller had hung up")
    zero: float | None = there.call._zero_s
    return loop.time() if zero is None else zero


@contextlib.asynccontextmanager
async def _started(cell: Cell, folder: Path, database: Path, starting: asyncio.Lock) -> AsyncIterator[Stage]:
    """The stage of a cell, set up while no other is: a start takes the whole loop for a tenth of a second."""
    async with contextlib.AsyncExitStack() as stack:
        async with starting:
            there = await stack.enter_async_context(stage(cell, folder, database))
        yield there


async def _empty_database(folder: Path) -> Path:
    folder.mkdir()
    database = Database("", folder)
    await database.open()
    await database.close()
    return folder / FILE


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a journal."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()[1:]]
