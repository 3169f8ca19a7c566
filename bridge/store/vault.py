"""How recordings are read, encrypted or not: as the WAV files that they are, whatever part of them is wanted."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

from bridge.audio.wav import header
from bridge.store.folder import MESSAGE, RECORDING
from bridge.store.sealing import NO_KEYS, SEALED, Keys, SealedReader, sealed_name

__all__ = ["NO_KEYS", "Keys", "Recording", "open_recording", "open_sound"]


class Recording(Protocol):
    """The sound of a call, or of a message, open for reading: as a plain WAV file, however it lies on the disk.

    Reading blocks on the disk. It may be read while the call goes on: it is then as long as it was when opened.
    """

    channels: int
    encrypted: bool
    complete: bool
    """False: it goes on, or its writer died, or its end was cut off."""

    @property
    def size(self) -> int:
        """Bytes of the WAV file."""

    @property
    def frames(self) -> int:
        """Samples of each side, 8000 a second."""

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of the WAV file; fewer at its end.

        Raises OSError, and BridgeError (`recording_damaged`) for a part that is not what was written.
        """

    def audio(self, first: int, count: int) -> bytes:
        """Return `count` frames from `first` on, both sides' samples by turns; raises as `read` does."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Recording: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Opened:
    """What both kinds have in common: a header that is made up, and frames behind it."""

    encrypted = False
    complete = True

    def __init__(self, channels: int, data_bytes: int) -> None:
        self.channels = channels
        self._data_bytes = data_bytes - data_bytes % channels
        data = self._data_bytes
        self._head = header(channels=channels, data_bytes=data)
        self._foot = b"\0" * (data % 2)  # chunks are padded to even lengths

    @property
    def size(self) -> int:
        """Bytes of the WAV file."""
        return len(self._head) + self._data_bytes + len(self._foot)

    @property
    def frames(self) -> int:
        """Samples of each side."""
        return self._data_bytes // self.channels

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of the WAV file."""
        start = max(0, start)
        stop = min(self.size, start + max(0, length))
        if start >= stop:
            return b""
        head = len(self._head)
        end = head + self._data_bytes
        data = self._data(max(start, head) - head, min(stop, end) - head) if stop > head and start < end else b""
        return self._head[start:stop] + data + self._foot[max(0, start - end) : max(0, stop - end)]

    def audio(self, first: int, count: int) -> bytes:
        """Return frames."""
        start = min(max(0, first) * self.channels, self._data_bytes)
        return self._data(start, min(start + max(0, count) * self.channels, self._data_bytes))

    def close(self) -> None:
        """Let go of the file."""
        raise NotImplementedError

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _data(self, start: int, stop: int) -> bytes:
        """Return the audio between two places."""
        raise NotImplementedError


class _Plain(_Opened):
    """A WAV file as it is."""

    def __init__(self, path: Path, channels: int) -> None:
        head = len(header(channels=channels, data_bytes=0))
        file = path.open("rb")
        try:
            data = max(0, file.seek(0, os.SEEK_END) - head)
            if channels == 1:  # one of odd length is padded by a byte, which only the header tells
                file.seek(max(0, head - 4))
                data = min(data, int.from_bytes(file.read(4), "little"))
        except BaseException:
            file.close()
            raise
        super().__init__(channels, data)
        self._file = file

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _data(self, start: int, stop: int) -> bytes:
        self._file.seek(len(self._head) + start)
        return self._file.read(stop - start)


class _Sealed(_Opened):
    """An encrypted file."""

    encrypted = True

    def __init__(self, path: Path, keys: Keys) -> None:
        self._reader = SealedReader(path, keys)
        super().__init__(self._reader.channels, self._reader.length)
        self.complete = self._reader.complete

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _data(self, start: int, stop: int) -> bytes:
        return self._reader.read(start, stop)


def open_recording(folder: Path, keys: Keys = NO_KEYS, *, message: int | None = None) -> Recording:
    """Open the recording of the call in `folder`, or one of the messages that were left in it. Blocks on the disk.

    Raises FileNotFoundError where there is none, other OSErrors, and BridgeError: `recording_locked` (it was
    encrypted with a key that is not among `keys`), `recording_damaged`.
    """
    name = RECORDING if message is None else MESSAGE.format(number=message)
    return open_sound(folder / name, keys, channels=2 if message is None else 1)


def open_sound(path: Path, keys: Keys, *, channels: int) -> Recording:
    """Open a file of sound under its plain name, or under that of an encrypted one; raises as `open_recording`."""
    if path.suffix == SEALED:
        return _Sealed(path, keys)
    sealed = sealed_name(path)
    return _Sealed(sealed, keys) if sealed.exists() else _Plain(path, channels)
