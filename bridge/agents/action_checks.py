"""What an action must hold to be carried out, beyond the types of its fields. Pure; the same for every agent."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import msgspec

from bridge.conversation.actions import Action, Note, Remember, Set, Tuning

MAX_NOTE_BYTES = 64 * 1024
"""Size of a note's data, as JSON."""
MAX_NOTE_DEPTH = 50
"""Objects and lists within each other in a note, or in what is remembered."""
MAX_STATE_BYTES = 16 * 1024
"""Size of what an agent remembers of a call, as JSON: it is written with each answer."""
MAX_KEYTERMS = 100
MAX_KEYTERM_CHARACTERS = 1200
"""All key terms together."""

_RANGES = {
    "end_threshold": (0.05, 0.5),
    "eager_end_threshold": (0.3, 0.6),
    "start_threshold": (0.5, 0.9),
    "end_timeout_ms": (640, 11200),
}
_RISING = ("end_threshold", "eager_end_threshold", "start_threshold")


def fault(action: Action) -> str:
    """Say why `action` cannot be carried out; empty: it can."""
    match action:
        case Note(data):
            return _data_fault("data", data, MAX_NOTE_BYTES)
        case Remember(state):
            return _data_fault("state", state, MAX_STATE_BYTES)
        case Set(voice, language, tuning, recording):
            if tuning == Tuning():
                tuning = None
            if all(part is None for part in (voice, language, tuning, recording)):
                return "`set` changes nothing: give `voice`, `language`, `recording` or a field of `stt`"
            if "" in {voice, language}:
                return "`voice` and `language` must not be empty"
            return "" if tuning is None else _tuning_fault(tuning)
        case _:
            return ""


def _tuning_fault(tuning: Tuning) -> str:
    if "" in {tuning.model, tuning.language}:
        return "`stt.model` and `stt.language` must not be empty"
    terms = tuning.keyterms or ()
    if len(terms) > MAX_KEYTERMS or sum(map(len, terms)) > MAX_KEYTERM_CHARACTERS:
        return f"`stt.keyterms` may hold {MAX_KEYTERMS} terms and {MAX_KEYTERM_CHARACTERS} characters at most"
    if any(not term.strip() for term in terms):
        return "`stt.keyterms` holds an empty term"
    for name, (low, high) in _RANGES.items():
        value = getattr(tuning, name)
        if value is not None and not low <= value <= high:
            return f"`stt.{name}` is {value:g}: it must be from {low:g} to {high:g}"
    given = [(name, value) for name in _RISING if (value := getattr(tuning, name)) is not None]
    for (lower, low), (higher, high) in pairwise(given):
        if low >= high:
            return f"`stt.{lower}` is {low:g}: it must be less than `stt.{higher}`, which is {high:g}"
    return ""


def _data_fault(name: str, data: Mapping[str, Any], most: int) -> str:
    # The depth first: writing what is nested without end would not come back.
    if _deeper(data, MAX_NOTE_DEPTH):
        return f"`{name}` is nested deeper than {MAX_NOTE_DEPTH} levels"
    if (size := len(msgspec.json.encode(data))) > most:
        return f"`{name}` is {size} bytes of JSON: it may be {most} at most"
    return ""


def _deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists are nested in each other more than so often, `value` being the first."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return False
    return levels == 0 or any(_deeper(inner, levels - 1) for inner in value)
