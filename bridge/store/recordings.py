"""The recording of a call: a stereo WAV, left the caller, right the agent as heard, or who the caller talked with.

It grows on the disk while the call goes on and is a whole WAV at every moment. `Recorder` is the event loop's side,
`RecordingFile` the disk thread's.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from bridge.audio.wav import header, interleave
from bridge.store.folder import RECORDING, CallFolder
from bridge.store.loudness import Peaks
from bridge.store.placement import BLOCK, BYTES_PER_MS, SILENCE, Placement, Stretch
from bridge.store.writer import DiskThread

_log = structlog.get_logger()

_CHANNELS: Final = 2
_HEADER_BYTES: Final = len(header(channels=_CHANNELS, data_bytes=0))
_MOST_BYTES: Final = 0xFFFFFFFF // 2 - 100
"""Where a recording ends: some readers take a WAV's sizes as signed. It is 37 hours."""
_PIECE_OVERHEAD: Final = 120
"""What Python needs to hold a piece of audio, beside the audio (bytes)."""

PEAKS_PER_SECOND: Final = 50
"""Fine enough to see when a word was over. An hour of a call takes 360 KB so."""
_PEAK_BYTES: Final = 8000 // PEAKS_PER_SECOND * _CHANNELS
_SECOND_BYTES: Final = _PEAK_BYTES * PEAKS_PER_SECOND
_LOUDNESS: Final = bytes(~byte & 0x7F for byte in range(256))
"""Of a mu-law byte: without its sign and complement, larger is louder (on a scale like the ear's)."""


class RecordingFile:
    """The WAV file. Everything here runs on the disk thread; `OSError` is logged once and the next block tried."""

    def __init__(self, folder: CallFolder, *, call: str) -> None:
        self._folder = folder
        self._call = call
        self._file: BinaryIO | None = None
        self._written = 0
        self._failed = False

    def write(self, stretch: Stretch) -> None:
        """Add what has become final."""
        try:
            self._write(stretch)
        except OSError as error:
            self._report(error)

    def finish(self, stretch: Stretch) -> bool:
        """Add the rest, make it durable and close. False: there is no recording at all."""
        try:
            file = self._write(stretch)
            os.fsync(file.fileno())
            file.close()
        except OSError as error:
            self._report(error)
            if self._file is not None:
                self._file.close()  # unbuffered: there is nothing left to write, so nothing to fail
        return self._file is not None

    def _write(self, stretch: Stretch) -> BinaryIO:
        """Write both sides at their place. What is missing before it (a block that failed) becomes silence."""
        file = self._file
        if file is None:
            file = self._file = (self._folder.make() / RECORDING).open("xb", buffering=0)
            _write_all(file, header(channels=_CHANNELS, data_bytes=0))
        for start in range(self._written, stretch.start, BLOCK):
            self._append(file, SILENCE * _CHANNELS * min(BLOCK, stretch.start - start))
        for left, right in stretch.blocks():
            self._append(file, interleave(left, right))
        file.seek(0)
        _write_all(file, header(channels=_CHANNELS, data_bytes=self._written * _CHANNELS))
        return file

    def _append(self, file: BinaryIO, data: bytes) -> None:
        if self._written * _CHANNELS + len(data) > _MOST_BYTES:
            return
        file.seek(_HEADER_BYTES + self._written * _CHANNELS)
        _write_all(file, data)
        self._written += len(data) // _CHANNELS

    def _report(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            _log.error("recording_not_written", call=self._call, folder=str(self._folder.path), error=str(error))


class Recorder:
    """Takes the audio of one call on the event loop: places it and hands blocks of about a second to the disk."""

    def __init__(self, file: RecordingFile, disk: DiskThread) -> None:
        self._file = file
        self._disk = disk
        self._placement = Placement()

    def caller_audio(self, at_ms: int, audio: bytes) -> None:
        """The caller said this; `at_ms` is the carrier's timestamp."""
        self._placement.caller_audio(at_ms, audio)
        self._pass_on()

    def callee_audio(self, at_ms: int, audio: bytes) -> None:
        """Who the caller is connected with said this; `at_ms` is the carrier's timestamp."""
        self._placement.callee_audio(at_ms, audio)
        self._pass_on()

    def agent_audio(self, at_ms: float, audio: bytes) -> None:
        """The phone was handed this."""
        self._placement.agent.play(at_ms, audio)
        self._pass_on()

    def agent_cleared(self, at_ms: float) -> None:
        """The phone dropped what had not sounded."""
        self._placement.agent.clear(at_ms)
        self._pass_on()

    def pause(self, at_ms: float) -> None:
        """From this moment of the call on neither side is kept."""
        self._placement.pause(at_ms)

    def resume(self, at_ms: float) -> None:
        """From this moment of the call on both sides are kept again."""
        self._placement.resume(at_ms)

    async def finish(self) -> bool:
        """Write the rest; False: there is no recording at all."""
        return await self._disk.run(partial(self._file.finish, self._placement.finish()))

    @property
    def dropped_ms(self) -> int:
        """How much of both people's audio was late, doubled or had an impossible timestamp."""
        return (self._placement.caller.dropped + self._placement.callee.dropped) // 8

    def _pass_on(self) -> None:
        if (stretch := self._placement.take()) is not None:
            pieces = stretch.caller + stretch.agent
            size = sum(len(audio) for _, audio in pieces) + _PIECE_OVERHEAD * len(pieces)
            self._disk.put(partial(self._file.write, stretch), size)


def mend(path: Path) -> None:
    """Make the header of a recording tell the length that is there: its process died before it could.

    Blocks on the disk; raises `OSError`.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        frames = max(0, size - _HEADER_BYTES) // _CHANNELS
        file.seek(0)
        file.write(header(channels=_CHANNELS, data_bytes=frames * _CHANNELS))
        file.truncate(_HEADER_BYTES + frames * _CHANNELS)


def read_caller(path: Path, from_ms: int, to_ms: int) -> bytes:
    """The caller's side between two times of the call: mu-law, mono. Blocks on the disk; raises `OSError`."""
    caller = bytearray()
    with path.open("rb") as file:
        file.seek(_HEADER_BYTES + max(0, from_ms) * BYTES_PER_MS * _CHANNELS)
        left = max(0, to_ms - max(0, from_ms)) * BYTES_PER_MS * _CHANNELS
        while left and (piece := file.read(min(left, _SECOND_BYTES))):
            caller += piece[::_CHANNELS]
            left -= len(piece)
    return bytes(caller)


def read_peaks(path: Path) -> Peaks:
    """How loud both sides are, fifty times a second. Blocks on the disk; raises `OSError`.

    It reads a second at a time, however long the recording is.
    """
    caller, agent = bytearray(), bytearray()
    with path.open("rb") as file:
        file.seek(_HEADER_BYTES)
        while second := file.read(_SECOND_BYTES):
            # Every fourth sample is enough for a picture, and this must not keep the interpreter busy.
            loudness = second.translate(_LOUDNESS)
            for start in range(0, len(loudness), _PEAK_BYTES):
                caller.append(max(loudness[start : start + _PEAK_BYTES : 8]))
                agent.append(max(loudness[start + 1 : start + _PEAK_BYTES : 8], default=0))
    return Peaks(PEAKS_PER_SECOND, bytes(caller), bytes(agent))


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:  # an unbuffered file may take less than it was given
        view = view[file.write(view) :]
