"""A transcript as WebVTT, for a player beside the recording: a cue for each line, with a voice tag. Pure.

Two who talk at once are shown at once. What was not heard and what is missing stands in italics. The characters
that WebVTT gives a meaning are escaped, so that a reader gets the verbatim text back, but for empty lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.export.cues import Cue, cues, stamp
from bridge.store.export.plain import cue_text


def write_webvtt(header: CallHeader, entries: Sequence[Entry]) -> bytes:
    """The lines of the transcript as cues; times count from the beginning of the recording."""
    note = cue_text(f"Call {header.id}, {header.direction}, from {header.caller} to {header.called}")
    blocks = ["WEBVTT", "NOTE\n" + note.replace("-->", "→")]
    blocks += [_block(cue) for cue in cues(header, entries, at_once=True)]
    return ("\n\n".join(blocks) + "\n").encode()


def _block(cue: Cue) -> str:
    remark = f"<i>{_escaped(cue.remark)}</i>" if cue.remark else ""
    text = " ".join(filter(None, (_escaped(cue.text), remark)))
    return f"{stamp(cue.start_ms, '.')} --> {stamp(cue.end_ms, '.')}\n<v {_escaped(cue.name)}>{text}</v>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
