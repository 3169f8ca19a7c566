"""What a caller has answered to a question of a flow: by keys, by words, or not at all. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.agents.base import Question
from bridge.agents.flow.match import by_keys, by_words
from bridge.agents.flow.model import Choice, DigitsStep, ListenStep, MenuStep, Target, Waiting
from bridge.agents.flow.text import Text, spoken_digits, words_of

SILENT: Final = "no input"
NOT_UNDERSTOOD: Final = "no match"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, or why there is none."""

    next: Target | None = None
    """Where it leads; None: the question is to be put again."""
    problem: str = ""
    """`SILENT` or `NOT_UNDERSTOOD`."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Variables that hold it."""
    changes: tuple[tuple[str, Text], ...] = ()
    """Variables that are set because of it."""
    ahead: str = ""
    """Keys behind it, for the questions that follow."""


def understood(
    step: Waiting, always: Sequence[Choice], question: Question | None = None, *, keys: str = ""
) -> Answer:
    """Tell what an event answers to a question, or keys alone. What every question has as choice comes second."""
    said = ""
    if question is not None:
        keys = question.digits
        said = question.transcript if question.occasion == "turn.ended" else ""
    if not keys and not words_of(said):
        return Answer(problem=SILENT)
    match step:
        case MenuStep():
            return _of_menu(step, always, keys, said)
        case DigitsStep():
            return _of_digits(step, always, keys, said)
        case ListenStep():
            if (choice := _always(always, keys, said)) is not None:
                return choice
            return (
                Answer(step.next, values={step.variable: said.strip()}) if said else Answer(problem=NOT_UNDERSTOOD)
            )


def _of_menu(step: MenuStep, always: Sequence[Choice], keys: str, said: str) -> Answer:
    found = by_keys(step.choices, keys) or by_keys(always, keys)
    if found is not None:
        return _chosen(found[0], step.variable, keys, found[1])
    choice = by_words(step.choices, said) or by_words(always, said)
    return Answer(problem=NOT_UNDERSTOOD) if choice is None else _chosen(choice, step.variable, said.strip(), "")


def _of_digits(step: DigitsStep, always: Sequence[Choice], keys: str, said: str) -> Answer:
    number, ahead = keys, ""
    if not keys and step.spoken:
        number = spoken_digits(said)
    if step.most is not None and keys and len(keys) > step.most:
        number, ahead = keys[: step.most], keys[step.most :]
    fits = step.least <= len(number) and (step.most is None or len(number) <= step.most)
    if fits and (step.pattern is None or step.pattern.fullmatch(number)):
        return Answer(step.next, values={step.variable: number}, ahead=ahead.removeprefix(step.terminator))
    if step.masked:
        return Answer(problem=NOT_UNDERSTOOD)
    return _always(always, keys, said) or Answer(problem=NOT_UNDERSTOOD)


def _always(always: Sequence[Choice], keys: str, said: str) -> Answer | None:
    """A choice that every question has. Keys must be its keys and no others: they may be part of a number."""
    for choice in always:
        if keys in choice.keys:
            return _chosen(choice, "", keys, "")
    choice_said = by_words(always, said)
    return None if choice_said is None else _chosen(choice_said, "", said, "")


def _chosen(choice: Choice, variable: str, answer: str, ahead: str) -> Answer:
    values = {variable: answer} if variable else {}
    return Answer(choice.next, values=values, changes=choice.changes, ahead=ahead)
