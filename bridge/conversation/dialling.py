"""Whom a caller may be passed on to: patterns of numbers and SIP addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


def may_dial(to: str, allowed: Sequence[str]) -> bool:
    """Tell whether `to` fits one of the patterns.

    `*` at a pattern's end stands for anything (`+49*`, `sip:*`); elsewhere for a part of an address, which it
    cannot leave: `sip:*@pbx.example.com` is every name there, and nothing that only ends so.
    """
    return any(_read(pattern).fullmatch(to) for pattern in allowed)


@lru_cache(maxsize=1024)
def _read(pattern: str) -> re.Pattern[str]:
    inner = pattern.removesuffix("*")
    parts = "[^@;?]*".join(map(re.escape, inner.split("*")))
    return re.compile(parts + (".*" if inner != pattern else ""), re.IGNORECASE)
