"""Runs targets for so long, counts their cases, and keeps what failed."""

from __future__ import annotations

import resource
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.targets import Target

_LONGEST_S: Final = 1.0
"""Of the processor, for one case: what takes longer could be used to stop the bridge."""
_MOST_MB: Final = 300
"""How much a target may need beyond what the process had."""
_ROUND: Final = 1000


@dataclass
class Result:
    """What a target did."""

    name: str
    cases: int = 0
    raised: int = 0
    """Cases that ended in a declared error."""
    seconds: float = 0.0
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list)
    """For each, the smallest case and the traceback."""


class _SlowError(AssertionError):
    pass


def fuzz(target: Target, *, seconds: float = 0.0, examples: int = 0) -> Result:
    """Run a target for so many seconds, or so many examples (always the same), up to the first failure."""
    result = Result(target.name)
    begin, memory = time.monotonic(), _used_mb()
    last: list[Any] = [None]

    def one(case: Any) -> None:
        if seconds and time.monotonic() - begin > seconds:
            return
        last[0] = case
        result.cases += 1
        started = time.process_time()
        try:
            target.run(case)
        except target.raises:
            result.raised += 1
        took = time.process_time() - started
        result.slowest_s = max(result.slowest_s, took)
        if took > _LONGEST_S:
            raise _SlowError(f"{took:.1f} s of the processor for one case")

    options: dict[str, Any] = {
        "deadline": None,
        "database": None,
        "suppress_health_check": [*HealthCheck],
        "phases": [Phase.generate, Phase.shrink],
        "derandomize": not seconds,
        "max_examples": examples or _ROUND,
    }
    while not result.failures:
        try:
            settings(**options)(given(target.given)(one))()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            text = "".join(traceback.format_exception(error, limit=-6))
            result.failures.append(f"{last[0]!r}\n{text}")
        if not seconds or time.monotonic() - begin > seconds:
            break
    grown = _used_mb() - memory
    if grown > _MOST_MB:
        result.failures.append(f"{grown:.0f} MB more memory were needed")
    result.seconds = time.monotonic() - begin
    return result


def save(result: Result, folder: Path) -> None:
    """Keep what failed in a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for count, failure in enumerate(result.failures):
        (folder / f"{result.name.replace(' ', '-')}-{count}.txt").write_text(failure, "utf-8", "backslashreplace")


def _used_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
