"""Reads the files of scripted calls (YAML, TOML, JSON) into plain values, and keeps each step's line. Pure."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec
import yaml

from bridge.errors import SettingsError
from bridge.simulator.steps import MAIN_FIELD, NAMES

Kind: TypeAlias = Literal["yaml", "toml", "json"]


@dataclass(frozen=True, slots=True)
class Plain:
    """A scenario file as it stands."""

    values: Mapping[str, Any]
    lines: Mapping[int, int] = field(default_factory=dict)
    """Number of a step (from 1) → its line, where the format tells."""

    def where(self, step: int) -> str:
        """How an error names a step."""
        return f"step {step} (line {self.lines[step]})" if step in self.lines else f"step {step}"


def read(text: str | bytes, kind: Kind) -> Plain:
    """Take a file apart. Raises `ValueError` with one line if it is not of its kind, or no table."""
    try:
        if kind == "yaml":
            values, lines = yaml.safe_load(text), _lines(text)
        else:
            values = msgspec.json.decode(text) if kind == "json" else msgspec.toml.decode(text)
            lines = {}
    except yaml.YAMLError as error:
        raise ValueError(_one_line(error)) from error
    except (msgspec.MsgspecError, ValueError, RecursionError, AttributeError) as error:  # The last: a tag's fault.
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if not isinstance(values, dict):
        raise ValueError(f"expected a table with steps, got {type(values).__name__}")  # noqa: TRY004  (of a file)
    return Plain(values, lines)


def step_table(given: Any) -> dict[str, Any]:
    """A step in its long form, a table with `do`. Raises `ValueError` with one line.

    Short forms: `hang_up`, `pause: 500`, `say: {wav: a.wav}`, and `expect_text: hello` with other fields beside it.
    """
    if isinstance(given, str):
        given = {given: None}
    if not isinstance(given, dict):
        raise ValueError(f"expected a step, got {reprlib.repr(given)[:200]}")  # noqa: TRY004  (a file's value)
    if "do" in given:
        return given
    names = [key for key in given if key in NAMES]
    if len(names) != 1:
        known = ", ".join(sorted(NAMES))
        what = " and ".join(map(repr, names or given)) or "nothing"
        raise ValueError(f"a step has do, or begins with one of {known}; this has {what}")
    name = names[0]
    rest = {key: value for key, value in given.items() if key != name}
    value = given[name]
    if isinstance(value, dict):
        return {"do": name, **value, **rest}
    if value is None:
        return {"do": name, **rest}
    if name not in MAIN_FIELD:
        raise ValueError(f"{name} takes nothing behind it, and has {reprlib.repr(value)[:200]}")
    return {"do": name, MAIN_FIELD[name]: value, **rest}


def _lines(text: str | bytes) -> dict[int, int]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return {}
    for key, value in root.value:
        if key.value == "steps" and isinstance(value, yaml.SequenceNode):
            return {number: node.start_mark.line + 1 for number, node in enumerate(value.value, 1)}
    return {}


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


def hint(error: str) -> str:
    """What to do about a value of the wrong type, where that is a habit of YAML."""
    return f"{error}; put it in quotes" if "Expected `str`, got `int`" in error else error


def scenario_error(name: str, what: str) -> SettingsError:
    """The one line of a mistake in a file."""
    return SettingsError(f"scenario {name}: {what}", code="scenario")
