"""Cutting an agent's streamed text into pieces that can be spoken.

A speech service speaks a piece with the melody of a whole: pieces should be sentences. A full stop ends a
sentence only when something follows it, so that `3.` waits for the `50` that may come.
"""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "no",
        "vs",
        "etc",
        "inc",
        "ltd",
        "co",
        "jr",
        "sr",
        "approx",
        "dept",
        "ext",
        "e.g",
        "i.e",
        "a.m",
        "p.m",
        "u.s",
        "u.k",
    ]
)
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]|\n")
_LOOK_BACK = 40
"""Characters before a full stop that can matter to it: an answer of many sentences stays cheap."""
_LAST_WORD = re.compile(r"([\w.]+)\.$")


def take_sentences(text: str) -> tuple[str, str]:
    """Split `text` into the whole sentences it begins with and the rest; the two joined are `text` again.

    The rest is what may still grow: an unfinished sentence, or one whose end is not certain yet.
    """
    end = 0
    for match in _END.finditer(text):
        if not _is_abbreviation(text[max(0, match.end() - _LOOK_BACK) : match.end()]):
            end = match.end()
    return text[:end], text[end:]


def _is_abbreviation(head: str) -> bool:
    """Tell whether the full stop that ends `head` belongs to its last word (`Dr.`, `J.`, a list's `1.`)."""
    word = _LAST_WORD.search(head)
    if word is None:
        return False
    last = word.group(1)
    if last.isdigit():
        # `1.` at the start of a line or answer numbers a list; `in 1990.` ends a sentence.
        return head[: word.start()].strip() == "" or head[: word.start()].endswith("\n")
    return last.lower() in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last != "I")
