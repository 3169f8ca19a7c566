"""`phone-bridge` as it is, but for two signals that let it write down what it has.

SIGUSR1: how many tasks, by what they are for. SIGUSR2: how many objects the collector had to find.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
from collections import Counter
from pathlib import Path

from bridge.cli import main
from bridge.workers import alone

_NUMBERS = re.compile(r"[0-9a-f]{8,}|\d+|(CA|MZ)\w+")


def count_tasks() -> None:
    """Write the tasks of the running loop to the file that the environment names."""
    names = Counter(_NUMBERS.sub("…", task.get_name()) for task in asyncio.all_tasks())
    _write("COUNT_TASKS_TO", "".join(f"{name} {count}\n" for name, count in sorted(names.items())))


def count_garbage() -> None:
    """Write how many objects were not gone when nobody held them any more, those included that are found now."""
    gc.unfreeze()  # What the process has put aside was not looked through.
    gc.collect()
    _write("COUNT_GARBAGE_TO", str(_found() - _before))


def _found() -> int:
    return sum(generation["collected"] for generation in gc.get_stats())


def _write(variable: str, text: str) -> None:
    file = Path(os.environ[variable])
    half = file.with_suffix(".part")
    half.write_text(text, "utf-8")
    half.replace(file)


_listen = alone.Alone.listen
_before = 0
"""How many were found of what the imports had left."""


async def listen(self, *given):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN201  as the one it stands for
    global _before  # noqa: PLW0603  Of the one process that this is.
    gc.collect()
    _before = _found()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, count_tasks)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, count_garbage)
    return await _listen(self, *given)


alone.Alone.listen = listen  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
