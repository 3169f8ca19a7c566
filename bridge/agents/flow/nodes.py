"""YAML with its line numbers: fields are taken one by one, and each mistake is noted where it stands. Pure.

Nothing is constructed from the file but texts: its tags, classes and types mean nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bridge.agents.flow.text import Text, read_text
from bridge.agents.patterns import Pattern

T = TypeVar("T")

_TRUTHS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NULL: Final = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in a file."""

    line: int
    message: str
    """What is wrong, and the remedy."""
    severity: Literal["error", "warning"] = "error"


class Problems:
    """Everything that is wrong with a file, as it is found."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def error(self, line: int, message: str) -> None:
        """Note a mistake that keeps the file from being used."""
        self.found.append(Problem(line, message))

    def warning(self, line: int, message: str) -> None:
        """Note what is probably not meant."""
        self.found.append(Problem(line, message, "warning"))

    def sorted(self) -> tuple[Problem, ...]:
        """Return them in the order of the file, each once."""
        return tuple(sorted(dict.fromkeys(self.found), key=lambda problem: (problem.line, problem.message)))


def compose(text: str, problems: Problems) -> Node | None:
    """Return the root of a YAML text; None when it cannot be read, which is noted."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        if "alias" in what:
            what += ' (put the key into quotes: "*")'
        elif "'?'" in what or "':'" in what or "mapping values" in what:
            what += " (put texts that hold ? , : or # into quotes)"
        problems.error(mark.line + 1 if mark else 1, f"this is no YAML: {what}")
    except yaml.YAMLError as error:
        problems.error(1, f"this is no YAML: {str(error).splitlines()[0]}")
    except RecursionError:
        problems.error(1, "this is nested too deeply")
    return None


def line_of(node: Node) -> int:
    """The line where a node begins, from 1."""
    return int(node.start_mark.line) + 1


def known_names(name: str, known: Iterable[str], what: str) -> str:
    """Return what to write in place of an unknown name."""
    names = sorted(set(known))
    if close := get_close_matches(name, names, n=1):
        return f"did you mean {close[0]}?"
    return f"{what}: {', '.join(names)}" if names else f"there are no {what}"


class Table:
    """A mapping of the file. What was not taken from it when it is left is a mistake."""

    def __init__(self, node: Node, what: str, problems: Problems) -> None:
        """`what` names the mapping in messages: `the step menu`."""
        self.line = line_of(node)
        self.what = what
        self.problems = problems
        self._fields: dict[str, tuple[int, Node]] = {}
        self._asked: list[str] = []
        if not isinstance(node, MappingNode):
            problems.error(self.line, f"{what}: wanted fields such as `name: value`, one a line")
            return
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else "?"
            if name in self._fields:
                first = self._fields[name][0]
                problems.error(line_of(key), f"{what} has {name} twice; the first is in line {first}: remove one")
                continue
            self._fields[name] = (line_of(key), value)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def items(self) -> Iterator[tuple[str, int, Node]]:
        """Take every field: its name, line and value."""
        for name, (line, node) in self._fields.items():
            self._asked.append(name)
            yield name, line, node

    def node(self, name: str) -> Node | None:
        """Take a field as it stands; None: it is not there, or empty."""
        self._asked.append(name)
        found = self._fields.get(name)
        if found is None or (isinstance(found[1], ScalarNode) and found[1].tag == _NULL and not found[1].value):
            return None
        return found[1]

    def at(self, name: str) -> int:
        """The line of a field, or of the mapping where the field is missing."""
        return self._fields[name][0] if name in self._fields else self.line

    def missing(self, name: str, example: str) -> None:
        """Note that a field is needed."""
        self.problems.error(self.at(name), f"{self.what} needs {name}, such as `{name}: {example}`")

    def read(self, name: str, default: T, reader: Callable[[str], T]) -> T:
        """Take a field that is one text, read by `reader`, which raises ValueError for a wrong one."""
        node = self.node(name)
        if node is None:
            return default
        if not isinstance(node, ScalarNode):
            self.problems.error(self.at(name), f"{self.what}: {name} is one value, not a list or a table")
            return default
        try:
            return reader(node.value)
        except ValueError as error:
            self.problems.error(line_of(node), f"{self.what}: {name} is {shown(node.value)}: {error}")
            return default

    def string(self, name: str, default: str = "") -> str:
        """Take a bare text."""
        return self.read(name, default, str)

    def text(self, name: str) -> Text | None:
        """Take a text that may hold variables."""
        line = self.at(name)
        return self.read(name, None, lambda source: read_text(source, line))

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Take a number within bounds."""
        return self.read(name, default, lambda source: number(source, low, high))

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Take a whole number within bounds."""
        return self.read(name, default, lambda source: int(number(source, low, high, whole=True)))

    def truth(self, name: str, *, default: bool) -> bool:
        """Take true or false."""
        return self.read(name, default, truth)

    def pattern(self, name: str) -> Pattern | None:
        """Take a regular expression; it ignores case."""
        return self.read(name, None, regexp)

    def strings(self, name: str) -> tuple[str, ...]:
        """Take a text, or a list of texts."""
        return tuple(value for value, _ in self.lines(name))

    def lines(self, name: str) -> list[tuple[str, int]]:
        """Take a text or a list of texts, each with its line."""
        found = []
        for node in elements(self.node(name)):
            if isinstance(node, ScalarNode):
                found.append((node.value, line_of(node)))
            else:
                self.problems.error(line_of(node), f"{self.what}: {name} holds texts, one a line behind a dash")
        return found

    def texts(self, name: str) -> dict[str, Text]:
        """Take a table of texts that may hold variables."""
        node = self.node(name)
        if node is None:
            return {}
        table = Table(node, f"{name} of {self.what}", self.problems)
        found = {}
        for key, _, _ in list(table.items()):
            text = table.text(key)
            if text is not None:
                found[key] = text
        return found

    def leave(self) -> None:
        """Note every field that nobody has asked for."""
        for name, (line, _) in self._fields.items():
            if name not in self._asked:
                remedy = known_names(name, self._asked, "what there is")
                self.problems.error(line, f"{self.what} has an unknown field {name}: {remedy}")


def elements(node: Node | None) -> Sequence[Node]:
    """The elements of a list; a single value is a list of one."""
    if node is None:
        return ()
    return node.value if isinstance(node, SequenceNode) else (node,)


def shown(value: str) -> str:
    """A value as a message quotes it."""
    return repr(value if len(value) <= 60 else value[:59] + "…")


def truth(source: str) -> bool:
    """Read true or false."""
    try:
        return _TRUTHS[source.casefold()]
    except KeyError:
        raise ValueError("wanted true or false") from None


def number(source: str, low: float, high: float, *, whole: bool = False) -> float:
    """Read a number within bounds."""
    wanted = f"wanted a {'whole ' if whole else ''}number from {low:g} to {high:g}"
    try:
        value = float(source)
    except ValueError:
        raise ValueError(wanted) from None
    if not low <= value <= high or (whole and value != int(value)):
        raise ValueError(wanted)
    return value


def regexp(source: str) -> Pattern:
    """Read a regular expression."""
    return Pattern(source, ignore_case=True)
