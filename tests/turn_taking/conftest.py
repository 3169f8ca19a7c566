"""The local speech server, once for all tests of turn-taking, and a relay in front of it."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tests.turn_taking.speech_relay import SpeechRelay


@pytest.fixture(scope="session")
def speech_url() -> Iterator[str]:
    """Where it listens: a process of its own, started as people start it."""
    command = [sys.executable, "-m", "bridge.speech_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("speech server ready on http://127.0.0.1:"), line
        try:
            yield line.split()[-1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)


@pytest.fixture
async def relay(speech_url: str) -> AsyncIterator[SpeechRelay]:
    """In front of the speech server."""
    async with SpeechRelay(speech_url).running() as relaying:
        yield relaying


@pytest.fixture(autouse=True)
def _quiet_log() -> None:
    """Keep the log of these many calls, whose faults are meant, from hiding the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
