"""The formats that a transcript can be had in. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.export.csv import write_csv
from bridge.store.export.jsonl import write_jsonl
from bridge.store.export.plain import encodable
from bridge.store.export.srt import write_srt
from bridge.store.export.webvtt import write_webvtt
from bridge.store.texts import transcript_json, transcript_text

Writer: TypeAlias = Callable[[CallHeader, Sequence[Entry]], bytes]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of transcripts."""

    name: str
    media_type: str
    """For `Content-Type`."""
    suffix: str
    """Of files, with its dot."""
    write: Writer
    """Makes the transcript from a call's header and the entries of its journal, whole or as far as they go."""
    write_live: Writer | None = None
    """The same of a call that goes on, where it is to say so; None: as `write`."""

    def written(self, header: CallHeader, entries: Sequence[Entry], *, live: bool) -> bytes:
        """Make the transcript of a call. `live`: it goes on."""
        return (self.write_live if live and self.write_live else self.write)(header, entries)


def _text(header: CallHeader, entries: Sequence[Entry], *, live: bool = False) -> bytes:
    return encodable(transcript_text(header, entries, live=live)).encode()


FORMATS: Final[Mapping[str, Format]] = {
    one.name: one
    for one in (
        Format("text", "text/plain; charset=utf-8", ".txt", _text, partial(_text, live=True)),
        Format("json", "application/json", ".json", transcript_json),
        Format("jsonl", "application/jsonl", ".jsonl", write_jsonl),
        Format("csv", "text/csv; charset=utf-8; header=present", ".csv", write_csv),
        Format("vtt", "text/vtt; charset=utf-8", ".vtt", write_webvtt),
        Format("srt", "application/x-subrip; charset=utf-8", ".srt", write_srt),
    )
}
"""By the name that people give."""
