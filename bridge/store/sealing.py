"""Files of sound that are encrypted where they lie: their format, their keys, and how they are written and read.

A sealed file is a header and then pieces of one size, each of them encrypted with AES-256-GCM under a key of that
file alone:

    8 bytes   the mark of such a file, with its version
    8 bytes   which key of the settings it was sealed with: a part of that key's hash
    16 bytes  salt: the file's own key is made from it and the key of the settings (HKDF, SHA-256)
    1 byte    channels of the sound: 1 or 2
    then      pieces: 12 bytes of nonce, 8192 bytes of mu-law audio encrypted, 16 bytes of authentication

The last piece is shorter, down to no audio at all, and says by its being there that the file is whole. Each piece
is bound to the header, to its number, to whether it is the last, and to the call and the file it belongs to: one
that was changed, moved, left out, or brought from another call's file is noticed. A file whose writer died lacks
its last piece, and up to half a second of sound.

The header of the WAV file is not among what is encrypted, as it tells nothing but the length.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from bridge.errors import BridgeError, MissingExtraError, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEALED: Final = ".enc"
"""What is put behind the name of a file that is encrypted."""
PIECE: Final = 8192
"""Bytes of audio in a piece: about half a second of both sides."""

_MARK: Final = b"PHBSND\x00\x01"
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
_HEAD_BYTES: Final = len(_MARK) + 8 + _SALT_BYTES + 1
_SEALED_PIECE: Final = _NONCE_BYTES + PIECE + _TAG_BYTES
_LEAST_PIECE: Final = _NONCE_BYTES + _TAG_BYTES


@dataclass(frozen=True, slots=True)
class Keys:
    """With what recordings are encrypted and read."""

    current: bytes | None = field(default=None, repr=False)
    """What new ones are encrypted with; None: they are not."""
    old: tuple[bytes, ...] = field(default=(), repr=False)
    """With what earlier ones were."""

    @classmethod
    def read(cls, current: str, old: Iterable[str] = ()) -> Keys:
        """Take keys as the settings hold them. Raises SettingsError, and MissingExtraError where one is needed."""
        keys = cls(
            _key(current, "store.encryption_key (BRIDGE_STORE__ENCRYPTION_KEY)") if current.strip() else None,
            tuple(_key(one, "store.old_encryption_keys (BRIDGE_STORE__OLD_ENCRYPTION_KEYS)") for one in old),
        )
        if keys.current is not None or keys.old:
            _cipher(bytes(_KEY_BYTES))
        return keys

    def named(self, name: bytes) -> bytes | None:
        """Return the key that a file names."""
        known = (*(() if self.current is None else (self.current,)), *self.old)
        return next((key for key in known if _name_of(key) == name), None)


NO_KEYS: Final = Keys()


@dataclass(frozen=True, slots=True)
class Left:
    """What a writer that died has left of an encrypted file."""

    head: bytes
    pieces: int
    """Whole ones."""
    rest: bytes
    """Audio of the last piece, where there is one."""


class SealedFile:
    """An encrypted file being written; what is added is on the disk once a piece of it is full.

    A write that fails may be repeated: what was in pieces that are not on the disk is lost then, and `length` tells
    how much is kept.
    """

    def __init__(self, path: Path, key: bytes, *, channels: int, left: Left | None = None) -> None:
        """Make the file, or go on with what is `left`. Raises OSError where it is there already, or is not."""
        salt = os.urandom(_SALT_BYTES) if left is None else left.head[len(_MARK) + 8 : -1]
        self._head = _MARK + _name_of(key) + salt + bytes([channels])
        self._cipher, self._bound = _cipher(_file_key(key, salt)), _bound_to(path, self._head)
        self._channels = channels
        self._pieces = 0 if left is None else left.pieces
        self._waiting = bytearray(b"" if left is None else left.rest)
        self._file = path.open("xb" if left is None else "r+b", buffering=0)
        self._begun = left is not None
        if left is not None:
            self._file.truncate(_HEAD_BYTES + self._pieces * _SEALED_PIECE)

    @property
    def length(self) -> int:
        """Bytes of audio that were taken."""
        return self._pieces * PIECE + len(self._waiting)

    def append(self, data: bytes) -> None:
        """Add audio. Raises OSError."""
        self._begin()
        self._waiting += data
        try:
            while len(self._waiting) >= PIECE:
                self._write(bytes(self._waiting[:PIECE]), last=False)
                del self._waiting[:PIECE]
                self._pieces += 1
        except OSError:
            del self._waiting[PIECE - self._channels :]  # less than a piece: the rest is left out
            raise

    def finish(self) -> None:
        """Write the last piece, which says that the file is whole, and make all durable. Raises OSError."""
        self._begin()
        self._write(bytes(self._waiting), last=True)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _begin(self) -> None:
        if not self._begun:
            self._file.seek(0)
            write_all(self._file, self._head)
            self._begun = True

    def _write(self, audio: bytes, *, last: bool) -> None:
        # A nonce of its own for every attempt: a piece that failed half-way may come again with other audio.
        nonce = os.urandom(_NONCE_BYTES)
        bound = _bound_piece(self._bound, self._pieces, last=last)
        self._file.seek(_HEAD_BYTES + self._pieces * _SEALED_PIECE)
        write_all(self._file, nonce + self._cipher.encrypt(nonce, audio, bound))


class SealedReader:
    """An encrypted file, open for reading. Pieces are decrypted as they are needed, and the last one is kept.

    Raises OSError, and BridgeError: `recording_locked`, `recording_damaged`.
    """

    def __init__(self, path: Path, keys: Keys) -> None:
        """Open it. Blocks on the disk."""
        self._path = path
        self._file = path.open("rb")
        try:
            self._begin(keys)
        except BaseException:
            self._file.close()
            raise

    def _begin(self, keys: Keys) -> None:
        head = self._file.read(_HEAD_BYTES)
        self._cipher, self._bound = _opened_with(self._path, head, keys)
        self.channels = head[-1]
        size = self._file.seek(0, os.SEEK_END)
        self._whole, rest = divmod(max(0, size - _HEAD_BYTES), _SEALED_PIECE)
        last = self._ending(rest)
        self._last = last or b""
        self._kept: tuple[int, bytes] = (-1, b"")
        self.complete = last is not None
        """The last piece is there. Else the file goes on, its writer died, or its end was cut off."""
        self.length = self._whole * PIECE + len(self._last)
        """Bytes of audio."""
        self.left = Left(head, self._whole, self._last)

    def _ending(self, rest: int) -> bytes | None:
        """Read the last piece; None: there is none, or only a part of one that was being written."""
        if rest < _LEAST_PIECE:
            return None
        self._file.seek(_HEAD_BYTES + self._whole * _SEALED_PIECE)
        return _decrypted(self._cipher, self._file.read(rest), self._bound, self._whole, last=True)

    def read(self, start: int, stop: int) -> bytes:
        """Return the audio between two places; they lie within it."""
        pieces = [self._piece(number) for number in range(start // PIECE, -(-stop // PIECE))]
        offset = start % PIECE
        return b"".join(pieces)[offset : offset + stop - start]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def mend(self) -> None:
        """Write the last piece where it is missing, over what is no whole piece. Raises OSError."""
        if self.complete:
            return
        nonce = os.urandom(_NONCE_BYTES)
        bound = _bound_piece(self._bound, self._whole, last=True)
        with self._path.open("r+b", buffering=0) as file:
            file.truncate(_HEAD_BYTES + self._whole * _SEALED_PIECE)
            file.seek(0, os.SEEK_END)
            write_all(file, nonce + self._cipher.encrypt(nonce, b"", bound))

    def _piece(self, number: int) -> bytes:
        if number == self._kept[0]:
            return self._kept[1]
        if number >= self._whole:
            return self._last
        self._file.seek(_HEAD_BYTES + number * _SEALED_PIECE)
        found = _decrypted(self._cipher, self._file.read(_SEALED_PIECE), self._bound, number, last=False)
        if found is None:
            raise BridgeError(
                f"{self._path} is damaged at {number * PIECE} bytes: it is not what was written there",
                code="recording_damaged",
            )
        self._kept = (number, found)
        return found


def key_name_of(path: Path) -> bytes:
    """Return the name of the key that a file is encrypted with, as `Keys.named` knows it.

    Blocks on the disk. Raises OSError, and BridgeError (`recording_damaged`) for what is no such file.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or not head.startswith(_MARK):
        raise BridgeError(f"{path} is no encrypted recording", code="recording_damaged")
    return head[len(_MARK) : len(_MARK) + 8]


def sealed_name(path: Path) -> Path:
    """Where the encrypted file lies."""
    return path.with_name(path.name + SEALED)


def seal(path: Path, audio: bytes, key: bytes, *, channels: int) -> None:
    """Write a whole encrypted file, in the place of one that may be there. Raises OSError.

    Nobody ever sees half of it: it gets its name when it is complete.
    """
    half = path.with_name(f".{path.name}.part")
    half.unlink(missing_ok=True)
    file = SealedFile(half, key, channels=channels)
    file._bound = _bound_to(path, file._head)  # noqa: SLF001  It is bound to the name that it gets.
    try:
        file.append(audio)
        file.finish()
    finally:
        file.close()
    half.replace(path)


def reopen_sealed(path: Path, keys: Keys) -> SealedFile:
    """Go on with an encrypted file whose writer died; raises as `SealedReader`. Blocks on the disk."""
    reader = SealedReader(path, keys)
    reader.close()
    left = reader.left
    key = keys.named(left.head[len(_MARK) : len(_MARK) + 8])
    assert key is not None  # noqa: S101  It was read with it.
    return SealedFile(path, key, channels=left.head[-1], left=left)


def mend_sealed(path: Path, keys: Keys) -> None:
    """Give an encrypted file whose writer died its last piece; raises as `SealedReader`. Blocks on the disk."""
    reader = SealedReader(path, keys)
    try:
        reader.mend()
    finally:
        reader.close()


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of it: an unbuffered file may take less than it was given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _opened_with(path: Path, head: bytes, keys: Keys) -> tuple[AESGCM, bytes]:
    if len(head) < _HEAD_BYTES or not head.startswith(_MARK[:-1]) or head[-1] not in {1, 2}:
        raise BridgeError(f"{path} is no encrypted recording", code="recording_damaged")
    if not head.startswith(_MARK):
        raise BridgeError(f"{path} was encrypted by a newer phone-bridge: install that", code="recording_locked")
    name, salt = head[len(_MARK) : len(_MARK) + 8], head[len(_MARK) + 8 : -1]
    key = keys.named(name)
    if key is None:
        raise BridgeError(
            f"{path} is encrypted with a key (its name is {name.hex()}) that is not in the settings: put it into"
            " store.old_encryption_keys (BRIDGE_STORE__OLD_ENCRYPTION_KEYS)",
            code="recording_locked",
        )
    return _cipher(_file_key(key, salt)), _bound_to(path, head)


def _decrypted(cipher: AESGCM, piece: bytes, bound: bytes, number: int, *, last: bool) -> bytes | None:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (an extra)

    try:
        nonce, sealed = piece[:_NONCE_BYTES], piece[_NONCE_BYTES:]
        return cipher.decrypt(nonce, sealed, _bound_piece(bound, number, last=last))
    except (InvalidTag, ValueError):
        return None


def _bound_to(path: Path, head: bytes) -> bytes:
    """What every piece is bound to: the file's header, and the call and the file that it is.

    A call's folder may be moved to another place, but not be given another name.
    """
    return head + f"{path.parent.name}/{path.name}".encode()


def _bound_piece(bound: bytes, number: int, *, last: bool) -> bytes:
    return number.to_bytes(8, "big") + bytes([last]) + bound


def _file_key(key: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  (an extra)
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    return HKDF(SHA256(), _KEY_BYTES, salt, b"phone-bridge recording").derive(key)


def _name_of(key: bytes) -> bytes:
    return hashlib.sha256(b"phone-bridge key name" + key).digest()[:8]


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  (an extra)
    except ImportError:
        raise MissingExtraError("encryption", "store.encryption_key (BRIDGE_STORE__ENCRYPTION_KEY)") from None
    return AESGCM(key)


def _key(text: str, setting: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise SettingsError(
            f"{setting} is no key: wanted {_KEY_BYTES} bytes in base64, as  openssl rand -base64 32  makes them"
        )
    return key
