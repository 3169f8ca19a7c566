"""The README is true: its commands, its examples, its settings and its map."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path

import pytest

from bridge.agents.flow.file import read_flow
from bridge.agents.flow.readers import READERS
from bridge.api.call_routes import NewCallBody, as_dict
from bridge.cli import cli
from bridge.conversation.commands import Command
from bridge.conversation.events import Event
from bridge.outbound.order import Order
from bridge.outbound.progress import OutboundCall
from bridge.settings.source import rows
from bridge.simulator import scenario, steps
from tests.agents.conformance import CASES
from tests.agents.drivers import ACTIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = README.split("## The map of the house")[1].split("\n## ")[0]


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_quick_start_holds_two_commands_the_demo_first() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", section("Quick start"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    assert blocks[0].strip().endswith("phone-bridge demo")
    assert "-m pytest -q" in blocks[1]


@pytest.mark.parametrize(
    "example", ["webhook_agent.py", "webhook_agent.mjs", "signature.py", "remembering_agent.py"]
)
def test_the_examples_stand_in_it_as_they_are_tested(example: str) -> None:
    assert (ROOT / "tests/agents/examples" / example).read_text(encoding="utf-8").rstrip() in README


def test_the_call_of_ours_it_shows_has_the_fields_that_the_api_answers() -> None:
    (text,) = re.findall(r"^```json\n(.*?)^```$", section("Calling out"), re.MULTILINE | re.DOTALL)
    order = Order("+15551234567", "+15550100002", {"customer": "4711"})
    call = OutboundCall("5c0f…", order, requested_at=0)
    assert list(json.loads(text)) == list(as_dict(call))
    fields = re.findall(r"^\| `(\w+)` \|", section("Calling out"), re.MULTILINE)
    assert set(fields) == {known.alias or name for name, known in NewCallBody.model_fields.items()}


def test_the_scenario_can_be_read() -> None:
    (text,) = re.findall(r"^```yaml\n(name: .*?steps:.*?)^```$", README, re.MULTILINE | re.DOTALL)
    read = scenario.parse(text, name="README", kind="yaml")
    assert (len(read.steps), set(read.parties)) == (9, {"+15553334444"})
    missing = [name for name in steps.NAMES if f"`{name}`" not in README and f"- {name}" not in text]
    assert missing == []


def test_the_table_of_kinds_and_actions_is_true_and_each_yes_leads_to_its_test() -> None:
    lines = [line for line in section("What each kind of agent can do").splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    actions = [name.strip("`") for name in header[1:]]
    assert actions == list(ACTIONS)
    linked = []
    for kind, *cells in rows:
        (name,) = re.findall(r"`(\w+)`", kind)
        for action, cell in zip(actions, cells, strict=True):
            case = f"{name}-{action}"
            if case not in CASES:
                assert cell == "no", case
                continue
            linked.append(case)
            assert cell == f"[yes](tests/agents/test_conformance.py#{case})"
    assert linked == list(CASES), "every kind has its row"
    test = (ROOT / "tests/agents/test_conformance.py").read_text(encoding="utf-8")
    assert "id=case) for case, (kind, name) in CASES.items()" in test, "those are its cases"


def test_the_flow_can_be_used() -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", section("Writing an agent"), re.MULTILINE | re.DOTALL)
    checked = read_flow(text, "README", lambda name: name == "chime.wav")
    assert checked.problems == ()
    assert checked.flow is not None


def test_every_step_of_flows_and_what_it_takes_is_in_it() -> None:
    """What a step takes is read off the complaint about a field that it does not know."""
    table = section("Writing an agent").split("| `do` | needs |")[1].split("\n\n")[0]
    for kind in READERS:
        text = f"steps:\n  a: {{do: {kind}, zzz: 1, hours: x}}\n"
        complaint = next(p.message for p in read_flow(text, "x").problems if "zzz" in p.message)
        (row,) = (line for line in table.splitlines() if f"`{kind}`" in line.split("|")[1])
        fields = set(complaint.split("what there is: ")[1].split(", ")) - {"do", "barge_in"}
        if "hang_up" in row:
            fields |= {"next"}
        missing = [field for field in sorted(fields) if f"`{field}`" not in row]
        assert missing == [], (kind, missing)


def test_every_setting_is_in_it() -> None:
    settings = section("Settings")
    missing = [row.key for row in rows() if f"| `{row.section}.{row.key}` | `BRIDGE_" not in settings]
    assert missing == []


def test_every_command_it_names_exists() -> None:
    named = set(re.findall(r"phone-bridge ([a-z]+)", README)) - {"connects", "is"}
    assert named <= set(cli.commands)


def test_every_file_and_folder_of_the_package_is_on_the_map() -> None:
    missing = []
    for path in sorted((ROOT / "bridge").iterdir()):
        if path.name == "py.typed" or path.name.startswith((".", "__init__", "__pycache__")):
            continue
        if not path.name.startswith("settings") and path.name.removesuffix(".py") not in MAP:
            missing.append(path.name)
    assert missing == []


def test_every_file_on_the_map_exists() -> None:
    named = set(re.findall(r"\b([a-z_]+\.py)\b", MAP))
    there = {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
    assert named <= there


def test_the_dictionary_is_whole() -> None:
    for kind in (*typing.get_args(Event), *typing.get_args(Command)):
        assert f"`{kind.__name__}`" in MAP, kind
