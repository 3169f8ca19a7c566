"""Flow files: YAML becomes a `Flow`, or a list of everything that is wrong with it, each with its line. Pure.

README, "A flow file", says what can stand in one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bridge.agents.flow import check as flow_check
from bridge.agents.flow.model import MAX_FILE_CHARACTERS, Flow, Step
from bridge.agents.flow.nodes import Problem, Problems, Table, compose, elements, known_names, line_of
from bridge.agents.flow.readers import READERS, Defaults, Names
from bridge.opening_hours import OpeningHours, read_line, read_zone

Exists = Callable[[str], bool]
"""Tells whether a sound file is there, by its name below the folder of sounds."""

_STEP_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a file."""

    flow: Flow | None
    """None: it cannot be used."""
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The mistakes that keep it from being used."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def read_flow(text: str, name: str, exists: Exists | None = None) -> Checked:
    """Read a flow file and check it. `name` is the file's; without `exists`, sound files are not looked for."""
    problems = Problems()
    if len(text) > MAX_FILE_CHARACTERS:
        problems.error(1, f"the file is longer than {MAX_FILE_CHARACTERS} characters")
        return Checked(None, problems.sorted())
    root = compose(text, problems)
    if root is None:
        if not problems.found:
            problems.error(1, "the file is empty: wanted at least `steps:`")
        return Checked(None, problems.sorted())
    flow = _read(Table(root, "the flow", problems), name, problems)
    if flow is not None:
        flow_check.check(flow, problems, exists)
    broken = any(problem.severity == "error" for problem in problems.found)
    return Checked(None if broken else flow, problems.sorted())


def _read(table: Table, name: str, problems: Problems) -> Flow | None:
    names = Names(_hours(table, problems))
    defaults = Defaults(barge_in=table.read("barge_in", None, names.barge_in))
    variables = names.variables(table, "variables")
    voice, language = table.string("voice") or None, table.string("language") or None
    if (retry := table.node("retry")) is not None:
        defaults = names.with_retry(defaults, Table(retry, "retry", problems))
    always = tuple(
        names.choice(Table(node, "a choice of always", problems)) for node in elements(table.node("always"))
    )
    on_error = names.target(table, "on_error", "error", needed=False)
    steps, lines = _steps(table, names, defaults, problems)
    start = names.target(table, "start", "start", needed=False)
    table.leave()
    if not steps and not lines:
        return None
    return Flow(
        name=name,
        start=start.name if start is not None else next(iter(lines)),
        steps=steps,
        lines=lines if start is None else {**lines, "": start.line},
        variables=dict(variables),
        always=always,
        on_error=on_error,
        voice=voice,
        language=language,
    )


def _hours(table: Table, problems: Problems) -> dict[str, OpeningHours | None]:
    """Read the named opening hours; None stands for hours that are wrong."""
    zone = table.read("timezone", None, read_zone)
    node = table.node("hours")
    found: dict[str, OpeningHours | None] = {}
    if node is None:
        return found
    hours = Table(node, "hours", problems)
    for name, line, _ in list(hours.items()):
        lines, wrong = [], False
        for text, at in hours.lines(name):
            try:
                lines.append(read_line(text))
            except ValueError as error:
                problems.error(at, f"hours of {name}: {error}")
                wrong = True
        if not lines and not wrong:
            problems.error(line, f"hours of {name}: there are none: give lines such as `- mon-fri 09:00-17:30`")
        if zone is None and "timezone" not in table:
            problems.error(line, f"hours of {name} need a time zone: write `timezone: Europe/Berlin` at the top")
        found[name] = None if wrong or zone is None or not lines else OpeningHours(zone, tuple(lines))
    return found


def _steps(
    table: Table, names: Names, defaults: Defaults, problems: Problems
) -> tuple[dict[str, Step], dict[str, int]]:
    """Read all steps. One that is wrong has a line but no step, so that others may still lead to it."""
    node = table.node("steps")
    if node is None:
        table.missing("steps", "")
        return {}, {}
    steps: dict[str, Step] = {}
    lines: dict[str, int] = {}
    for name, line, value in Table(node, "steps", problems).items():
        lines[name] = line
        if not _STEP_NAME.fullmatch(name):
            problems.error(line, f"a step is named {name!r}: wanted letters, digits, - and _, such as main-menu")
        step = Table(value, f"the step {name}", problems)
        step.line = line
        kind = step.string("do")
        if kind not in READERS:
            remedy = known_names(kind, READERS, "what a step can do") if kind else "write `do: say`, for one"
            problems.error(
                step.at("do"),
                f"the step {name} does not say what it does: {remedy}"
                if not kind
                else f"the step {name} does {kind!r}, which is unknown: {remedy}",
            )
            continue
        read = READERS[kind](step, names, defaults)
        step.leave()
        if read is not None:
            steps[name] = read
    if not lines:
        problems.error(line_of(node), "there are no steps")
    return steps, lines
