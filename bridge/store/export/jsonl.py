"""A transcript as JSON lines: an object for each line, all with the same fields. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.export.lines import rows
from bridge.store.export.plain import encodable


def write_jsonl(header: CallHeader, entries: Sequence[Entry]) -> bytes:
    """The lines of the transcript, verbatim; fields as `lines.COLUMNS` tells them. Of a silent call: nothing."""
    kept = ({name: encodable(value) for name, value in row.items()} for row in rows(header, entries))
    return b"".join(msgspec.json.encode(row) + b"\n" for row in kept)
