from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bridge.cli import main
from bridge.errors import MissingExtraError
from bridge.local_token import local_token
from bridge.simulator.caller import CallEvent
from bridge.simulator.line import CallError
from bridge.simulator.report import Report
from bridge.simulator.run import CallOptions


def report(heard_s: float = 1.5, failures: tuple[str, ...] = ()) -> Report:
    return Report(
        call_sid="CA1",
        outcome="caller_hung_up",
        detail="",
        seconds=2.0,
        heard_s=heard_s,
        turns=(),
        interruptions=(),
        underruns=0,
        underrun_ms=0,
        marks=1,
        marks_cleared=0,
        clears=0,
        problems=(),
        failures=failures,
    )


@dataclass
class Simulator:
    """Stands where `run_call` is, and remembers what it was asked."""

    asked: list[CallOptions] = field(default_factory=list)
    result: Report = field(default_factory=report)
    events: tuple[CallEvent, ...] = ()
    error: CallError | None = None
    results: dict[str, Report | CallError] = field(default_factory=dict)
    """What becomes of certain scenarios, by the name of the file."""

    async def run_call(self, options: CallOptions, *, on_event: Callable[[CallEvent], None] | None) -> Report:
        self.asked.append(options)
        for event in self.events:
            if on_event is not None:
                on_event(event)
        result = self.results.get(options.scenario.name if options.scenario else "", self.error or self.result)
        if isinstance(result, CallError):
            raise result
        return result


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulator:
    monkeypatch.chdir(tmp_path)
    it = Simulator()
    monkeypatch.setattr("bridge.command_line.call.run_call", it.run_call)
    return it


def call(*arguments: str) -> Any:
    with pytest.raises(SystemExit) as end:
        main(["call", *arguments])
    return end.value.code


def test_the_options_reach_the_call(simulator: Simulator) -> None:
    for name in ("a.wav", "b.wav"):
        Path(name).touch()
    where = ("--url", "http://127.0.0.1:9000", "--auth-token", "hush")
    what = ("--wav", "a.wav", "--wav", "b.wav", "--record", "out.wav", "--timeout", "9.5")

    assert call(*where, *what, "--from", "+15550000001", "--to", "+15550000002") == 0
    (asked,) = simulator.asked
    assert asked.wavs == (Path("a.wav"), Path("b.wav"))
    assert (asked.record, asked.timeout_s, asked.scenario) == (Path("out.wav"), 9.5, None)
    line = asked.line
    assert (line.url, line.auth_token) == ("http://127.0.0.1:9000", "hush")
    assert (line.caller, line.called) == ("+15550000001", "+15550000002")
    assert line.report_status, "else the bridge never learns that a caller hung up on whom it was passed on to"


def test_requests_are_signed_with_the_best_token_there_is(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert call() == 2
    made = local_token().value
    assert call() == 0
    monkeypatch.setenv("BRIDGE_TWILIO__AUTH_TOKEN", "of the settings")
    assert call() == 0
    assert call("--auth-token", "of the option") == 0

    assert [asked.line.auth_token for asked in simulator.asked] == [made, "of the settings", "of the option"]


def test_without_a_token_the_remedy_is_told(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    assert call() == 2
    assert "Start  phone-bridge serve  on this machine first" in capsys.readouterr().err
    assert simulator.asked == []


def test_a_bridge_near_by_is_signed_for_as_the_public_knows_it(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_TWILIO__AUTH_TOKEN", "hush")
    monkeypatch.setenv("BRIDGE_SERVER__PUBLIC_URL", "https://voice.example.com")
    call("--url", "http://127.0.0.1:8080")
    call("--url", "https://other.example.com")

    assert [asked.line.public_url for asked in simulator.asked] == ["https://voice.example.com", ""]


@pytest.mark.parametrize(
    ("result", "wav", "code"),
    [
        (report(), False, 0),
        (report(heard_s=0), False, 1),
        (report(heard_s=0), True, 0),
        (report(failures=("a.wav was not answered within 20 s",)), True, 1),
    ],
)
def test_the_exit_code_tells_whether_it_went_well(
    simulator: Simulator, result: Report, wav: bool, code: int
) -> None:
    Path("a.wav").touch()
    simulator.result = result

    assert call("--auth-token", "hush", *(["--wav", "a.wav"] if wav else [])) == code


def test_json_is_all_there_is_on_standard_output(simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    simulator.result = report(heard_s=0)
    simulator.events = (CallEvent(0.0, "stream_started"),)

    assert call("--auth-token", "hush", "--json") == 1
    said = capsys.readouterr()
    assert (json.loads(said.out)["ok"], json.loads(said.out)["call_sid"]) == (False, "CA1")
    assert said.err == ""


def test_the_call_is_shown_as_it_goes_on(simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    simulator.events = (
        CallEvent(0.0, "twiml", "<Response/>"),
        CallEvent(0.0, "carrier_says", "hello"),
        CallEvent(0.0, "stream_started", "MZ1"),
        CallEvent(1.25, "mark", "1.1"),
        CallEvent(2.5, "agent_started"),
    )

    assert call("--auth-token", "hush") == 0
    said = capsys.readouterr()
    assert said.out.startswith("call CA1: caller_hung_up after 2.0 s")
    assert said.err.splitlines() == [
        "   0.00 s  carrier says    hello",
        "   0.00 s  stream started  MZ1",
        "   2.50 s  agent started",
    ]


def test_a_call_that_cannot_be_made_is_one_line(simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    simulator.events = (CallEvent(0.0, "problem", "no"), CallEvent(0.0, "call_ended", "failed no"))
    simulator.error = CallError("cannot reach it", code="bridge_unreachable")

    assert call("--auth-token", "hush") == 1
    assert capsys.readouterr().err == "error: cannot reach it\n"


def test_two_kinds_of_call_at_once(simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.wav").touch()
    Path("a.toml").touch()

    assert call("--auth-token", "hush", "--wav", "a.wav", "--scenario", "a.toml") == 2
    assert "give one of them" in capsys.readouterr().err
    assert simulator.asked == []


# --- several scenarios ---


@pytest.fixture
def scenarios(simulator: Simulator) -> Simulator:
    folder = Path("scenarios")
    folder.mkdir()
    for name in ("bad.yaml", "good.yaml", "lost.toml"):
        (folder / name).write_text("steps = []" if name.endswith(".toml") else "steps: []")
    simulator.results = {
        "bad.yaml": report(failures=("step 1 (expect_text): the agent said 'no <way>'\x07",)),
        "lost.toml": CallError("cannot reach it", code="bridge_unreachable"),
    }
    return simulator


def test_a_folder_is_called_one_after_the_other(scenarios: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--auth-token", "hush", "--scenario", "scenarios", "--scenario", "scenarios/good.yaml") == 1
    names = [asked.scenario.name for asked in scenarios.asked if asked.scenario]
    assert names == ["bad.yaml", "good.yaml", "lost.toml", "good.yaml"]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ") and "CA1" not in line] == [
        "FAILED scenarios/bad.yaml",
        "ok scenarios/good.yaml",
        "FAILED scenarios/lost.toml",
        "ok scenarios/good.yaml",
        "2 of 4 scenarios went as they should",
    ]
    assert "  FAILED cannot reach it" in lines


def test_junit_xml(scenarios: Simulator) -> None:
    assert call("--auth-token", "hush", "--scenario", "scenarios", "--junit", "report.xml", "--jobs", "3") == 1
    (suite,) = ET.parse("report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    bad, good, lost = suite
    (failure,) = bad.findall("failure")
    assert failure.get("message") == "step 1 (expect_text): the agent said 'no <way>'\ufffd"
    assert (good.get("name"), good.get("time"), len(good.findall("failure"))) == ("scenarios/good.yaml", "2.000", 0)
    (error,) = lost.findall("error")
    assert error.get("message") == "cannot reach it"


def test_json_of_several(scenarios: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--auth-token", "hush", "--scenario", "scenarios", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [(one["scenario"], one["ok"]) for one in told["scenarios"]] == [
        ("scenarios/bad.yaml", False),
        ("scenarios/good.yaml", True),
        ("scenarios/lost.toml", False),
    ]
    assert told["scenarios"][2]["error"] == "cannot reach it"


def test_recordings_of_several_go_into_a_folder(scenarios: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--auth-token", "hush", "--scenario", "scenarios", "--record", "out") == 2
    assert "need a folder" in capsys.readouterr().err
    Path("out").mkdir()
    call("--auth-token", "hush", "--scenario", "scenarios", "--record", "out")
    assert [asked.record for asked in scenarios.asked] == [
        Path(f"out/{name}.wav") for name in ("bad", "good", "lost")
    ]


def test_a_scenario_that_cannot_be_read_keeps_all_from_being_called(
    scenarios: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("scenarios/worse.yaml").write_text("steps:\n  - sing\n")
    assert call("--auth-token", "hush", "--scenario", "scenarios") == 2
    assert "scenario scenarios/worse.yaml, step 1 (line 2)" in capsys.readouterr().err
    assert scenarios.asked == []


class Server:
    url = "http://127.0.0.1:8090"

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


def test_a_local_speech_server_is_started_where_one_is_needed(
    scenarios: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers: list[Server] = []

    async def launch() -> Server:
        servers.append(Server())
        return servers[-1]

    monkeypatch.setattr("bridge.command_line.call.launch_local", launch)
    call("--auth-token", "hush", "--scenario", "scenarios")
    assert servers == [], "nobody says a text"
    Path("scenarios/good.yaml").write_text("steps: [say: hello]")
    call("--auth-token", "hush", "--scenario", "scenarios")
    assert [server.closed for server in servers] == [True]
    assert {asked.speech_url for asked in scenarios.asked[3:]} == {Server.url}
    call("--auth-token", "hush", "--scenario", "scenarios", "--speech", "https://speech.example.com")
    assert len(servers) == 1
    assert scenarios.asked[-1].speech_url == "https://speech.example.com"


def test_without_the_local_engine_the_remedy_is_told(
    scenarios: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def launch() -> Server:
        raise MissingExtraError("local", "the local speech server")

    monkeypatch.setattr("bridge.command_line.call.launch_local", launch)
    Path("scenarios/good.yaml").write_text("steps: [say: hello]")
    assert call("--auth-token", "hush", "--scenario", "scenarios") != 0
    assert "phone-bridge[local]" in capsys.readouterr().err
