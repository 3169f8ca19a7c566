"""What callers say and press, masked in the lines of a call's trace. Pure.

A trace holds words as they come, piece by piece: each piece may be the beginning of a number, or a part of it that
says nothing alone. So no digit and no number word stays, whatever is around it: `0` for each digit, `x` for each
letter of a number word. Pieces keep their length, and the same piece always gives the same: played again, a masked
trace leads to the same decisions, as none depends on which digit it is.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from bridge.privacy.numbers import masked
from bridge.privacy.redactor import Redactor

_WORDS: Final = frozenset(
    # As the fields of events, commands and actions are called.
    "transcript text heard unheard content summary farewell message data state handoff".split()  # noqa: SIM905  A sentence is easier to read than a list.
)
"""Fields that hold what was said, or what somebody made of it."""
_KEYS: Final = frozenset({"digit", "digits"})
_DIGIT: Final = re.compile(r"[0-9A-D]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_WORD: Final = re.compile(r"[^\W_]+")
_KEPT: Final = frozenset(
    # Words of listeners.
    "uh huh um hm hmm mm mhm mmhm yeah yep yes yup no nope ok okay right sure alright oh ah aha i see".split()  # noqa: SIM905  A sentence is easier to read than a list.
)
"""Words that stay where whole words are masked: whether somebody only listens depends on them."""
_NOTHING_SAID: Final = re.compile(rb'"(?:' + "|".join(sorted(_WORDS | _KEYS)).encode() + rb')":(?!""|null)')
_FIELD: Final = re.compile(r'"(?!is"|name")(\w+)":"([^"]+)"')
"""A field that holds a text which may have to be masked."""


class TraceMask:
    """Masks the lines of traces; one for all calls."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._active = redactor.active
        self._mask = _without_words if redactor.words else masked

    def line(self, line: bytes) -> bytes:
        """Return the line as it may be written. The first one, with the rules of the call, comes back as it is.

        Raises ValueError for what is no line of a trace.
        """
        if not self._active or _NOTHING_SAID.search(line) is None:
            return line
        if _is_flat(line):  # It need not be taken apart.
            return _FIELD.sub(self._field, line.decode()).encode()
        try:
            step = msgspec.json.decode(line)
        except msgspec.DecodeError:
            step = json.loads(line)  # A note that is not JSON is written by Python, whose JSON knows NaN.
        if not isinstance(step, dict) or "event" not in step:
            return line  # the first one, which holds the rules of the call
        clean = {name: self._walked(value) for name, value in step.items()}
        return line if clean == step else msgspec.json.encode(clean) + b"\n"

    def _field(self, found: re.Match[str]) -> str:
        name, text = found.groups()
        return f'"{name}":"{self._text(text, name)}"'

    def _walked(self, value: Any, field: str = "") -> Any:
        if isinstance(value, str):
            return self._text(value, field)
        if isinstance(value, dict):
            return {
                # What hangs below a note's data is the agent's own, whatever its fields are called. So are their
                # names: one may be a number that the caller has said.
                self._name(name, field): self._walked(item, field if field in _WORDS else name)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self._walked(item, field) for item in value]
        if field in _WORDS and isinstance(value, int | float) and not isinstance(value, bool):
            return 0  # in a note
        return value

    def _name(self, name: str, field: str) -> str:
        return self._redactor.text(name) if field in {"data", "state"} and name != "map" else name

    def _text(self, text: str, field: str) -> str:
        if field in _KEYS:
            return _DIGIT.sub("0", text)
        if field in _WORDS:
            return self._mask(text)
        return text if field in {"is", "name"} else self._redactor.text(text)


def _is_flat(line: bytes) -> bool:
    """Tell whether each text of a step stands behind the name of its field, as it is: so it does in nearly all."""
    if not line.startswith(b'{"now":') or line.startswith(b'{"now": '):
        return False  # It is the first one, or was not written by msgspec.
    return not (b"\\" in line or b'"map"' in line or b'"data":' in line or b'["' in line)


def _without_words(text: str) -> str:
    """Return the text with every digit as 0 and every letter as x, but for the words of listeners."""
    return _WORD.sub(lambda found: found[0] if found[0].lower() in _KEPT else _blank(found[0]), text)


def _blank(word: str) -> str:
    return "".join("0" if one.isdecimal() else ("X" if one.isupper() else "x") for one in word)
