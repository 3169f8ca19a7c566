"""A demo in a process of its own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Demo:
    """A demo that was started when the first of them was asked for."""

    folder: Path
    process: subprocess.Popen[str]

    def ended(self) -> tuple[int, str, str]:
        """Wait for its end; return its exit code, what it showed, and what it complained of."""
        shown, complaints = self.process.communicate(timeout=280)
        return self.process.returncode, shown, complaints
