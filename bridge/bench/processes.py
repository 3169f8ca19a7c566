"""What processes use of the machine, read from `/proc`: None, or nothing, where there is no such thing.

Processor time is the kernel's own account (`schedstat`), in ns and by thread, so that threads and child processes
are in it and nothing has to be sampled. Memory is RSS, and PSS, in which pages that several processes share count
once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Thread:
    """What one thread has had since it began."""

    used_s: float
    """On a processor."""
    waited_s: float
    """Ready to run, but not on one."""
    main: bool
    """Whether it is its process's first: the one with the event loop."""


Usage = Mapping[int, Thread]
"""By thread id."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What happened between two looks."""

    cpu_s: float
    """Of all threads and processes."""
    loop_cpu_s: float
    """Of the first thread of each process alone."""
    loop_waited_s: float
    """How long these were ready, but not on a processor."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    rss: int
    pss: int


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        try:
            # The name stands in brackets and may hold anything.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found.extend(parents.get(one, ()))
    return found


def usage(pids: Iterable[int]) -> Usage | None:
    """What the threads of these processes have used."""
    found: dict[int, Thread] = {}
    for pid in pids:
        for task in (_PROC / str(pid) / "task").glob("*"):
            try:
                used, waited, *_ = map(int, (task / "schedstat").read_text().split())
            except (OSError, ValueError):
                continue
            found[int(task.name)] = Thread(used / 1e9, waited / 1e9, int(task.name) == pid)
    return found or None


def spent(before: Usage | None, after: Usage | None) -> Spent | None:
    """The difference. Threads that have ended meanwhile are not in it."""
    if before is None or after is None:
        return None
    none = Thread(0.0, 0.0, main=False)
    pairs = [(before.get(number, none), thread) for number, thread in after.items()]
    return Spent(
        cpu_s=sum(new.used_s - old.used_s for old, new in pairs),
        loop_cpu_s=sum(new.used_s - old.used_s for old, new in pairs if new.main),
        loop_waited_s=sum(new.waited_s - old.waited_s for old, new in pairs if new.main),
    )


def memory(pids: Iterable[int]) -> Memory | None:
    """What these processes hold together. Reading it stops each of them for a few ms."""
    rss = pss = 0
    for pid in pids:
        try:
            lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        sizes = {line.partition(":")[0]: line.split()[1] for line in lines[1:]}
        rss += 1024 * int(sizes.get("Rss", 0))
        pss += 1024 * int(sizes.get("Pss", 0))
    return Memory(rss, pss) if rss else None


def busy_s(cores: Iterable[int]) -> float | None:
    """How long these cores have been busy with anything since the machine started, all together."""
    try:
        lines = (_PROC / "stat").read_text().splitlines()
    except OSError:
        return None
    wanted = {f"cpu{core}" for core in cores}
    total = 0.0
    for line in lines:
        name, *ticks = line.split()
        if name in wanted:
            user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, ticks)
            total += (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return total
