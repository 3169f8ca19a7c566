"""The settings of `openai` agents: their lists of tables, their secrets, and what becomes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.agents.openai.chat import OpenAIAgent
from bridge.agents.openai.tools import Toolbox
from bridge.assembly.profiles import Profiles, tool_options
from bridge.errors import SettingsError
from bridge.metrics import Metrics
from bridge.settings import Settings
from bridge.settings.agents import targets_by_name
from bridge.settings.source import load_settings
from tests.assembly.test_profiles import openers

TOOLS = """
[agent]
kind = "openai"

[openai]
api_key = "sk-file"
transfer_targets = ["sales=+1 555 123 4567", "desk=sip:desk@example.com"]

[[openai.tools]]
name = "opening_hours"
description = "Looks up when a shop is open."
url = "https://api.example.com/shops/{shop}/hours"
method = "GET"
headers = { Authorization = "Bearer hush" }

[openai.tools.parameters]
type = "object"
required = ["shop"]
properties = { shop = { type = "string" } }

[[openai.tools]]
name = "book"
description = "Books a table."
url = "https://api.example.com/bookings"
"""


def load(folder: Path, toml: str = "", **environment: str) -> Settings:
    path = folder / "bridge.toml"
    path.write_text(toml, encoding="utf-8")
    return load_settings(path, environment=environment)


def mistakes(folder: Path, toml: str, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(folder, toml, **environment)
    return refused.value.message.splitlines()


def test_a_model_with_its_tools(tmp_path: Path) -> None:
    settings = load(tmp_path, TOOLS)
    assert settings.agent.url == "https://api.openai.com/v1"
    hours, book = settings.openai.tools
    assert (hours.method, hours.parameters["required"], hours.timeout_seconds) == ("GET", ["shop"], 5)
    assert (book.method, book.parameters) == ("POST", {"type": "object", "properties": {}})
    assert targets_by_name(settings.openai.transfer_targets) == {
        "sales": "+15551234567",
        "desk": "sip:desk@example.com",
    }


def test_secrets_of_tools_are_masked_in_logs_and_not_printed(tmp_path: Path) -> None:
    settings = load(tmp_path, TOOLS)
    assert {"sk-file", "Bearer hush", "hush"} <= set(settings.secret_values())
    assert "hush" not in repr(settings)
    assert "sk-file" not in repr(settings)


@pytest.mark.parametrize(
    ("toml", "environment", "key"),
    [
        ("", {"OPENAI_API_KEY": "sk-env"}, "sk-env"),
        ('[openai]\napi_key = "sk-file"\n', {"OPENAI_API_KEY": "sk-env"}, "sk-file"),
        ("", {"OPENAI_API_KEY": "sk-env", "BRIDGE_OPENAI__API_KEY": "sk-own"}, "sk-own"),
        ("", {"OPENAI_API_KEY": ""}, ""),
    ],
)
def test_the_key_of_the_sdk_is_taken_where_there_is_no_other(
    tmp_path: Path, toml: str, environment: dict[str, str], key: str
) -> None:
    assert load(tmp_path, toml, **environment).openai.api_key.get_secret_value() == key


def test_tools_and_targets_from_the_environment(tmp_path: Path) -> None:
    tools = json.dumps([{"name": "a", "description": "b", "url": "http://h/"}])
    settings = load(
        tmp_path,
        BRIDGE_OPENAI__TOOLS=tools,
        BRIDGE_OPENAI__TRANSFER_TARGETS="sales=+15551234567, desk=sip:d@h",
        BRIDGE_OPENAI__ACTIONS="transfer, note",
    )
    assert [tool.name for tool in settings.openai.tools] == ["a"]
    assert settings.openai.actions == ("transfer", "note")
    assert list(targets_by_name(settings.openai.transfer_targets)) == ["sales", "desk"]


TOOL = '[[openai.tools]]\nname = "a"\ndescription = "b"\nurl = "http://h/"\n'


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (TOOL + 'methd = "GET"\n', "methd in [[openai.tools]] table 1 of "),
        (TOOL + 'methd = "GET"\n', "did you mean method?"),
        (TOOL + TOOL + "timeout_seconds = 0\n", "openai.tools (BRIDGE_OPENAI__TOOLS), 2.timeout_seconds is 0: "),
        (TOOL + 'method = "FETCH"\n', "1.method is 'FETCH': Input should be 'GET', 'POST'"),
        ('[[openai.tools]]\nname = "a"\ndescription = "b"\n', "1.url: Field required"),
        ('[openai]\ntools = "x"\n', "openai.tools (BRIDGE_OPENAI__TOOLS) is 'x': wanted a JSON array of objects"),
        ("[openai]\ntools = 3\n", "openai.tools (BRIDGE_OPENAI__TOOLS) is 3: wanted a list of tables"),
        ('[openai]\nactions = ["fly"]\n', "'fly' is none: wanted some of transfer, hang_up"),
        ('[openai]\ntransfer_targets = ["sales"]\n', "'sales': wanted name=number, such as sales=+15551234567"),
        ('[openai]\ntransfer_targets = ["a=+15551234567", "a=+15551234568"]\n', "each name once"),
        ('[openai]\ntransfer_targets = ["a=555"]\n', "wanted a number such as +15551234567"),
        ('[openai]\ntransfer_targets = ["a=client:ann"]\n', "wanted a number such as +15551234567"),
        ("[openai]\nmax_token = 3\n", "did you mean openai.max_tokens?"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, toml: str, told: str) -> None:
    (line,) = mistakes(tmp_path, toml)
    assert told in line


def test_a_wrong_header_is_not_repeated(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, TOOL + "headers = { Authorization = 12345 }\n")
    assert "1.headers.Authorization: " in line
    assert "12345" not in line


@pytest.fixture
def with_tools(tmp_path: Path) -> Settings:
    return load(tmp_path, TOOLS)


@pytest.fixture
def with_a_wrong_tool(tmp_path: Path) -> Settings:
    return load(tmp_path, TOOLS.replace('name = "book"', 'name = "note"'))


def profiles(settings: Settings) -> Profiles:
    return Profiles(settings, openers(), Metrics())


async def test_the_settings_reach_the_agent(with_tools: Settings) -> None:
    up = profiles(with_tools)
    agent: Any = up.of("+1").peers.agent
    assert isinstance(agent, OpenAIAgent)
    options = agent._options
    assert (options.api_key, options.targets["sales"], options.greets) == ("sk-file", "+15551234567", True)
    assert options.tools[0].headers == {"Authorization": "Bearer hush"}
    await up.close()


@pytest.fixture
def with_a_look_up(tmp_path: Path) -> Settings:
    return load(tmp_path, TOOLS.partition('[[openai.tools]]\nname = "book"')[0])


async def test_a_model_whose_tools_change_something_is_not_asked_before_the_turn_is_over(
    with_tools: Settings, with_a_look_up: Settings
) -> None:
    for settings, eager in ((with_tools, False), (with_a_look_up, True)):
        up = profiles(settings)
        assert up.of("+1").policy.eager is eager
        await up.close()


async def test_tools_that_cannot_work_are_told_before_the_first_call(with_a_wrong_tool: Settings) -> None:
    with pytest.raises(SettingsError, match=r"openai\.tools, note: an action has that name"):
        profiles(with_a_wrong_tool)


README = Path(__file__).parents[2] / "README.md"
EXAMPLES = re.findall(
    r'^```toml\n(\[agent\]\nkind = "openai".*?)^```$', README.read_text(), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("number", range(2))
def test_the_examples_of_the_readme_can_be_loaded(tmp_path: Path, number: int) -> None:
    settings = load(tmp_path, EXAMPLES[number])
    assert settings.agent.kind == "openai"
    assert len(settings.openai.tools) == 1 - number
    tools = [tool_options(tool) for tool in settings.openai.tools]
    assert Toolbox(settings.openai.actions, targets_by_name(settings.openai.transfer_targets), tools).functions
