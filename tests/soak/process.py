"""A real `phone-bridge serve`, and what can be seen of it from outside. Linux only."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from tests.bridge_process import start_bridge

_FAULTS: Final = re.compile(
    r"Traceback|task_failed|call_failed|call_end_failed|attendant_failed"
    r"|was destroyed|never retrieved|never awaited"
)
"""What no bridge may ever write to its log."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a process stands."""

    rss_mb: float
    pss_mb: float
    own_mb: float
    """What it has of memory but its files: those come and go as others use them, too."""
    files: int
    """Open file descriptors, sockets among them."""
    sockets: int
    threads: int
    calls: int
    """Live ones, as its metrics tell."""

    def __str__(self) -> str:
        return (
            f"RSS {self.rss_mb:.1f} MB, PSS {self.pss_mb:.1f} MB, own {self.own_mb:.1f} MB, "
            f"{self.files} files, {self.sockets} sockets, {self.threads} threads, {self.calls} live calls"
        )


@dataclass
class Process:
    """The command, while it runs."""

    pid: int
    url: str
    log: Path
    task_file: Path
    garbage_file: Path
    running: asyncio.subprocess.Process

    async def look(self, session: aiohttp.ClientSession) -> Look:
        """Look at it now."""
        async with session.get(self.url + "/metrics") as response:
            live = re.findall(r"^phone_bridge_live_calls(?:\{[^}]*\})? (\S+)", await response.text(), re.MULTILINE)
        return await asyncio.to_thread(self._look, int(sum(map(float, live))))

    def faults(self) -> list[str]:
        """Return what its log tells of that nobody has handled."""
        return [line for line in self.log.read_text("utf-8", "replace").splitlines() if _FAULTS.search(line)]

    def tasks(self) -> dict[str, int] | None:
        """Return how many tasks its event loop had when it stopped, by name; None: that is not known yet."""
        if not self.task_file.exists():
            return None
        pairs = (line.rsplit(" ", 1) for line in self.task_file.read_text("utf-8").splitlines() if line)
        return {name: int(count) for name, count in pairs}

    def garbage(self) -> int | None:
        """Return how many objects its collector has had to find by now; None: that is not known yet."""
        return int(self.garbage_file.read_text("utf-8")) if self.garbage_file.exists() else None

    def _look(self, calls: int) -> Look:
        process = Path(f"/proc/{self.pid}")
        memory = (process / "smaps_rollup").read_text()
        kilobytes = dict(re.findall(r"^(Rss|Pss|Anonymous):\s+(\d+) kB", memory, re.MULTILINE))
        rss, pss, own = (int(kilobytes[name]) for name in ("Rss", "Pss", "Anonymous"))
        targets = []
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                targets.append(str(link.readlink()))
        sockets = sum(target.startswith("socket:") for target in targets)
        threads = len([*(process / "task").iterdir()])
        return Look(rss / 1024, pss / 1024, own / 1024, len(targets), sockets, threads, calls)


@contextlib.asynccontextmanager
async def bridge_process(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Process]:
    """Run the command for the length of the block; it is stopped as an operator does."""
    log, tasks, garbage = folder / "log", folder / "tasks", folder / "garbage"
    environment = {
        "BRIDGE_STORE__RECORDINGS": str(folder / "calls"),
        "BRIDGE_AGENT__UNDELIVERED": str(folder / "undelivered"),
        "BRIDGE_LOG__LEVEL": "warning",
        "BRIDGE_LOG__FORMAT": "json",
        "BRIDGE_SERVER__DRAIN_SECONDS": "5",
        "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONASYNCIODEBUG": "",
        "COUNT_TASKS_TO": str(tasks),
        "COUNT_GARBAGE_TO": str(garbage),
        **settings,
    }
    with log.open("wb") as errors:
        process, url = await start_bridge(folder, errors, module="tests.soak.served", **environment)
    try:
        yield Process(process.pid, url, log, tasks, garbage, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
