"""What a text loses where a format cannot hold it. Pure."""

from __future__ import annotations

import re
from typing import Final, TypeVar

T = TypeVar("T")

_ENDS: Final = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")


def encodable(value: T) -> T:
    """A text as UTF-8 can hold it: half of a surrogate pair becomes a question mark. Anything else as it is."""
    if isinstance(value, str):
        return type(value)(value.encode("utf-8", "replace").decode())
    return value


def cue_text(text: str) -> str:
    """A text as a subtitle can hold it: without empty lines, which would end it, and without NUL."""
    lines = _ENDS.sub("\n", encodable(text)).replace("\0", "\ufffd").split("\n")
    return "\n".join(line for line in lines if line.strip(" \t")) if len(lines) > 1 else lines[0]
