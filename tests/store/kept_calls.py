"""Calls in their folders, as a bridge leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bridge.conversation.journal import Entry
from bridge.store.base import CallFiles, CallHeader
from bridge.store.files import FileStore


async def keep(
    folder: Path, calls: Iterable[tuple[CallHeader, Sequence[Entry]]], *, sound_ms: int = 0, live: str = ""
) -> list[CallFiles]:
    """Keep calls below `folder`, with so much sound of the caller; the call whose id is `live` seems to go on."""
    store = FileStore(folder)
    files = []
    for header, entries in calls:
        record = store.open(header)
        for entry in entries:
            record.append(entry)
        for at_ms in range(0, sound_ms, 20):
            record.caller_audio(at_ms, b"\x10" * 160)
        files.append(await record.close())
        if header.id == live:
            for made_at_the_end in (files[-1].timeline, files[-1].transcript_text, files[-1].transcript_json):
                made_at_the_end.unlink()
    await store.close()
    return files
