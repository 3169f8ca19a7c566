from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.local_token import local_token
from bridge.simulator.caller import CallEvent
from bridge.simulator.line import CallError
from bridge.simulator.report import Report
from bridge.simulator.run import CallOptions

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


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

    async def run_call(self, options: CallOptions, *, on_event: Callable[[CallEvent], None] | None) -> Report:
        self.asked.append(options)
        for event in self.events:
            if on_event is not None:
                on_event(event)
        if self.error is not None:
            raise self.error
        return self.result


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulator:
    monkeypatch.chdir(tmp_path)
    it = Simulator()
    monkeypatch.setattr("bridge.cli_call.run_call", it.run_call)
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
