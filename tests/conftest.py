"""What holds for every test: nothing of the developer's own settings, and an event loop that is never blocked."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from blockbuster import BlockBuster

WATCHED = (
    "time.sleep",
    "builtins.input",
    "socket.socket.connect",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.replace",
    "os.unlink",
    "io.BufferedRandom.read",
    "io.BufferedRandom.write",
    "io.BufferedReader.read",
    "io.BufferedWriter.write",
    "sqlite3.Connection.execute",
    "sqlite3.Connection.commit",
    "sqlite3.Cursor.execute",
)
"""Calls of ours that may wait for the disk, a peer or the clock. What the loop itself calls on each turn is left
alone: watching it would make every test slower and its times untrue."""


REAL_TIME = (
    "console/test_softphone_browser.py",
    "demo",
    "simulator/test_scenario_speech.py",
    "speech_server/test_stt_sockets.py",
    "stt/test_cartesia_manual.py",
    "test_speech_set.py",
    "test_two_people.py",
    "turn_taking",
)
"""Whole calls in real time, most of them with real speech recognition beside them. To a recogniser, a machine that
stands still for half a second is a speaker who pauses: so they run one after the other, whatever runs beside them,
and one that fails is tried again, twice at most. The summary of a run counts these as `rerun`."""

TRIED_AGAIN = (
    "console/test_live_pages.py",
    "console/test_past_pages.py",
    "stt/test_stitched_sessions.py",
    "turn_taking/test_faults.py",
    "turn_taking/test_speculation.py",
)
"""In real time as well, but with nothing beside them that listens: they may run beside anything."""


@pytest.hookimpl(tryfirst=True)  # before the marks are looked at by what runs tests side by side
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs in real time, and let everything else that fails be tried once more.

    Whatever passes only when it is tried again is counted as `rerun` and named in the summary of the run: it wants
    to be mended, but one moment of a busy machine must not stand for the whole run.
    """
    for item in items:
        beside_anything = _is_in(item.path, TRIED_AGAIN)
        in_real_time = beside_anything or _is_in(item.path, REAL_TIME)
        item.add_marker(pytest.mark.flaky(reruns=2 if in_real_time else 1, reruns_delay=2 if in_real_time else 0))
        if in_real_time and not beside_anything:
            item.add_marker(pytest.mark.xdist_group("real_time"))


def _is_in(path: Path, names: tuple[str, ...]) -> bool:
    rooms = [Path(__file__).parent / name for name in names]
    return any(path == room or room in path.parents for room in rooms)


@pytest.fixture(scope="session", autouse=True)
def _blocking_the_loop_fails() -> Iterator[None]:
    watch = BlockBuster("bridge")
    for name in WATCHED:
        # Small files, each read once before the bridge listens.
        function = watch.functions[name].can_block_in("bridge/local_token.py", {"local_token"})
        function.can_block_in("bridge/agents/flow/agent.py", {"check_file"}).activate()
    yield
    for name in WATCHED:
        watch.functions[name].deactivate()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Also holds for the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.upper().startswith(("BRIDGE_", "CARTESIA_", "OPENAI_")):
                patch.delenv(name)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Undoes what `configure_logging` does to the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
