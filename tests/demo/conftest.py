"""Both demos as a user runs them. They last as long as their calls do, so they run side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from tests.demo.running import Demo


@pytest.fixture(scope="session")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Demo]]:
    """The demo of the built-in agent (`python`) and that of the sample flow (`flow`)."""
    started = {}
    for agent in ("python", "flow"):
        folder = tmp_path_factory.mktemp(f"demo-{agent}") / "calls"
        more = ["--agent", "flow"] if agent == "flow" else []
        command = [sys.executable, "-m", "bridge", "demo", "--folder", str(folder), *more]
        # What they show fits into a pipe that nobody reads yet.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started[agent] = Demo(folder, process)
    yield started
    for demo in started.values():
        with demo.process as process:
            process.kill()  # of a test that failed; one that ended does not mind
