"""What holds for every test: nothing of the developer's own settings, and an event loop that is never blocked."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from blockbuster import BlockBuster
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# Tests start many processes, and each would otherwise compile the whole bridge anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# jsonschema, which checks what a model passes to its tools, would build a grammar of addresses with each start,
# for seconds, in every process that runs tests. Nothing asks for it: it came with what lists the packages.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # what makes its import fail

HERE = Path(__file__).parent

# Every run tries the same cases, so that a change is judged by itself, and takes the time that the machine needs.
# `--hypothesis-profile=default` makes up new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

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


REAL_TIME = {
    "real_time": (
        "console/test_softphone_browser.py",
        "simulator/test_scenario_speech.py",
        "speech_server/test_stt_sockets.py",
        "stt/test_cartesia_manual.py",
        "test_speech_set.py",
        "test_two_people.py",
    ),
    "real_time_too": ("demo", "turn_taking"),
}
"""Whole calls in real time, most of them with real speech recognition beside them, in two groups of about the same
length. To a recogniser, a machine that stands still for half a second is a speaker who pauses: so the tests of a
group run one after the other, and before whatever else runs beside them (`LESS_URGENT`)."""

EARLY = (
    "console/test_live_pages.py",
    "console/test_past_pages.py",
    "console/test_softphone_page.py",
    "speech_server/test_worker.py",
    "workers/test_calls.py",
)
"""Long modules whose tests share what takes long to start: a browser, a recogniser, a bridge with its workers."""

ONE_BY_ONE = (
    "agent_check/test_command.py",
    "agents/test_entry_points.py",
    "api/test_control_routes.py",
    "api/test_schemathesis.py",
    "audio/test_vad.py",
    "bench",
    "console/test_softphone_sound.py",
    "conversation/test_properties.py",
    "simulator/test_run.py",
    "speech_server/test_launch.py",
    "store/sql/test_database.py",
    "store/sql/test_erasing.py",
    "store/sql/test_keeper.py",
    "store/sql/test_killed.py",
    "store/sql/test_outage.py",
    "store/test_compress.py",
    "stt/test_stitched_sessions.py",
    "test_calls.py",
    "command_line/test_calls.py",
    "command_line/test_dial.py",
    "test_flow_calls.py",
    "test_keys.py",
    "test_privacy.py",
    "test_relay_calls.py",
    "test_transfers.py",
    "turn_taking/test_faults.py",
    "turn_taking/test_interrupting.py",
    "turn_taking/test_speculation.py",
    "turn_taking/test_unbroken_turns.py",
)
"""What takes eight seconds and more, most of it in whole calls: each of their tests goes to whichever process is
free, and before the short ones, so that no process is left with a long one when the others have nothing more to do.
The tests of any other module go to a process together: to hand out thousands one by one takes longer than to run
them."""

LESS_URGENT = 10
"""How nice the other processes are where tests run side by side: nicer than the recogniser makes itself."""

BESIDE_ANYTHING = (
    "turn_taking/test_faults.py",
    "turn_taking/test_interrupting.py",
    "turn_taking/test_speculation.py",
    "turn_taking/test_unbroken_turns.py",
)
"""In real time as well, but with nothing beside them that listens."""

CERTAIN = (
    "audio",
    "conversation",
    "privacy",
    "settings",
    "test_imports.py",
    "test_opening_hours.py",
    "test_readme.py",
    "test_threats.py",
)
"""What waits for nothing, neither a clock nor a peer: a test of these that fails once has failed."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage neither while thousands of tests are made ready nor, afterwards, among them.

    Nothing of that is garbage, and to look at it again and again took half of the time that all of this takes.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let each of the processes that run tests side by side begin to import the tests at another place.

    To make tests ready (pytest writes their assertions anew) takes longer than to import them after that, and what
    one process has made ready the others find made.
    """
    report = yield
    if collector.path == HERE and report.result:
        number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        first = len(report.result) * number // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        report.result = [*report.result[first:], *report.result[:first]]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first, and let what fails be tried again where it waits for something.

    Whatever passes only when it is tried again is counted as `rerun` and named in the summary of the run: it wants
    to be mended, but one moment of a busy machine must not stand for the whole run.
    """
    items.sort(key=lambda item: (_place(item.path), _group(item.path) or "", str(item.path)))
    for item in items:
        if not _is_in(item.path, CERTAIN):
            item.add_marker(pytest.mark.flaky(reruns=3, reruns_delay=2))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Hand out the tests by group, in the order in which they were collected."""
    config.option.loadscopereorder = False
    return _ByGroup(config, log)


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Not by `xdist_group` and `--dist loadgroup`: with pytest 9.2, xdist 3.8 knows no groups, and says nothing."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(HERE.parent / nodeid.partition("::")[0]) or nodeid


@cache
def _group(path: Path) -> str | None:
    """What the tests of a module run in one process with; None where each may run in any."""
    if not _is_in(path, BESIDE_ANYTHING):
        for group, names in REAL_TIME.items():
            if _is_in(path, names):
                return group
    return None if _is_in(path, ONE_BY_ONE) else str(path)


@cache
def _place(path: Path) -> int:
    """Whole groups of long tests first, then long tests, then the others."""
    if _group(path) in REAL_TIME:
        return 0
    return 1 if _is_in(path, EARLY) else 2 if _is_in(path, ONE_BY_ONE) else 3


def _is_in(path: Path, names: tuple[str, ...]) -> bool:
    return not _rooms(path).isdisjoint(names)


@cache
def _rooms(path: Path) -> frozenset[str]:
    """A module, and the folders that it is in, as the lists name them."""
    return frozenset(str(room.relative_to(HERE)) for room in (path, *path.parents) if room.is_relative_to(HERE))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let what listens in real time go before what runs beside it.

    A process can only ever become less urgent, and what listens in real time comes first: so this one becomes that
    with the first test that is another, and so do the processes that its tests start.
    """
    if "PYTEST_XDIST_WORKER" in os.environ and _group(item.path) not in REAL_TIME and os.nice(0) < LESS_URGENT:
        os.nice(LESS_URGENT - os.nice(0))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let what counts the tries of a test send without waiting.

    Before each test it sends two small messages to the process that started this one. The second waited for the
    receipt of the first (Nagle's algorithm), which took 40 ms: longer than most tests.
    """
    counts = getattr(session.config, "failures_db", None)  # of pytest-rerunfailures
    if isinstance(sock := getattr(counts, "sock", None), socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


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


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undoes what `configure_logging` does to the whole process, or what other tests look for is not logged."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.is_configured():
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()
