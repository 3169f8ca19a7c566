"""The engine for asyncio, and what comes along with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import asyncio, json, pathlib, sys
import bridge.process
bridge.process.begin_start()
from bridge.store.sql.database import Database

async def main():
    database = Database("", pathlib.Path(sys.argv[1]))
    await database.open()
    import bridge.store.sql.calls, bridge.store.sql.keeper, bridge.store.sql.putting, bridge.store.sql.call_reader
    made = database.engine
    needless = [name for name in ("sqlalchemy.orm", "pygments") if name in sys.modules]
    await database.close()
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    print(json.dumps([needless, isinstance(made, AsyncEngine), AsyncSession.__name__]))

asyncio.run(main())
"""


def test_what_is_not_needed_stays_out_and_whoever_wants_it_gets_it_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=50, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [[], True, "AsyncSession"]
