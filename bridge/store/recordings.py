"""The recording of a call: a stereo WAV, left the caller, right the agent as heard, or who the caller talked with.

It grows on the disk while the call goes on and is a whole WAV at every moment. `Recorder` is the event loop's side,
`RecordingFile` the disk thread's.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from bridge.audio.wav import header, interleave
from bridge.errors import BridgeError
from bridge.store.folder import RECORDING, CallFolder
from bridge.store.loudness import Peaks
from bridge.store.placement import BLOCK, BYTES_PER_MS, SILENCE, Placement, Stretch
from bridge.store.sealing import NO_KEYS, Keys, mend_sealed, sealed_name
from bridge.store.vault import open_sound
from bridge.store.wav_file import HEADER_BYTES, SoundFile, new_sound_file, reopen_sound_file
from bridge.store.writer import DiskThread

_log = structlog.get_logger()

_CHANNELS: Final = 2
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

    def __init__(self, folder: CallFolder, *, call: str, key: bytes | None = None) -> None:
        """`key`: what it is encrypted with; None: it is a plain one."""
        self._folder = folder
        self._call = call
        self._key = key
        self._file: SoundFile | None = None
        self._failed = False
        self._closed = False
        """There is a file that cannot be gone on with: nothing is written."""

    def reopen(self, keys: Keys) -> int:
        """Go on with what a process that died has written. Returns how many samples of each side that is.

        One that cannot be opened is logged, and not gone on with. Blocks on the disk; to be called before all else.
        """
        try:
            self._file = reopen_sound_file(self._folder.path / RECORDING, keys, channels=_CHANNELS)
        except (OSError, BridgeError) as error:
            self._failed = self._closed = True
            _log.error("recording_not_gone_on", call=self._call, folder=str(self._folder.path), error=str(error))
        return 0 if self._file is None else self._file.length // _CHANNELS

    def write(self, stretch: Stretch) -> None:
        """Add what has become final."""
        if self._closed:
            return
        try:
            self._write(stretch).settle()
        except OSError as error:
            self._report(error)

    def finish(self, stretch: Stretch) -> bool:
        """Add the rest, make it durable and close. False: there is no recording at all."""
        if self._closed:
            return True
        try:
            self._write(stretch).finish()
        except OSError as error:
            self._report(error)
        if self._file is not None:
            self._file.close()
        return self._file is not None

    def _write(self, stretch: Stretch) -> SoundFile:
        """Write both sides at their place. What is missing before it (a block that failed) becomes silence."""
        file = self._file
        if file is None:
            path = self._folder.make() / RECORDING
            file = self._file = new_sound_file(path, self._key, channels=_CHANNELS)
        for start in range(file.length // _CHANNELS, stretch.start, BLOCK):
            self._append(file, SILENCE * _CHANNELS * min(BLOCK, stretch.start - start))
        for left, right in stretch.blocks():
            self._append(file, interleave(left, right))
        return file

    def _append(self, file: SoundFile, data: bytes) -> None:
        if file.length + len(data) <= _MOST_BYTES:
            file.append(data)

    def _report(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            _log.error("recording_not_written", call=self._call, folder=str(self._folder.path), error=str(error))


class Recorder:
    """Takes the audio of one call on the event loop: places it and hands blocks of about a second to the disk."""

    def __init__(self, file: RecordingFile, disk: DiskThread, *, samples: int = 0) -> None:
        """`samples`: how many of each side the file holds already."""
        self._file = file
        self._disk = disk
        self._placement = Placement()
        if samples:
            self._placement.go_on(samples)

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


def mend(path: Path, keys: Keys = NO_KEYS) -> None:
    """Make a recording whole whose process died before it could: `path` is its plain name.

    Blocks on the disk; raises `OSError`, and `BridgeError` for an encrypted one that cannot be opened.
    """
    if path.exists():
        _mend_plain(path)
    else:
        mend_sealed(sealed_name(path), keys)


def _mend_plain(path: Path) -> None:
    """Let the header tell the length that is there."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        frames = max(0, size - HEADER_BYTES) // _CHANNELS
        file.seek(0)
        file.write(header(channels=_CHANNELS, data_bytes=frames * _CHANNELS))
        file.truncate(HEADER_BYTES + frames * _CHANNELS)


def read_caller(path: Path, from_ms: int, to_ms: int, keys: Keys = NO_KEYS) -> bytes:
    """The caller's side between two times of the call: mu-law, mono. `path` is the recording's plain name.

    Blocks on the disk; raises `OSError`, and `BridgeError` as `open_sound`.
    """
    caller = bytearray()
    with open_sound(path, keys, channels=_CHANNELS) as recording:
        at = max(0, from_ms) * BYTES_PER_MS
        while at < to_ms * BYTES_PER_MS and (piece := recording.audio(at, min(to_ms * BYTES_PER_MS - at, BLOCK))):
            caller += piece[::_CHANNELS]
            at += len(piece) // _CHANNELS
    return bytes(caller)


def read_peaks(path: Path, keys: Keys = NO_KEYS) -> Peaks:
    """How loud both sides are, fifty times a second. `path` is the recording's plain name.

    It reads a second at a time, however long the recording is. Blocks on the disk; raises as `read_caller`.
    """
    caller, agent = bytearray(), bytearray()
    at = 0
    with open_sound(path, keys, channels=_CHANNELS) as recording:
        while second := recording.audio(at, _SECOND_BYTES // _CHANNELS):
            at += len(second) // _CHANNELS
            # Every fourth sample is enough for a picture, and this must not keep the interpreter busy.
            loudness = second.translate(_LOUDNESS)
            for start in range(0, len(loudness), _PEAK_BYTES):
                caller.append(max(loudness[start : start + _PEAK_BYTES : 8]))
                agent.append(max(loudness[start + 1 : start + _PEAK_BYTES : 8], default=0))
    return Peaks(PEAKS_PER_SECOND, bytes(caller), bytes(agent))
