"""The file that a recording is written to: a plain WAV, which is whole at every moment, or an encrypted one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

from bridge.audio.wav import header
from bridge.store.sealing import SealedFile, sealed_name, write_all

HEADER_BYTES: Final = len(header(data_bytes=0))
"""As many for one side as for two."""


class SoundFile(Protocol):
    """Takes audio, as it comes. Everything here blocks on the disk and raises `OSError`."""

    @property
    def length(self) -> int:
        """Bytes of audio that are kept; where adding has failed, it may be less than was added."""

    def append(self, data: bytes) -> None:
        """Add audio behind what is kept."""

    def settle(self) -> None:
        """Make a readable file of what is there."""

    def finish(self) -> None:
        """Make it whole and durable: nothing comes behind it."""

    def close(self) -> None:
        """Let go of the file; what was not finished stays as it is. Never raises."""


class WavFile:
    """A plain WAV file of mu-law audio."""

    def __init__(self, path: Path, *, channels: int) -> None:
        """Make the file. Raises OSError, also where it is there already."""
        self._channels = channels
        self._file = path.open("xb", buffering=0)
        self.length = 0

    def append(self, data: bytes) -> None:
        """Add audio."""
        self._file.seek(HEADER_BYTES + self.length)  # over what a failed attempt may have left half written
        write_all(self._file, data)
        self.length += len(data)

    def settle(self) -> None:
        """Let the header tell the length."""
        self._file.seek(0)
        write_all(self._file, header(channels=self._channels, data_bytes=self.length))

    def finish(self) -> None:
        """Make it durable."""
        self.settle()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()  # unbuffered: there is nothing left to write, so nothing to fail


class SealedWavFile:
    """An encrypted file, whose pieces are bare audio: there is no header whose length would have to be told."""

    def __init__(self, path: Path, key: bytes, *, channels: int) -> None:
        """Make the file, named `path` with the ending of encrypted ones. Raises OSError."""
        self._file = SealedFile(sealed_name(path), key, channels=channels)

    @property
    def length(self) -> int:
        """Bytes of audio that are kept."""
        return self._file.length

    def append(self, data: bytes) -> None:
        """Add audio."""
        self._file.append(data)

    def settle(self) -> None:
        """Do nothing: it always is."""

    def finish(self) -> None:
        """Write the last piece, and make all durable."""
        self._file.finish()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def new_sound_file(path: Path, key: bytes | None, *, channels: int) -> SoundFile:
    """Make a file for audio: encrypted where there is a key. Raises OSError."""
    return WavFile(path, channels=channels) if key is None else SealedWavFile(path, key, channels=channels)
