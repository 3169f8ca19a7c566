"""What a bridge that has just started has not imported: each of these costs a start time, and memory for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import contextlib, functools, json, os, signal, sys
import bridge.process

def ready():
    names = sorted({name for name in sys.modules if sys.modules[name] is not None})
    print(json.dumps(names), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

start = bridge.process.end_start
bridge.process.end_start = lambda: (start(), ready())
import bridge.cli
bridge.cli.end_start = bridge.process.end_start
bridge.cli.main(["serve", "--port", "0"])
"""
"""Runs the command itself, and at the moment at which it is ready tells what is imported, and ends."""

_HEAVY = (
    "alembic",
    "asyncpg",
    "bridge.assembly.late_doors",
    "bridge.store.timeline",
    "av",
    "cryptography",
    "jsonschema",
    "moonshine_voice",
    "nats",
    "numpy",
    "opentelemetry",
    "pygments",
    "rapidfuzz",
    "regex",
    "requests",
    "resvg_py",
    "rich",
    "sqlalchemy",
    "twilio.rest",
    "yaml",
)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Start a bridge with speech and an agent elsewhere, and return what it has imported when it is ready."""
    folder: Path = tmp_path_factory.mktemp("lean")
    settings = {
        "BRIDGE_SPEECH__BASE_URL": "http://127.0.0.1:9",
        "BRIDGE_SPEECH__API_KEY": "test",
        "BRIDGE_AGENT__KIND": "webhook",
        "BRIDGE_AGENT__URL": "http://127.0.0.1:9/",
        "BRIDGE_TWILIO__ACCOUNT_SID": "AC" + "0" * 32,
        "BRIDGE_TWILIO__AUTH_TOKEN": "test",
        "BRIDGE_STORE__RECORDINGS": str(folder / "calls"),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_", "CARTESIA_"))}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=folder,
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    found: list[str] = json.loads(done.stdout.splitlines()[0])
    return set(found)


def test_start_is_seen_whole(imported: set[str]) -> None:
    """The list is taken where the bridge has been put together."""
    assert {"bridge.app", "bridge.twilio.rest", "structlog", "aiohttp.web"} <= imported


@pytest.mark.parametrize("name", _HEAVY)
def test_start_does_without(imported: set[str], name: str) -> None:
    """It comes with the first that needs it."""
    assert name not in imported
