"""On what a measurement was made: versions, processor, kernel."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = ("phone-bridge", "aiohttp", "websockets", "uvloop", "msgspec")


def machine() -> dict[str, Any]:
    """The machine as JSON."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
    }


def versions() -> dict[str, str | None]:
    """Of Python and of what the bridge stands on; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
