"""The folder of one call, and what the files in it are called."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bridge.store.base import CallFiles, CallHeader
from bridge.store.sealing import sealed_name

JOURNAL: Final = "journal.jsonl"
TRACE: Final = "trace.jsonl"
RECORDING: Final = "recording.wav"
MESSAGE: Final = "message-{number}.wav"
TRANSCRIPT_TEXT: Final = "transcript.txt"
TRANSCRIPT_JSON: Final = "transcript.json"
TIMELINE: Final = "timeline.svg"

_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")


class CallFolder:
    """`<folder>/<YYYY-MM-DD>/<HHMMSS>-<call id>`, made when it is first needed."""

    def __init__(self, folder: Path, header: CallHeader) -> None:
        self.path = folder / f"{_moment(header):%Y-%m-%d}" / folder_name(header)
        self._made = False

    @classmethod
    def at(cls, path: Path, header: CallHeader) -> CallFolder:
        """A folder that is there already, whose record goes on."""
        folder = cls(path.parent.parent, header)
        folder.path = path
        folder._made = True
        return folder

    def make(self) -> Path:
        """Return the folder, which exists from now on. Blocks on the disk; raises `OSError`.

        A record that is there already is never touched: the new one then gets a number behind its name. Others who
        use the machine cannot look in.
        """
        if self._made:
            return self.path
        self.path.parent.mkdir(parents=True, exist_ok=True)
        wanted = self.path
        for number in itertools.count(2):
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                self.path = wanted.with_name(f"{wanted.name}-{number}")
            else:
                break
        self._made = True
        return self.path


def folder_name(header: CallHeader) -> str:
    """What the folder of a call is named within its day, where no other has that name."""
    return f"{_moment(header):%H%M%S}-{_UNFIT.sub('_', header.id)[:100] or 'call'}"


def files_in(folder: Path, *, recording: bool, sealed: bool = False) -> CallFiles:
    """The files of a call's folder; `sealed`: its recording is encrypted."""
    sound = sealed_name(folder / RECORDING) if sealed else folder / RECORDING
    return CallFiles(
        folder=folder,
        journal=folder / JOURNAL,
        trace=folder / TRACE,
        transcript_text=folder / TRANSCRIPT_TEXT,
        transcript_json=folder / TRANSCRIPT_JSON,
        recording=sound if recording else None,
        timeline=folder / TIMELINE,
    )


def _moment(header: CallHeader) -> datetime:
    try:
        moment = datetime.fromisoformat(header.started_at)
    except ValueError:
        return datetime.now(UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
