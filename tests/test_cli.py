from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bridge.bench.figures import Level
from bridge.bench.run import BenchOptions, BenchRun, Cores
from bridge.bench.systems import System
from bridge.checks.local import Finding
from bridge.cli import cli, main
from bridge.errors import BridgeError, MissingExtraError, SettingsError
from bridge.local_token import state_folder
from bridge.process import guard, run
from bridge.settings import Settings
from bridge.settings.source import rows
from tests.bench.levels import level

pytestmark = pytest.mark.usefixtures("_empty_folder")

Serve = Callable[[Settings, Callable[[str], None]], Awaitable[None]]


@pytest.fixture
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bridge_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[Serve], None]:
    """Puts something else in the place of the bridge itself."""

    def put(serve: Serve) -> None:
        module = ModuleType("bridge.app")

        async def kept(settings: Settings, *, ready: Callable[[str], None], **_reloading: Any) -> None:
            await serve(settings, ready)

        module.serve = kept  # type: ignore[attr-defined]  # a module made by hand
        monkeypatch.setitem(sys.modules, "bridge.app", module)

    return put


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main([*arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


# --- help --------------------------------------------------------------------------------------------------


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--help") == 0
    out = capsys.readouterr().out
    for name in cli.commands:
        assert f"  {name} " in out
    assert "…" not in out
    assert "..." not in out.partition("Commands:")[2]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_each_command_has_a_help_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(name, "--help") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: phone-bridge {name}")
    assert len(out.splitlines()) > 6


def test_the_help_of_serve_tells_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    code_of("serve", "--help")
    out = " ".join(capsys.readouterr().out.split())
    for row in rows():
        assert f"[{row.section}]" in out
        assert f" {row.key} " in out
        assert row.about.replace("-", "") in out.replace("- ", "").replace("-", "")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--version") == 0
    assert capsys.readouterr().out == "phone-bridge, version 0.1.0\n"


def test_help_does_not_wait_for_slow_imports() -> None:
    script = (
        "import sys; from bridge.cli import main\n"
        "try: main(['demo', '--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'pydantic', 'aiohttp', 'structlog', 'twilio', 'websockets', 'numpy', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {slow}' if slow else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_m_bridge_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "phone-bridge, version 0.1.0\n")


# --- wrong arguments and settings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serv"], "No such command 'serv'"),
        (["serve", "--prot", "1"], "No such option"),
        (["serve", "--port", "70000"], "Invalid value for '--port'"),
        (["serve", "--config", "none.toml"], "'none.toml' does not exist"),
        (["speech", "--recognizer", "x"], "'moonshine', 'whisper'"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert line.endswith(" --help)")


def test_a_command_that_lacks_its_own_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("calls") == 2
    assert capsys.readouterr().err.startswith("Usage: phone-bridge calls [OPTIONS] COMMAND")


def test_wrong_settings_are_lines_without_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_SERVER__PRT", "1")
    monkeypatch.setenv("BRIDGE_LOG__LEVEL", "loud")

    assert code_of("serve") == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: BRIDGE_SERVER__PRT is not a setting: did you mean BRIDGE_SERVER__PORT?",
        "error: log.level (BRIDGE_LOG__LEVEL) is 'loud': wanted one of debug, info, warning, error",
    ]


# --- serving -----------------------------------------------------------------------------------------------


def test_serve_hands_the_settings_over_and_tells_its_address(
    bridge_is: Callable[[Serve], None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bridge.toml").write_text('[server]\nport = 9000\nhost = "0.0.0.0"\n')
    seen: list[Settings] = []

    async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
        seen.append(settings)
        ready("http://0.0.0.0:9001")

    bridge_is(serve)
    assert code_of("serve", "--port", "9001") == 0
    assert (seen[0].server.host, seen[0].server.port) == ("0.0.0.0", 9001)
    assert capsys.readouterr().out == "phone-bridge is ready at http://0.0.0.0:9001\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_told_to_stop_ends_well(bridge_is: Callable[[Serve], None], number: int) -> None:
    steps: list[str] = []

    async def serve(_settings: Settings, _ready: Callable[[str], None]) -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("calls ended")

    bridge_is(serve)
    assert code_of("serve") == 0
    assert steps == ["calls ended"]


def test_a_second_signal_cuts_the_clean_end_short(bridge_is: Callable[[Serve], None]) -> None:
    steps: list[str] = []

    async def serve(_settings: Settings, _ready: Callable[[str], None]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                await asyncio.Event().wait()  # calls that go on for ever
            finally:
                steps.append("cut")

    bridge_is(serve)
    assert code_of("serve") == 0
    assert steps == ["cut"]


def test_after_a_run_signals_mean_what_they_meant() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(asyncio.sleep(0))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_port_in_use_is_one_line(bridge_is: Callable[[Serve], None], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        async def serve(settings: Settings, _ready: Callable[[str], None]) -> None:
            await asyncio.start_server(lambda _r, _w: None, settings.server.host, settings.server.port)

        bridge_is(serve)
        assert code_of("serve", "--port", str(port)) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"error: port {port} on 127.0.0.1 is in use: stop what has it, or choose another --port"
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EADDRNOTAVAIL, "cannot bind"), "is no address of this machine: choose another --host"),
        (OSError(errno.EACCES, "cannot bind"), "needs rights that this user lacks: choose a --port from 1024 up"),
        (socket.gaierror(-2, "unknown"), "is no address or known name: choose another --host"),
    ],
)
def test_a_listener_that_cannot_be_opened(
    bridge_is: Callable[[Serve], None], capsys: pytest.CaptureFixture[str], error: OSError, words: str
) -> None:
    async def serve(_settings: Settings, _ready: Callable[[str], None]) -> None:
        raise error

    bridge_is(serve)
    assert code_of("serve") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_an_error_about_a_file_is_not_taken_for_one_about_the_port(
    bridge_is: Callable[[Serve], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(_settings: Settings, _ready: Callable[[str], None]) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "calls")

    bridge_is(serve)
    assert code_of("serve") == 1
    assert capsys.readouterr().err == "error: calls: Permission denied\n"


def test_several_processes_are_started_where_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[int, object]] = []

    async def supervise(
        settings: Settings, *, ready: Callable[[str], None], overrides: object, **_: object
    ) -> None:
        seen.append((settings.server.workers, overrides))
        ready("http://127.0.0.1:1")

    monkeypatch.setattr("bridge.workers.supervisor.supervise", supervise)
    monkeypatch.setenv("BRIDGE_API__TOKEN", "not for the list of processes")
    assert code_of("serve", "--workers", "3", "--port", "0") == 0
    assert seen == [(3, {"server": {"port": 0, "workers": 3}})]
    assert capsys.readouterr().out == "phone-bridge is ready at http://127.0.0.1:1\n"


def test_a_file_that_is_not_read_is_told(
    bridge_is: Callable[[Serve], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(_settings: Settings, _ready: Callable[[str], None]) -> None:
        pass

    bridge_is(serve)
    Path("config").mkdir()
    Path("config/bridge.toml").touch()
    Path("bridge.toml").touch()
    assert code_of("serve") == 0
    assert capsys.readouterr().err.startswith("warning: bridge.toml is not read")


# --- how errors end ----------------------------------------------------------------------------------------


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (SettingsError("one\ntwo"), 2, ["error: one", "error: two"]),
        (BridgeError("it failed", code="x"), 1, ["error: it failed"]),
        (
            MissingExtraError("local", "the demo"),
            1,
            ["error: the demo needs the 'local' extra: run  pip install 'phone-bridge[local]'"],
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 1, ["error: No space left on device"]),
        (KeyboardInterrupt(), 130, []),
    ],
)
def test_errors_become_lines_and_codes(
    error: BaseException, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert guard(raising(error)) == code
    assert capsys.readouterr().err.splitlines() == lines


def test_a_bug_is_one_line_and_its_traceback_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard(raising(ZeroDivisionError("oops"))) == 1
    kept = state_folder() / "last-error.txt"
    assert capsys.readouterr().err.splitlines() == [
        f"error: this is a bug in phone-bridge: ZeroDivisionError: oops; the traceback is in {kept}"
    ]
    assert "in work\n    raise error\nZeroDivisionError: oops" in kept.read_text()


def test_with_debug_the_traceback_is_shown(
    bridge_is: Callable[[Serve], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(_settings: Settings, _ready: Callable[[str], None]) -> None:
        raise ZeroDivisionError("oops")

    bridge_is(serve)
    assert code_of("--debug", "serve") == 1
    assert "Traceback (most recent call last):" in capsys.readouterr().err
    assert logging.getLogger().level == logging.DEBUG


def test_a_reader_that_went_away_is_no_bug() -> None:
    # `| head -1` closes our output while there is more to say than a pipe holds.
    script = "import sys; from bridge.process import guard; guard(lambda: [print(n) for n in range(10**6)] and 0)"
    done = subprocess.run(
        f"{sys.executable} -c '{script}' | head -1",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


# --- the other commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1])
def test_demo_needs_no_settings_and_gives_its_code(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    seen: list[tuple[Settings, Path]] = []
    module = ModuleType("bridge.demo")

    async def run_demo(settings: Settings, folder: Path, agent: str) -> int:
        assert agent == "python"
        seen.append((settings, folder))
        return code

    module.run_demo = run_demo  # type: ignore[attr-defined]  # a module made by hand
    monkeypatch.setitem(sys.modules, "bridge.demo", module)
    monkeypatch.setenv("BRIDGE_SPEECH__API_KEY", "sk_1")
    monkeypatch.setenv("BRIDGE_SERVER__PORT", "wrong")

    assert code_of("demo", "--folder", "here") == code
    settings, folder = seen[0]
    assert (settings.speech.base_url, folder) == ("local", Path("here"))


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 0), ("failed", 1)])
def test_doctor_fails_when_a_check_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: Any, code: int
) -> None:
    async def examine(_config: Path | None) -> list[Finding]:
        return [Finding("agent", status, "seen", "mend")]

    monkeypatch.setattr("bridge.command_line.doctor.examine", examine)
    assert code_of("doctor", "--json") == code
    assert json.loads(capsys.readouterr().out) == [
        {"check": "agent", "status": status, "message": "seen", "remedy": "mend"}
    ]


# --- measuring ---------------------------------------------------------------------------------------------


def measured(*, unanswered: int) -> Callable[..., Awaitable[BenchRun]]:
    """What stands in for a measurement, which would take its time."""

    async def run_bench(
        options: BenchOptions, _folder: Path, *, system: System, on_level: Callable[[Level], None]
    ) -> BenchRun:
        levels = [level(calls=calls, turns=7, unanswered=unanswered) for calls in options.calls]
        for one in levels:
            on_level(one)
        return BenchRun(levels, levels[-1].calls if options.ladder else None, None, Cores(), 0)

    return run_bench


@pytest.mark.parametrize(("unanswered", "code"), [(0, 0), (1, 1)])
def test_bench_shows_figures_and_fails_when_a_turn_went_unanswered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], unanswered: int, code: int
) -> None:
    monkeypatch.setattr("bridge.command_line.bench.run_bench", measured(unanswered=unanswered))
    assert code_of("bench", "--calls", "1,3", "--turns", "7", "--out", "figures.json") == code
    out = capsys.readouterr().out
    assert "1 call at once, 7 turns" in out
    assert "3 calls at once, 7 turns" in out
    assert ("FAILED" in out) == bool(unanswered)
    kept = json.loads(Path("figures.json").read_text())
    assert [level["calls"] for level in kept["levels"]] == [1, 3]


def test_bench_prints_one_json_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bridge.command_line.bench.run_bench", measured(unanswered=0))
    assert code_of("bench", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [level["calls"] for level in found["levels"]] == [1, 50]
    assert found["levels"][0]["figures"]["barge_in"]["p99"] == 2.0


def test_bench_gives_the_knee_of_a_ladder_its_runs_and_a_comparison(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bridge.command_line.bench.run_bench", measured(unanswered=0))
    ladder = ("bench", "--ladder", "--calls", "1,40", "--runs", "3")
    assert code_of(*ladder, "--out", "first.json") == 0
    assert "Knee: 40 calls sustained, 40 a core (each run: 40, 40, 40)." in capsys.readouterr().out
    assert code_of(*ladder, "--compare", "first.json") == 0
    assert capsys.readouterr().out.endswith("The same, within what chance does.\n")
    kept = json.loads(Path("first.json").read_text())
    assert (kept["knee"], kept["knees"], len(kept["runs"])) == (40, [40, 40, 40], 3)
    assert {"python", "aiohttp", "websockets", "uvloop", "phone-bridge"} <= kept["versions"].keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "stt.chunk_ms"), "--set is 'stt.chunk_ms'"),
        (("--system", "command"), "go together"),
        (("--command", "x"), "go together"),
        (("--system", "relay", "--set", "stt.chunk_ms=60"), "are for --system bridge"),
        (("--system", "relay", "--workers", "2"), "are for --system bridge"),
    ],
)
def test_bench_refuses_what_does_not_fit_together(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("bench", *arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("calls", ["", "1,", "x", "0", "5,-1", "1.5", "99999"])
def test_bench_wants_numbers_of_calls(calls: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("bench", "--calls", calls) == 2
    assert capsys.readouterr().err == f"error: --calls is {calls!r}: wanted numbers of calls such as 1,50\n"


def test_pacing_prints_a_line_for_each_lead(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("bench", "pacing", "--minutes", "0.25") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" s ")[0].strip() for line in lines[3:-1]] == ["0.2", "0.5", "1", "2", "3", "5", "10"]
    assert lines[-1].strip().startswith("no limit")

    assert code_of("bench", "pacing", "--minutes", "0.25", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["leads"]) == 8
