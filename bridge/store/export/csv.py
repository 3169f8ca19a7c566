"""A transcript as a table: CSV by RFC 4180, in UTF-8, the first row the names of the columns. Pure.

Spreadsheets take a cell that begins with =, +, - or @ for a formula, and a caller can say anything: such a text
gets an apostrophe in front, which tells them that it is text. Bare numbers, with a plus or a minus or without, are
harmless and stay as they are. Programs that want every text verbatim take the JSON lines.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Final

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.export.lines import COLUMNS, Value, rows
from bridge.store.export.plain import encodable

_FORMULA: Final = re.compile(r"\s*[=+\-@\uff0b\uff0d\uff1d\uff20]|[\t\r\n]")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")


def write_csv(header: CallHeader, entries: Sequence[Entry]) -> bytes:
    """The lines of the transcript; columns as `lines.COLUMNS` tells them."""
    return head() + body(header, entries)


def head() -> bytes:
    """The row with the names of the columns."""
    return _written([COLUMNS])


def body(header: CallHeader, entries: Sequence[Entry]) -> bytes:
    """The other rows: of several calls, they may follow each other."""
    return _written([[_cell(row[name]) for name in COLUMNS] for row in rows(header, entries)])


def _written(table: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(table)
    return out.getvalue().encode()


def _cell(value: Value) -> str:
    if not isinstance(value, str):
        return str(value).lower()
    text = encodable(value).replace("\0", "\ufffd")  # readers give up at a NUL
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
