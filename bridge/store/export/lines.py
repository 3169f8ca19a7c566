"""A transcript as rows, the same for JSON lines as for CSV. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.said import said, speaker_name

Value: TypeAlias = str | int | bool

COLUMNS: Final = (
    "call",  # the bridge's id
    "line",  # 1, 2, 3 … within the call
    "at",  # wall clock, ISO 8601 in UTC; empty where the call's start is not known
    "start_ms",  # of the call
    "end_ms",
    "speaker",  # caller, agent, callee
    "name",  # of the speaker: where two people talk, with their number or address
    "text",  # verbatim; of the agent: what was heard
    "unheard",  # of the agent: what was to be said and nobody heard
    "interrupted",  # the agent was cut off
    "degraded",  # words are missing, because the speech service was away
)


def rows(header: CallHeader, entries: Sequence[Entry]) -> Iterator[dict[str, Value]]:
    """A row for each line of the transcript, by `COLUMNS`."""
    for number, one in enumerate(said(entries), start=1):
        line = one.line
        yield {
            "call": header.id,
            "line": number,
            "at": _moment(header, line.started_ms),
            "start_ms": line.started_ms,
            "end_ms": line.ended_ms,
            "speaker": line.speaker,
            "name": speaker_name(header, line.speaker),
            "text": line.text,
            "unheard": line.unheard,
            "interrupted": line.interrupted,
            "degraded": one.degraded,
        }


def _moment(header: CallHeader, ms: int) -> str:
    try:
        began = datetime.fromisoformat(header.started_at)
        began = began.replace(tzinfo=UTC) if began.tzinfo is None else began.astimezone(UTC)
        return (began + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return ""
