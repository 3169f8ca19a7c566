"""Calls kept as files: one folder per call, `<folder>/<YYYY-MM-DD>/<HHMMSS>-<call id>/`.

Journal and recording are written as the call goes on. Transcript and picture are made from the journal when the
call is over, by the same function that makes them for a call whose process died.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import structlog
from msgspec import Struct

from bridge.conversation.journal import (
    Entry,
    MessageLeft,
    RecordingPaused,
    RecordingResumed,
    StreamBroke,
    recording_after,
)
from bridge.errors import BridgeError
from bridge.store.base import CallFiles, CallHeader, Reopened
from bridge.store.folder import JOURNAL, RECORDING, TIMELINE, TRACE, CallFolder, files_in
from bridge.store.journal_file import JournalFile, entry_line, header_line, read_journal
from bridge.store.lines import Lines
from bridge.store.loudness import Peaks
from bridge.store.markers import spans
from bridge.store.messages import replace_file, write_message
from bridge.store.recordings import Recorder, RecordingFile, mend, read_caller, read_peaks
from bridge.store.sealing import NO_KEYS, Keys, sealed_name
from bridge.store.taking_over import (
    TakenOver,
    away_s,
    keep_sounding,
    last_written,
    left_behind,
    own,
    sid_of,
    take_over,
)
from bridge.store.texts import transcript_json, transcript_text
from bridge.store.writer import DiskThread, shared_disk
from bridge.tasks import spawn

__all__ = ["FileRecord", "FileStore", "finish_from_journal", "read_journal", "unfinished"]

OnGrowth: TypeAlias = Callable[[Path, str], None]
"""Is told the folder and the id of a call whose journal on the disk has grown; called on the disk thread."""

_log = structlog.get_logger()


class Ways(Struct, frozen=True):
    """How calls are kept, the same for all."""

    record_audio: bool = True
    """Whether there is a recording, where the call's header has nothing against it."""
    keys: Keys = NO_KEYS
    """What recordings are encrypted with."""
    on_growth: OnGrowth = lambda *_: None
    on_written: Callable[[float], None] | None = None
    """As that of `Lines`, for the journals."""


class FileStore:
    """Keeps calls as files under `folder`; a `bridge.store.base.Store`."""

    def __init__(
        self,
        folder: Path,
        record_audio: bool = True,
        *,
        disk: DiskThread | None = None,
        keys: Keys = NO_KEYS,
        on_growth: OnGrowth = lambda *_: None,
        on_written: Callable[[float], None] | None = None,
        resume_s: float = 0.0,
    ) -> None:
        """`record_audio`, `keys`, `on_growth` and `on_written` as in `Ways`.

        `resume_s`: for how long, since anything was last written of it, a call may be taken over from a process
        that has died; then it is finished. 0: none is taken over.
        """
        self._resume_s = resume_s
        self._folder = folder
        self._disk = disk or shared_disk()
        self._ways = Ways(record_audio, keys, on_growth, on_written)
        self.away: set[str] = set()
        """The carrier's ids of calls whose process died while they were with somebody else."""

    def open(self, header: CallHeader) -> FileRecord:
        """Begin the record of a call. Returns at once; when its folder cannot be made, that is logged."""
        return FileRecord(self._folder, header, self._disk, self._ways)

    async def reopen(self, sid: str) -> Reopened | None:
        """Take over the call with this id of the carrier's; as `bridge.store.base.Store` has it."""
        if not self._resume_s or not sid:
            return None
        try:
            taken = await asyncio.to_thread(take_over, self._folder, sid)
            if taken is None:
                return None
            record = await asyncio.to_thread(self._go_on, taken)
        except (OSError, BridgeError) as error:
            _log.error("call_not_taken_over", sid=sid, error=str(error))
            return None
        self._ways.on_growth(taken.folder, taken.header.id)
        return Reopened(taken.header, taken.entries, taken.epoch, taken.at_ms, record)

    def _go_on(self, taken: TakenOver) -> FileRecord:
        return FileRecord(self._folder, taken.header, self._disk, self._ways, taken)

    async def finish_left_over(self, ours: Callable[[Path], bool] = lambda _: True) -> None:
        """Write transcript and picture of calls whose process died. Cancelling leaves the rest for next time.

        A call that may still be taken over is left alone until it cannot be any more. `ours` tells of a folder
        whether that is this process's work; it is asked on a thread.
        """
        for due, folder in await asyncio.to_thread(self._left_over, ours):
            await asyncio.sleep(due - time.time())
            try:
                if await asyncio.to_thread(self._finish_left, folder):
                    _log.info("call_finished_late", folder=str(folder))
            except (OSError, BridgeError) as error:
                _log.warning("call_not_finished", folder=str(folder), error=str(error))

    def _left_over(self, ours: Callable[[Path], bool]) -> list[tuple[float, Path]]:
        """The calls that are to be finished, and when by the wall clock; the first one first."""
        folders = [*filter(ours, unfinished(self._folder))]
        now = time.time()  # What is newer was written by another clock.
        return sorted((min(last_written(folder), now) + self._patience_s(folder), folder) for folder in folders)

    def _patience_s(self, folder: Path) -> float:
        """For how long since it was last written a call may be taken over."""
        if not self._resume_s:
            return 0.0
        try:
            seconds = away_s(folder)
        except (OSError, BridgeError):
            return self._resume_s
        if seconds:
            self.away.add(sid_of(folder))
        return self._resume_s + seconds

    def _finish_left(self, folder: Path) -> bool:
        """Finish the call in a folder, unless another process has taken it over, or finished it."""
        with left_behind(folder) as left:
            if left:
                if (call := keep_sounding(folder)) is not None:
                    self._ways.on_growth(folder, call)
                finish_from_journal(folder, self._ways.keys)
            return left

    async def close(self) -> None:
        """Wait until all that was handed over is written, and end the disk thread."""
        await self._disk.close()


class FileRecord:
    """One call's folder; a `bridge.store.base.CallRecord`."""

    def __init__(
        self,
        folder: Path,
        header: CallHeader,
        disk: DiskThread,
        ways: Ways,
        taken: TakenOver | None = None,
    ) -> None:
        """`taken`: what was taken over of a call that goes on; then this blocks on the disk."""
        self._call = header.id
        self._on_growth = ways.on_growth
        self._disk = disk
        self._keys = keys = ways.keys
        self._folder = CallFolder(folder, header) if taken is None else CallFolder.at(taken.folder, header)
        journal, trace = (None, None) if taken is None else (taken.journal, taken.trace)
        self._journal = JournalFile(self._folder, call=header.id, file=journal, own=own)
        self._trace = JournalFile(self._folder, call=header.id, name=TRACE, file=trace)
        recording = RecordingFile(self._folder, call=header.id, key=keys.current)
        samples = 0 if taken is None else recording.reopen(keys)
        recorded = ways.record_audio and header.recording != "off"
        self._recorder = Recorder(recording, disk, samples=samples) if recorded else None
        entries = () if taken is None else taken.entries
        if self._recorder is not None and recording_after(entries, header.recording) == "paused":
            self._recorder.pause(0)  # Whatever comes first: nobody has consented yet.
        self._closing: asyncio.Task[CallFiles] | None = None
        self._journal_lines = Lines(
            disk,
            partial(_write, self._journal, self._folder, header.id, ways.on_growth),
            vital=True,
            on_written=ways.on_written,
        )
        self._trace_lines = Lines(disk, self._trace.write)
        if taken is None:
            self._journal_lines.add(header_line(header))

    def append(self, entry: Entry) -> None:
        """Keep an entry of the journal. Never waits and never raises."""
        if self._closing is not None:
            return
        try:
            line = entry_line(entry)
        except TypeError as error:
            _log.error("journal_entry_unfit", call=self._call, entry=type(entry).__name__, error=str(error))
            return
        self._journal_lines.add(line)
        if isinstance(entry, StreamBroke):
            # What the phone still held went with its stream, and no `clear` will tell of it.
            self.agent_cleared(entry.at_ms)

    def trace(self, line: bytes) -> None:
        """Keep a line of the trace. Never waits and never raises."""
        if self._closing is None:
            self._trace_lines.add(line)

    def caller_audio(self, at_ms: int, audio: bytes) -> None:
        """Keep what the caller said; `at_ms` is the carrier's timestamp. Never waits and never raises."""
        if self._recorder is not None and self._closing is None:
            self._recorder.caller_audio(at_ms, audio)

    def callee_audio(self, at_ms: int, audio: bytes) -> None:
        """Keep what the person said whom the caller talks with. Never waits and never raises."""
        if self._recorder is not None and self._closing is None:
            self._recorder.callee_audio(at_ms, audio)

    def agent_audio(self, at_ms: float, audio: bytes) -> None:
        """Keep what was handed to the phone at `at_ms`. Never waits and never raises."""
        if self._recorder is not None and self._closing is None:
            self._recorder.agent_audio(at_ms, audio)

    def agent_cleared(self, at_ms: float) -> None:
        """Take back what had not sounded by `at_ms`. Never waits and never raises."""
        if self._recorder is not None and self._closing is None:
            self._recorder.agent_cleared(at_ms)

    async def settled(self) -> None:
        """Wait until all entries handed over so far have left the process. Cancelling stops the waiting only."""
        await self._disk.settled()

    def pause_audio(self, at_ms: float) -> None:
        """From then on keep silence in place of both sides. Never waits and never raises."""
        if self._recorder is not None and self._closing is None:
            self._recorder.pause(at_ms)

    def resume_audio(self, at_ms: float) -> None:
        """From then on keep again what both sides say. Never waits and never raises."""
        if self._recorder is not None and self._closing is None:
            self._recorder.resume(at_ms)

    async def close(self) -> CallFiles:
        """Finish the record: journal and recording are durable then, transcript and picture written.

        What failed is in the log; the files named may then be missing. Closing twice returns the same. Being
        cancelled stops the waiting, not the work.
        """
        if self._closing is None:
            self._closing = spawn(self._close(), name=f"store-close-{self._call}")
        return await asyncio.shield(self._closing)

    async def _close(self) -> CallFiles:
        recorded = False
        if self._recorder is not None:
            recorded = await self._recorder.finish()
            if self._recorder.dropped_ms:
                _log.info("audio_not_placed", call=self._call, dropped_ms=self._recorder.dropped_ms)
        return await self._disk.run(partial(self._finish, recorded=recorded))

    def _finish(self, *, recorded: bool) -> CallFiles:
        self._trace.finish()
        held = self._hold()
        self._journal.finish()
        self._on_growth(self._folder.path, self._call)  # what had failed before may be in now
        try:
            return finish_from_journal(self._folder.path, self._keys)
        except (OSError, BridgeError) as error:
            _log.error("call_not_finished", call=self._call, folder=str(self._folder.path), error=str(error))
        except Exception:  # noqa: BLE001 - it is logged; a fault in a picture must not disturb the end of a call
            _log.exception("call_not_finished", call=self._call, folder=str(self._folder.path))
        finally:
            if held is not None:
                os.close(held)
        return files_in(self._folder.path, recording=recorded, sealed=self._keys.current is not None)

    def _hold(self) -> int | None:
        """Keep the call for as long as it is being finished: nobody else is to do it at the same time."""
        try:
            return self._journal.hold()
        except OSError:
            return None


def _write(journal: JournalFile, folder: CallFolder, call: str, on_growth: OnGrowth, lines: bytes) -> None:
    """Write lines of the journal, and tell. Not a record's own method: the two would keep each other."""
    journal.write(lines)
    on_growth(folder.path, call)


def finish_from_journal(folder: Path, keys: Keys = NO_KEYS) -> CallFiles:
    """Write transcript, messages and picture of the call in `folder` from its journal, and mend its recording.

    For a call that just ended as for one whose process died; doing it again does no harm. A recording that cannot
    be opened, for want of its key, keeps nothing of the rest from being written. Blocks on the disk. Raises
    `OSError`, and `BridgeError` (code `journal_unreadable`) when the journal has no header.
    """
    from bridge.store.timeline import timeline_svg  # noqa: PLC0415  What draws comes with the first call that ends.

    header, entries = read_journal(folder / JOURNAL)
    recording = folder / RECORDING
    sealed = not recording.exists() and sealed_name(recording).exists()
    files = files_in(folder, recording=sealed or recording.exists(), sealed=sealed)
    replace_file(files.transcript_text, transcript_text(header, entries).encode())
    replace_file(files.transcript_json, transcript_json(header, entries))
    peaks = None
    if files.recording is not None:
        peaks = _finish_recording(recording, entries, keys)
    replace_file(files.timeline, timeline_svg(header, entries, peaks).encode())  # the last: it means "finished"
    return files


def _finish_recording(recording: Path, entries: Sequence[Entry], keys: Keys) -> Peaks | None:
    """Mend the recording, cut messages out of it, and look how loud it is. Raises `OSError`."""
    try:
        mend(recording, keys)
        _cut_messages(recording, entries, keys)
        return read_peaks(recording, keys)
    except BridgeError as error:
        _log.error("recording_not_opened", folder=str(recording.parent), code=error.code, error=error.message)
        return None


def _cut_messages(recording: Path, entries: Sequence[Entry], keys: Keys) -> None:
    """Give each message that the caller left a file of its own, but those of which nothing was recorded.

    It is encrypted if there is a key. Raises `OSError`, and `BridgeError` as `read_caller`.
    """
    paused = spans(entries, RecordingPaused, RecordingResumed)
    for entry in entries:
        if isinstance(entry, MessageLeft) and not entry.url and not _within(entry, paused):
            audio = read_caller(recording, entry.from_ms, entry.to_ms, keys)
            write_message(recording.parent, entry.number, audio, keys)


def _within(message: MessageLeft, paused: Sequence[tuple[int, int | None]]) -> bool:
    """Tell whether the recording was paused for as long as a message lasted."""
    return any(
        start <= message.from_ms and (stop is None or stop >= message.to_ms) and message.to_ms > message.from_ms
        for start, stop in paused
    )


def unfinished(folder: Path) -> list[Path]:
    """The folders under a store's `folder` whose calls have no picture: they go on, or their process died.

    Blocks on the disk; a folder that is not there holds none.
    """
    journals = sorted(folder.glob(f"*/*/{JOURNAL}"))
    return [path.parent for path in journals if not path.with_name(TIMELINE).exists()]
