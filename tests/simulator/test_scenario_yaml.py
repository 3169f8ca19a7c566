from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.simulator import scenario_files
from bridge.simulator.scenario import find, load, parse
from bridge.simulator.steps import (
    Digits,
    ExpectDigits,
    ExpectText,
    ExpectTransfer,
    HangUp,
    Interrupt,
    Pause,
    Say,
    Step,
    WaitForAgent,
)


def steps(text: str) -> tuple[Step, ...]:
    return parse(text, name="call.yaml", kind="yaml").steps


def test_short_and_long_forms() -> None:
    text = """
    name: opening hours
    steps:
      - wait_for_agent
      - say: When are you open?
      - say: {wav: a.wav, silence_ms: 20}
      - pause: 500
      - interrupt: {text: Stop, when_agent_says: "nine|ten"}
      - digits: "1#"
      - expect_text: open at nine
        within_ms: 3000
      - expect_digits: "42"
      - {do: expect_transfer, to: '\\+1555.*', status: busy}
      - hang_up:
    """
    expected = (
        WaitForAgent(),
        Say(text="When are you open?"),
        Say(wav="a.wav", silence_ms=20),
        Pause(ms=500),
        Interrupt(text="Stop", when_agent_says="nine|ten"),
        Digits(keys="1#"),
        ExpectText(matches="open at nine", within_ms=3000),
        ExpectDigits(keys="42"),
        ExpectTransfer(to=r"\+1555.*", status="busy"),
        HangUp(),
    )
    assert steps(text) == expected


def test_parties() -> None:
    text = """
    steps: []
    parties:
      "+15553334444": busy
      "sip:a@b.example":
        after_ms: 500
        answered_by: machine_start
        does: [{digits: "1"}, {say: Hello}, hang_up]
    """
    scenario = parse(text, name="call.yaml", kind="yaml")
    assert scenario.parties["+15553334444"].answer == "busy"
    sip = scenario.parties["sip:a@b.example"]
    assert (sip.answer, sip.after_ms, sip.answered_by) == ("answers", 500, "machine_start")
    assert sip.does == (Digits(keys="1"), Say(text="Hello"), HangUp())
    assert scenario.texts == {"Hello"}
    assert scenario.needs_speech


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps:\n  - hang_up\n  - sing: 3\n", "step 2 (line 3): a step has do"),
        ("steps:\n  - say: hello\n    pause: 3\n", "step 1 (line 2): a step has do, or begins with one of"),
        (
            "steps:\n\n  - digits: 12\n",
            "step 1 (line 3): Expected `str`, got `int` - at `$.steps[0].keys`; put it in",
        ),
        ("steps:\n  - expect_text: '('\n", "line 2): '(' is no regular expression"),
        ("steps:\n  - interrupt: {after_ms: 5}\n", "interrupt needs wav or text"),
        ("steps:\n  - say: {wav: a, text: b}\n", "give one of them"),
        ("steps:\n  - hang_up: now\n", "hang_up takes nothing behind it"),
        ("steps:\n  - 5\n", "expected a step, got 5"),
        ("steps:\n  - say: [a\n", "line 3: "),
        ("steps: []\nparties: {15553334444: busy}\n", "party 15553334444: put the number in quotes"),
        ("steps: []\nparties: {'+1': {does: [drop_stream]}}\n", "party +1"),
        ("steps: []\nparties: {'+1': asleep}\n", "asleep"),
        ("steps: []\nvoices: 3\n", "'voices'"),
        ("- a\n", "expected a table"),
        ("name: 5\nsteps: []\n", "name is 5"),
        ("from: +15550100001\nsteps: []\n", "from is 15550100001: put it in quotes"),
        ("steps: []\ncarrier: {jitter_ms: 5}\n", "carrier: Object contains unknown field `jitter_ms`"),
        ("steps:\n  - !!python/object:os.system {}\n", "could not determine a constructor"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_step_and_line(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text, name="call.yaml", kind="yaml")
    assert says in caught.value.message
    assert caught.value.message.startswith("scenario call.yaml")
    assert "\n" not in caught.value.message


def test_a_folder_of_scenarios(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.toml", "d.json", "hello.wav", "README.md"):
        (tmp_path / name).write_text('{"steps": []}' if name == "d.json" else "steps = []")
    (tmp_path / "more.yaml").mkdir()
    assert [path.name for path in find(tmp_path)] == ["a.yml", "b.yaml", "c.toml", "d.json"]
    assert find(tmp_path / "c.toml") == [tmp_path / "c.toml"]
    assert load(tmp_path / "d.json").steps == ()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SettingsError, match="holds no scenario"):
        find(empty)


def test_a_tag_that_makes_no_sense_is_told_in_a_line() -> None:
    with pytest.raises(ValueError, match=r"groupdict|timestamp"):
        scenario_files.read("steps: !!timestamp soon", "yaml")


def test_a_step_that_grows_by_its_aliases_is_not_written_out() -> None:
    lists = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    values = scenario_files.read(f"a0: &a0 [x]\n{lists}steps: [*a8]\n", "yaml").values
    with pytest.raises(ValueError, match="expected a step, got") as raised:
        scenario_files.step_table(values["steps"][0])
    assert len(str(raised.value)) < 300
