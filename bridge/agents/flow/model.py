"""A flow: what a caller is told and asked, step by step. Pure.

Plain data: `file` reads it, `steps` runs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

from bridge.agents.flow.text import Text
from bridge.agents.patterns import Pattern
from bridge.opening_hours import OpeningHours

MAX_FILE_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound within a prompt."""

    source: Text
    line: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the caller hears: texts and sounds, in order."""

    parts: tuple[Text | Sound, ...] = ()
    barge_in: str | None = None
    """What cuts it off, as `Say.barge_in`; None is the rule of the number."""


@dataclass(frozen=True, slots=True)
class Target:
    """A step that follows, and where the file names it."""

    name: str
    line: int
    why: str
    """What leads there, for messages and pictures: `key 1`, `closed`, `failed` …"""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to answer a question."""

    keys: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    pattern: Pattern | None = None
    """Finds the answer in the words, too."""
    next: Target | None = None
    """None: the question is put again."""
    changes: tuple[tuple[str, Text], ...] = ()
    """Variables that are set when it is chosen."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What happens when no answer comes, or none that is understood."""

    attempts: int = 3
    """How often the question is put in all."""
    wait_s: float = 8.0
    """How long an answer is waited for, in seconds from the end of the prompt."""
    no_input: tuple[Prompt, ...] = ()
    """Said before the question is put again: the first time, the second …; the last one from then on."""
    no_match: tuple[Prompt, ...] = ()
    repeat: bool = True
    """Say the whole prompt again behind that."""
    failed: Target | None = None
    """Where it goes on when all attempts are used up; None: the caller is let go."""


@dataclass(frozen=True, slots=True)
class SayStep:
    """Says something and goes on."""

    prompt: Prompt
    next: Target


@dataclass(frozen=True, slots=True)
class MenuStep:
    """Lets the caller choose by a key or in words. A question for yes or no is one, too."""

    prompt: Prompt
    choices: tuple[Choice, ...]
    retry: Retry
    variable: str = ""
    """Keeps what was said or pressed."""


@dataclass(frozen=True, slots=True)
class DigitsStep:
    """Gathers a number."""

    prompt: Prompt
    variable: str
    next: Target
    retry: Retry
    least: int = 1
    most: int | None = None
    terminator: str = "#"
    next_s: float = 4.0
    masked: bool = False
    spoken: bool = True
    """Digits that are said count as well."""
    pattern: Pattern | None = None
    """What the whole number must match."""


@dataclass(frozen=True, slots=True)
class ListenStep:
    """Keeps what the caller says, whatever it is."""

    prompt: Prompt
    variable: str
    next: Target
    retry: Retry


@dataclass(frozen=True, slots=True)
class HoursStep:
    """Goes on by the clock."""

    hours: OpeningHours
    name: str
    open: Target
    closed: Target


@dataclass(frozen=True, slots=True)
class IfStep:
    """Goes on by a variable."""

    variable: str
    test: Literal["equals", "one_of", "matches", "at_least", "less_than", "is_set"]
    operand: Any
    """A text, texts, a pattern, a number for the comparisons, a truth for `is_set`."""
    then: Target
    otherwise: Target


@dataclass(frozen=True, slots=True)
class SetStep:
    """Gives variables their values, or pauses the call's recording."""

    changes: tuple[tuple[str, Text], ...]
    next: Target
    recording: Literal["on", "paused"] | None = None


@dataclass(frozen=True, slots=True)
class LookupStep:
    """Asks an HTTP service, and keeps fields of its JSON answer."""

    prompt: Prompt
    url: Text
    method: Literal["GET", "POST"]
    results: tuple[tuple[str, str], ...]
    """Variable, and the path of the field: names and numbers with dots between."""
    next: Target
    on_error: Target
    body: Mapping[str, Text] = field(default_factory=dict)
    """With POST: the JSON object; with GET: the query."""
    headers: Mapping[str, Text] = field(default_factory=dict)
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class TransferStep:
    """Connects the caller with somebody else."""

    prompt: Prompt
    to: Text
    failed: Target
    others: Mapping[str, Target] = field(default_factory=dict)
    """Where it goes on after a status of its own: `busy`, `no-answer`, `declined` …"""
    summary: Text | None = None
    timeout_s: float | None = None
    caller_id: Text | None = None
    digits: str = ""


@dataclass(frozen=True, slots=True)
class VoicemailStep:
    """Takes a message."""

    prompt: Prompt
    next: Target
    empty: Target
    """Where it goes on when nothing was said."""
    variable: str = ""
    max_s: float = 120.0
    silence_s: float = 4.0
    terminator: str = "#"
    beep: bool = True


@dataclass(frozen=True, slots=True)
class NoteStep:
    """Keeps data with the call."""

    data: tuple[tuple[str, Text], ...]
    next: Target


@dataclass(frozen=True, slots=True)
class HangUpStep:
    """Says good-bye and ends the call."""

    prompt: Prompt
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GotoStep:
    """Goes on elsewhere."""

    next: Target


Step: TypeAlias = (
    SayStep
    | MenuStep
    | DigitsStep
    | ListenStep
    | HoursStep
    | IfStep
    | SetStep
    | LookupStep
    | TransferStep
    | VoicemailStep
    | NoteStep
    | HangUpStep
    | GotoStep
)
Waiting: TypeAlias = MenuStep | DigitsStep | ListenStep
"""Steps at which the caller is asked something."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A whole flow, as it is run."""

    name: str
    """The file, for messages."""
    start: str
    steps: Mapping[str, Step]
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where each step stands in the file."""
    variables: Mapping[str, Text] = field(default_factory=dict)
    """Values at the start of a call."""
    always: tuple[Choice, ...] = ()
    """Choices at every question."""
    on_error: Target | None = None
    """Where a call goes on after a fault; None: the bridge apologises."""
    voice: str | None = None
    language: str | None = None

    @property
    def posts(self) -> bool:
        """Tell whether a look-up may change something elsewhere."""
        return any(isinstance(step, LookupStep) and step.method == "POST" for step in self.steps.values())


def targets(step: Step) -> Iterator[Target]:
    """Every step that may follow a step by its own."""
    for entry in fields(step):
        match getattr(step, entry.name):
            case Target() as target:
                yield target
            case Retry(failed=Target() as target):
                yield target
            case Mapping() as others:
                yield from (other for other in others.values() if isinstance(other, Target))
            case (Choice(), *_) as choices:
                yield from (choice.next for choice in choices if choice.next is not None)


def prompts(step: Step) -> Iterator[Prompt]:
    """Everything that a step may say."""
    if isinstance(step, SayStep | MenuStep | DigitsStep | ListenStep | LookupStep | TransferStep | VoicemailStep):
        yield step.prompt
    if isinstance(step, HangUpStep):
        yield step.prompt
    if isinstance(step, Waiting):
        yield from step.retry.no_input
        yield from step.retry.no_match
