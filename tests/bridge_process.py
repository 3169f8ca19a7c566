"""`phone-bridge serve` as a process of its own, for whoever ends it or looks at it from outside."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
TOKEN = "0123456789abcdef0123456789abcdef"
"""The carrier's, unless the environment has another."""
_READY_S = 120.0
"""For starting on a machine that does much else."""


async def start_bridge(
    folder: Path, log: IO[Any] | None, *arguments: str, module: str = "bridge", **environment: str
) -> tuple[Process, str]:
    """Start a bridge in a folder, at any port that is free; returns the process and where it answers.

    It has the settings of `environment` and no others, and logs to `log`. `module` is run in place of the command.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    given = {"BRIDGE_SERVER__PORT": "0", "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "serve", *arguments),
        cwd=folder,
        env={**inherited, **given, **environment},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=log,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            line = (await process.stdout.readline()).decode()
        found = re.fullmatch(r"phone-bridge is ready at (\S+)\n", line)
        assert found, line or (await asyncio.to_thread(Path(log.name).read_text) if log else "it says why above")
    except BaseException:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    return process, found[1]
