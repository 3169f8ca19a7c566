"""A demo in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class Demo:
    """A demo that is started at once, so that several go on side by side."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """`folder` is for what it keeps; `arguments` go to `phone-bridge demo`."""
        self._tries = folder
        self._arguments = arguments
        self._told = False
        self._start("calls")

    def ended(self) -> tuple[int, str, str]:
        """Wait for its end; return its exit code, what it showed, and what it complained of.

        Asked once more, by a test that is tried again, it holds another call: the first would only say the same.
        """
        if self._told:
            self.kill()
            self._start("calls-again")
        self._told = True
        shown, complaints = self._process.communicate(timeout=140)
        return self._process.returncode, shown, complaints

    def kill(self) -> None:
        """End it, and close its pipes; one that has ended does not mind."""
        with self._process as process:
            process.kill()

    def _start(self, name: str) -> None:
        self.folder = self._tries / name
        command = [sys.executable, "-m", "bridge", "demo", "--folder", str(self.folder), *self._arguments]
        # What they show fits into a pipe that nobody reads yet.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
