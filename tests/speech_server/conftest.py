"""A speech server for all tests of this room, and recorded speech."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bridge.audio import wav
from bridge.speech_server import samples


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server in its own process, started as people start it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge.speech_server", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("speech server ready on http://127.0.0.1:"), line
    yield line.split()[-1]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.fixture(scope="session")
def assets() -> Path:
    """The recordings inside the moonshine wheel."""
    spec = find_spec("moonshine_voice")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "assets"


@pytest.fixture(scope="session")
def sentence(assets: Path) -> bytes:
    """ "It was the age of foolishness" (Dickens, read by a man): mu-law, 8000 Hz, 1.8 s, no silence at its end."""
    recording = wav.parse((assets / "two_cities.wav").read_bytes(), name="two_cities.wav")
    rate = recording.sample_rate
    spoken = samples.to_floats(recording.data[2 * int(6.4 * rate) : 2 * int(8.2 * rate)])
    return samples.encode(samples.to_linear16(samples.resampled(spoken, rate, 8000)), "pcm_mulaw")
