"""Where a call stands in a flow, as it is remembered beyond the process: as JSON, without what is a secret. Pure.

A number that was keyed in or said at a masked step reaches no disk. So after a crash it is asked for again, where
the flow may still come to need it: the call goes back to the step that asks for it. A number that the record's
redaction has struck out is lost in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import msgspec

from bridge.agents.flow.check import ways_out
from bridge.agents.flow.model import (
    DigitsStep,
    Flow,
    HangUpStep,
    IfStep,
    LookupStep,
    SetStep,
    Step,
    TransferStep,
    VoicemailStep,
    Waiting,
)
from bridge.agents.flow.steps import State
from bridge.agents.flow.text import Text

MOST_BYTES: Final = 12 * 1024
"""What is remembered of a call, as JSON, without what little stands around it."""
_KEYS: Final = frozenset("0123456789*#ABCD")


_HELD: Final = (Waiting, LookupStep, TransferStep, VoicemailStep, HangUpStep)
"""Steps at which a call may stand from one question to the next."""


def remembered(flow: Flow, state: State, begin: Mapping[str, str]) -> dict[str, Any]:
    """Return where a call stands as JSON has it; `begin`: the values with which it began.

    Of values that are too long together the longest are left out.
    """
    changed = {name: value for name, value in state.variables.items() if begin.get(name) != value}
    kept = {name: value for name, value in changed.items() if not _secret(flow, state, name)}
    sizes = {name: len(msgspec.json.encode((name, value))) for name, value in kept.items()}
    for name in sorted(sizes, key=lambda one: -sizes[one]):
        if sum(sizes.values()) <= MOST_BYTES:
            break
        del kept[name], sizes[name]
    return {
        "at": state.at,
        "variables": kept,
        "asked": dict(state.asked),
        "failures": state.failures,
        "silence": state.silence,
    }


def restored(flow: Flow, memory: Mapping[str, Any], begin: Mapping[str, str]) -> State | str:
    """Return where a call stands that another process has had, or why it cannot go on there; `begin` as above."""
    try:
        state = msgspec.convert(memory, State, strict=False)
    except msgspec.ValidationError as error:
        return f"what was remembered is of no use: {error}"
    if not isinstance(flow.steps.get(state.at), _HELD):
        return f"the flow has no step {state.at} any more at which it waits"
    variables = MappingProxyType({**begin, **state.variables})
    return replace(state, variables=variables, asked=MappingProxyType(dict(state.asked)))


def asked_again(flow: Flow, state: State) -> State | None:
    """Return where a call goes back to, because a value was lost that it may still need; None: it goes on."""
    lost = {name: step for name, step in state.asked.items() if _lost(state, name)}
    for name, asks in lost.items():  # In the order in which they were asked for.
        if asks != state.at and _needs(flow, state.at, name):
            if not isinstance(flow.steps.get(asks), DigitsStep):
                return State()
            left = {one: value for one, value in state.variables.items() if one not in lost}
            return replace(state, at=asks, failures=0, silence=0, variables=MappingProxyType(left))
    return None


def _secret(flow: Flow, state: State, name: str) -> bool:
    step = flow.steps.get(state.asked.get(name, ""))
    return isinstance(step, DigitsStep) and step.masked


def _lost(state: State, name: str) -> bool:
    """Tell whether a number is not there, or is none any more."""
    return not _KEYS.issuperset(state.variables.get(name, "?"))


def _needs(flow: Flow, begin: str, variable: str) -> bool:
    """Tell whether a flow may come from a step to one that uses a variable, before one that sets it anew."""
    ahead, seen = [begin], set()
    while ahead:
        name = ahead.pop()
        step = flow.steps.get(name)
        if step is None or name in seen:
            continue
        seen.add(name)
        if variable in _used(step):
            return True
        if variable not in _set(step):
            ahead += [target.name for target in ways_out(flow, step)]
    return False


def _used(step: Step) -> set[str]:
    names = {name for text in _texts(step) for name in text.variables}
    return names | ({step.variable} if isinstance(step, IfStep) else set())


def _set(step: Step) -> set[str]:
    if isinstance(step, SetStep):
        return {name for name, _ in step.changes}
    return {step.variable} if isinstance(step, DigitsStep) else set()


def _texts(value: Any) -> Iterator[Text]:
    """Every text within a step, wherever it stands."""
    if isinstance(value, Text):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, Mapping):
        yield from _texts(tuple(value.values()))
    elif is_dataclass(value):
        for entry in fields(value):
            yield from _texts(getattr(value, entry.name))
