"""The file that a recording is written to: a plain WAV, which is whole at every moment, or an encrypted one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

from bridge.audio.wav import header
from bridge.store.sealing import Keys, SealedFile, reopen_sealed, sealed_name, write_all

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

    def __init__(self, path: Path, *, channels: int, again: bool = False) -> None:
        """Make the file; `again`: go on with one whose writer died. Raises OSError where it is there, or is not."""
        self._channels = channels
        self._file = path.open("r+b" if again else "xb", buffering=0)
        audio = max(0, self._file.seek(0, os.SEEK_END) - HEADER_BYTES)
        self.length = audio - audio % channels

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

    def __init__(self, file: SealedFile) -> None:
        self._file = file

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
    if key is None:
        return WavFile(path, channels=channels)
    return SealedWavFile(SealedFile(sealed_name(path), key, channels=channels))


def reopen_sound_file(path: Path, keys: Keys, *, channels: int) -> SoundFile | None:
    """Go on with the file for audio named `path` whose writer died; None: there is none.

    Raises OSError, and BridgeError for an encrypted one whose key is not known, or that is damaged.
    """
    if path.exists():
        return WavFile(path, channels=channels, again=True)
    sealed = sealed_name(path)
    return SealedWavFile(reopen_sealed(sealed, keys)) if sealed.exists() else None
