"""A transcript as SRT subtitles, each line with its speaker before it. Pure.

SRT knows one subtitle at a time: where two talk at once, the first ends when the second begins. It has no way to
escape anything, so that a text which looks like a tag is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.export.cues import Cue, cues, stamp


def write_srt(header: CallHeader, entries: Sequence[Entry]) -> bytes:
    """The lines of the transcript; times count from the beginning of the recording."""
    shown = enumerate(cues(header, entries, at_once=False), start=1)
    return "\n".join(_block(number, cue) for number, cue in shown).encode()


def _block(number: int, cue: Cue) -> str:
    text = " ".join(filter(None, (cue.text, cue.remark)))
    # An arrow within the text would look like another subtitle's times to some readers.
    said = f"{cue.name}: {text}".replace("-->", "→")
    return f"{number}\n{stamp(cue.start_ms, ',')} --> {stamp(cue.end_ms, ',')}\n{said}\n"
