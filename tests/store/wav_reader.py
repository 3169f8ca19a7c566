"""A reader of the one kind of WAV that recordings are, written apart from what writes them."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass
class Recording:
    left: bytes
    right: bytes


def read(file: bytes) -> Recording:
    riff, riff_size, wave = struct.unpack_from("<4sI4s", file)
    assert (riff, wave) == (b"RIFF", b"WAVE")
    assert riff_size + 8 <= len(file), "the header tells of more than there is"
    chunks, at = {}, 12
    while at < riff_size + 8:
        name, size = struct.unpack_from("<4sI", file, at)
        chunks[name] = file[at + 8 : at + 8 + size]
        at += 8 + size
    tag, channels, rate, byte_rate, align, bits, extra = struct.unpack("<HHIIHHH", chunks[b"fmt "])
    assert (tag, channels, rate, byte_rate, align, bits, extra) == (7, 2, 8000, 16000, 2, 8, 0)
    (frames,) = struct.unpack("<I", chunks[b"fact"])
    data = chunks[b"data"]
    assert frames * 2 == len(data)
    return Recording(data[::2], data[1::2])
