"""How each kind of step is read from a flow file. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from yaml.nodes import MappingNode, ScalarNode

from bridge.agents.flow.match import NO, YES
from bridge.agents.flow.model import (
    Choice,
    DigitsStep,
    GotoStep,
    HangUpStep,
    HoursStep,
    IfStep,
    ListenStep,
    LookupStep,
    MenuStep,
    NoteStep,
    Prompt,
    Retry,
    SayStep,
    SetStep,
    Sound,
    Step,
    Target,
    TransferStep,
    VoicemailStep,
)
from bridge.agents.flow.nodes import Table, elements, known_names, line_of, number
from bridge.agents.flow.text import Text, read_text
from bridge.conversation.actions import words_needed
from bridge.opening_hours import OpeningHours

_VARIABLE: Final = re.compile(r"[a-z][a-z0-9_]*")
_KEY: Final = re.compile(r"[0-9*#A-D]{1,20}")
_URL: Final = re.compile(r"https?://[^\s/]+.*|\{.*")
_FIELD_PATH: Final = re.compile(r"[^.\s]+(\.[^.\s]+)*")
_NOBODY: Final = Target("", 0, "")

STATUSES: Final[Mapping[str, str]] = {
    "busy": "busy",
    "no_answer": "no-answer",
    "declined": "declined",
    "canceled": "canceled",
}
"""Fields of a transfer that lead on after one status, and that status."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every step that says nothing else."""

    barge_in: str | None = None
    retry: Retry = field(
        default_factory=lambda: Retry(
            no_input=(Prompt((read_text("Sorry, I did not hear you. "),)),),
            no_match=(Prompt((read_text("Sorry, I did not understand that. "),)),),
        )
    )


class Names:
    """Reads the parts that steps are made of."""

    def __init__(self, hours: Mapping[str, OpeningHours | None]) -> None:
        self.hours = hours

    def target(self, table: Table, name: str, why: str, *, needed: bool = True) -> Target | None:
        """Take the name of the step that follows."""
        found = table.string(name)
        if found:
            return Target(found, table.at(name), why)
        if needed:
            table.missing(name, "the-next-step")
        return None

    def next(self, table: Table, name: str = "next", why: str = "") -> Target:
        """Take the name of a step that must follow; a missing one is noted."""
        return self.target(table, name, why or ("" if name == "next" else name.replace("_", " "))) or _NOBODY

    def variable(self, table: Table, name: str = "variable", *, needed: bool = True) -> str:
        """Take the name of a variable that is set."""
        found = table.read(name, "", variable_name)
        if not found and needed and name not in table:
            table.missing(name, "customer")
        return found

    def variables(self, table: Table, name: str) -> tuple[tuple[str, Text], ...]:
        """Take a table of variables and their values."""
        found = table.texts(name)
        for variable, text in found.items():
            try:
                variable_name(variable)
            except ValueError as error:
                table.problems.error(text.line, f"{table.what}: {variable!r} under {name}: {error}")
        return tuple(found.items())

    @staticmethod
    def barge_in(source: str) -> str:
        """Read a rule for what cuts a prompt off."""
        words_needed(source)
        return source

    def prompt(self, table: Table, defaults: Defaults, *, needed: bool = False, rule: str | None = None) -> Prompt:
        """Take what is said. `rule`: what cuts it off where the file says nothing about this very prompt."""
        parts = self.parts(table, "say")
        if needed and table.node("say") is None:
            table.missing("say", '"Hello."')
        return Prompt(parts, table.read("barge_in", rule or defaults.barge_in, self.barge_in))

    def parts(self, table: Table, name: str) -> tuple[Text | Sound, ...]:
        """Take texts and sounds: one, or a list of them."""
        found: list[Text | Sound] = []
        for node in elements(table.node(name)):
            line = line_of(node)
            try:
                if isinstance(node, ScalarNode):
                    found.append(read_text(node.value, line))
                elif isinstance(node, MappingNode):
                    sound = Table(node, f"{name} of {table.what}", table.problems)
                    source = sound.text("play")
                    if source is None:
                        sound.missing("play", "welcome.wav")
                    else:
                        found.append(Sound(source, line))
                    sound.leave()
                else:
                    table.problems.error(line, f"{table.what}: {name} holds texts and `play: file.wav`")
            except ValueError as error:
                table.problems.error(line, f"{table.what}: {name}: {error}")
        return tuple(found)

    def ladder(self, table: Table, name: str, default: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        """Take what is said the first time, the second time …"""
        parts = self.parts(table, name)
        return tuple(Prompt((part,)) for part in parts) if name in table else default

    def retry(self, table: Table, defaults: Defaults) -> Retry:
        """Take the ladder of a question."""
        node = table.node("retry")
        if node is None:
            return defaults.retry
        return self.with_retry(defaults, Table(node, f"retry of {table.what}", table.problems)).retry

    def with_retry(self, defaults: Defaults, table: Table) -> Defaults:
        """Return the defaults, changed by a table."""
        old = defaults.retry
        retry = Retry(
            attempts=table.whole("attempts", old.attempts, 1, 10),
            wait_s=table.number("wait_s", old.wait_s, 1, 120),
            no_input=self.ladder(table, "no_input", old.no_input),
            no_match=self.ladder(table, "no_match", old.no_match),
            repeat=table.truth("repeat", default=old.repeat),
            failed=self.target(table, "failed", "no answer", needed=False) or old.failed,
        )
        table.leave()
        return replace(defaults, retry=retry)

    def choice(self, table: Table) -> Choice:
        """Take one way to answer."""
        keys = []
        for key, line in table.lines("key"):
            if _KEY.fullmatch(key):
                keys.append(key)
            else:
                table.problems.error(line, f'{table.what}: key is {key!r}: wanted keys of 0-9 * # A-D, such as "1"')
        if "key" in table and not table.lines("key"):
            table.problems.error(table.at("key"), f'{table.what}: key is empty: put it into quotes, such as "#"')
        phrases = table.strings("phrases")
        pattern = table.pattern("pattern")
        repeat = table.truth("repeat", default=False)
        why = f"key {keys[0]}" if keys else phrases[0] if phrases else "words"
        changes = self.variables(table, "set")
        following = self.target(table, "next", why, needed=not repeat)
        if repeat and following is not None:
            table.problems.error(table.at("repeat"), f"{table.what} has repeat and next: remove one")
        if not keys and not phrases and pattern is None and "key" not in table:
            table.problems.error(table.line, f"{table.what} cannot be chosen: give it a key or phrases")
        table.leave()
        return Choice(tuple(keys), phrases, pattern, following, changes)


def variable_name(source: str) -> str:
    """Read the name of a variable."""
    if not _VARIABLE.fullmatch(source):
        raise ValueError("wanted the name of a variable: lower-case letters, digits and _")
    if source in BUILT_IN:
        raise ValueError("this variable is the call's own: choose another name")
    return source


BUILT_IN: Final = (
    "caller",
    "called",
    "direction",
    "digits",
    "transcript",
    "transfer_status",
    "error",
    "parameters",
)
"""Variables that are there by themselves."""


def _say(table: Table, names: Names, defaults: Defaults) -> Step:
    return SayStep(names.prompt(table, defaults, needed=True), names.next(table))


def _menu(table: Table, names: Names, defaults: Defaults) -> Step:
    prompt = names.prompt(table, defaults, needed=True)
    node = table.node("choices")
    choices = tuple(names.choice(Table(one, f"a choice of {table.what}", table.problems)) for one in elements(node))
    if not choices:
        table.missing("choices", "")
    return MenuStep(prompt, choices, names.retry(table, defaults), names.variable(table, needed=False))


def _yes_no(table: Table, names: Names, defaults: Defaults) -> Step:
    prompt = names.prompt(table, defaults, needed=True)
    yes, no = names.next(table, "yes"), names.next(table, "no")
    choices = (
        Choice((table.read("yes_key", "1", _key),), YES + table.strings("yes_phrases"), None, yes),
        Choice((table.read("no_key", "2", _key),), NO + table.strings("no_phrases"), None, no),
    )
    return MenuStep(prompt, choices, names.retry(table, defaults), names.variable(table, needed=False))


def _key(source: str) -> str:
    if not _KEY.fullmatch(source):
        raise ValueError("wanted keys of 0-9 * # A-D")
    return source


def _terminator(source: str) -> str:
    if source not in set("0123456789*#ABCD") | {"", "none"}:
        raise ValueError('wanted one key, such as "#", or none')
    return "" if source == "none" else source


def _digits(table: Table, names: Names, defaults: Defaults) -> Step:
    prompt = names.prompt(table, defaults, needed=True)
    length = table.whole("length", 0, 1, 100)
    least, most = table.whole("min", length or 1, 1, 100), table.whole("max", length, 1, 100)
    if length and ("min" in table or "max" in table):
        table.problems.error(table.at("length"), f"{table.what} has length and min or max: remove one")
    elif most and least > most:
        table.problems.error(table.at("min"), f"{table.what}: min is {least} and max is {most}: swap them")
    masked = table.truth("masked", default=False)
    spoken = table.truth("spoken", default=not masked)
    if masked and spoken:
        table.problems.error(
            table.at("spoken"), f"{table.what} is masked: what is said is not heard; remove spoken"
        )
    return DigitsStep(
        prompt,
        names.variable(table),
        names.next(table),
        names.retry(table, defaults),
        least=least,
        most=most or None,
        terminator=table.read("terminator", "#", _terminator),
        next_s=table.number("next_s", 4.0, 0.5, 60),
        masked=masked,
        spoken=spoken and not masked,
        pattern=table.pattern("pattern"),
    )


def _listen(table: Table, names: Names, defaults: Defaults) -> Step:
    prompt = names.prompt(table, defaults, needed=True)
    return ListenStep(prompt, names.variable(table), names.next(table), names.retry(table, defaults))


def _hours(table: Table, names: Names, _: Defaults) -> Step | None:
    name = table.string("hours")
    opened, closed = names.next(table, "open"), names.next(table, "closed")
    if name not in names.hours:
        remedy = known_names(name, names.hours, "hours")
        if name:
            table.problems.error(table.at("hours"), f"{table.what}: there are no hours {name!r}: {remedy}")
        else:
            table.missing("hours", "office")
        return None
    hours = names.hours[name]
    return None if hours is None else HoursStep(hours, name, opened, closed)


def _if(table: Table, names: Names, _: Defaults) -> Step | None:
    variable = table.string("variable")
    if not variable:
        table.missing("variable", "customer")
    readers: Mapping[str, Callable[[], Any]] = {
        "equals": lambda: table.string("equals"),
        "one_of": lambda: table.strings("one_of"),
        "matches": lambda: table.pattern("matches"),
        "at_least": lambda: table.read("at_least", None, lambda source: number(source, -1e15, 1e15)),
        "less_than": lambda: table.read("less_than", None, lambda source: number(source, -1e15, 1e15)),
        "is_set": lambda: table.truth("is_set", default=True),
    }
    found = {test: reader() for test, reader in readers.items() if test in table}
    then, otherwise = names.next(table, "then"), names.next(table, "else")
    for test in readers:
        table.node(test)  # So that a slip of the pen finds its remedy.
    if len(found) != 1:
        what = "two tests" if found else "no test"
        table.problems.error(table.line, f"{table.what} has {what}: wanted one of {', '.join(readers)}")
        return None
    ((test, operand),) = found.items()
    return IfStep(variable, test, operand, then, otherwise)  # type: ignore[arg-type]  # one of the readers' names


def _set(table: Table, names: Names, _: Defaults) -> Step:
    changes = names.variables(table, "variables")
    recording = table.read("recording", None, _recording)
    if not changes and recording is None:
        table.missing("variables", "")
    return SetStep(changes, names.next(table), recording)


def _recording(source: str) -> Literal["on", "paused"]:
    match source:
        case "on" | "paused":
            return source
        case _:
            raise ValueError("wanted on or paused")


def _method(source: str) -> str:
    if source.upper() not in {"GET", "POST"}:
        raise ValueError("wanted GET or POST")
    return source.upper()


def _lookup(table: Table, names: Names, defaults: Defaults) -> Step:
    url = table.text("url")
    if url is None:
        if "url" not in table:
            table.missing("url", "https://example.com/customers/{customer}")
        url = read_text("")
    elif not _URL.fullmatch(url.source):
        table.problems.error(table.at("url"), f"{table.what}: url is {url.source!r}: wanted an http(s) URL")
    results: dict[str, str] = {}
    if (node := table.node("results")) is not None:
        wanted = Table(node, f"results of {table.what}", table.problems)
        for variable, line, _ in list(wanted.items()):
            try:
                results[variable_name(variable)] = wanted.read(variable, "", _path)
            except ValueError as error:
                table.problems.error(line, f"results of {table.what}: {variable!r}: {error}")
    method = table.read("method", "GET", _method)
    return LookupStep(
        names.prompt(table, defaults),
        url,
        "POST" if method == "POST" else "GET",
        tuple(results.items()),
        names.next(table),
        names.next(table, "on_error"),
        body=table.texts("data"),
        headers=table.texts("headers"),
        timeout_s=table.number("timeout_s", 5.0, 0.1, 30),
    )


def _path(source: str) -> str:
    if not _FIELD_PATH.fullmatch(source):
        raise ValueError("wanted the path of a field, such as customer.name or items.0.price")
    return source


def _transfer(table: Table, names: Names, defaults: Defaults) -> Step:
    to = table.text("to")
    if to is None:
        if "to" not in table:
            table.missing("to", '"+15551234567"')
        to = read_text("")
    elif not to.variables and not dialled(to.source):
        table.problems.error(
            table.at("to"), f"{table.what}: to is {to.source!r}: wanted a number such as +15551234567, or sip:…"
        )
    others = {
        status: target
        for name, status in STATUSES.items()
        if (target := names.target(table, name, name.replace("_", " "), needed=False)) is not None
    }
    timeout = table.number("timeout_s", 0, 5, 600) if "timeout_s" in table else None
    return TransferStep(
        names.prompt(table, defaults),
        to,
        names.next(table, "failed"),
        others,
        summary=table.text("summary"),
        timeout_s=timeout or None,
        caller_id=table.text("caller_id"),
        digits=table.read("digits", "", _send),
    )


def dialled(number: str) -> bool:
    """Tell whether this can be dialled: a number in E.164 form, or a SIP address."""
    return re.fullmatch(r"\+[1-9]\d{6,14}|sips?:[^\s\x00-\x1f]+", number) is not None


def _send(source: str) -> str:
    if not re.fullmatch(r"[0-9*#A-DwW]+", source):
        raise ValueError("wanted keys of 0-9 * # A-D, and w or W for a pause")
    return source


def _voicemail(table: Table, names: Names, defaults: Defaults) -> Step:
    following = names.next(table)
    return VoicemailStep(
        names.prompt(table, defaults, needed=True, rule="keys"),
        following,
        names.target(table, "empty", "nothing said", needed=False) or following,
        names.variable(table, needed=False),
        max_s=table.number("max_s", 120, 1, 3600),
        silence_s=table.number("silence_s", 4, 1, 60),
        terminator=table.read("terminator", "#", _terminator),
        beep=table.truth("beep", default=True),
    )


def _note(table: Table, names: Names, _: Defaults) -> Step:
    data = table.texts("data")
    if not data:
        table.missing("data", "")
    return NoteStep(tuple(data.items()), names.next(table))


def _hang_up(table: Table, names: Names, defaults: Defaults) -> Step:
    return HangUpStep(names.prompt(table, defaults, rule="never"), table.string("reason"))


def _goto(table: Table, names: Names, _: Defaults) -> Step:
    return GotoStep(names.next(table))


Reader: TypeAlias = Callable[[Table, Names, Defaults], Step | None]
READERS: Final[Mapping[str, Reader]] = {
    "say": _say,
    "menu": _menu,
    "yes_no": _yes_no,
    "digits": _digits,
    "listen": _listen,
    "hours": _hours,
    "if": _if,
    "set": _set,
    "lookup": _lookup,
    "transfer": _transfer,
    "voicemail": _voicemail,
    "note": _note,
    "hang_up": _hang_up,
    "goto": _goto,
}
"""What a step can do, and how it is read. A wrong one notes its mistakes."""
