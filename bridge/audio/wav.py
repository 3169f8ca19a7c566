"""WAV files: read into what a phone plays, written from what a phone heard. Pure: bytes in, bytes out."""

from __future__ import annotations

import struct
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from bridge.audio import codec
from bridge.errors import SettingsError

Encoding: TypeAlias = Literal["linear16", "mulaw"]

_PCM: Final = 1
_ALAW: Final = 6
_MULAW: Final = 7
_EXTENSIBLE: Final = 0xFFFE
_OPEN_ENDED: Final = 0xFFFFFFFF
_WANTED: Final = "wanted is a mono or stereo WAV with PCM of 8, 16, 24 or 32 bits, G.711 mu-law or A-law"
_SPEECH_TOP_HZ: Final = 3600
"""What passes when a file of a higher rate becomes 8000 Hz: a telephone line ends about here."""


class Wav(Struct, frozen=True):
    """A WAV file as it stands: its format and its bare samples."""

    format: int
    """WAVE format tag: 1 PCM, 6 A-law, 7 mu-law."""
    channels: int
    sample_rate: int
    """Hz."""
    bits: int
    """Per sample of one channel."""
    data: bytes
    """Interleaved samples."""

    @property
    def seconds(self) -> float:
        """Playing time."""
        return len(self.data) / (self.sample_rate * self.channels * self.bits // 8)


def parse(file: bytes, *, name: str) -> Wav:
    """Take a WAV file apart. `name` is for the error: `SettingsError`, with what is wrong and what is wanted.

    A file that was cut off, or whose header says "until the end", gives what is there.
    """
    if len(file) < 12 or file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise _unusable(name, "it is no WAV file")
    found: tuple[int, int, int, int] | None = None
    position = 12
    while position + 8 <= len(file):
        kind, size = struct.unpack_from("<4sI", file, position)
        body = file[position + 8 : position + 8 + size]
        if kind == b"fmt ":
            found = _format(body, name)
        elif kind == b"data":
            if found is None:
                raise _unusable(name, "its data stands before its format")
            frame = found[1] * found[3] // 8
            wav = Wav(*found, body[: len(body) // frame * frame])
            if not wav.data:
                raise _unusable(name, "it holds no audio")
            return wav
        position += 8 + size + size % 2  # chunks are padded to even lengths
    raise _unusable(name, "it holds no audio")


def read_mulaw(file: bytes, *, name: str, channel: int | None = None) -> bytes:
    """The audio of a WAV file as a phone plays it: mu-law, 8000 Hz, mono.

    `channel` picks a channel of a stereo file (0 is left); None mixes them. Mu-law at 8000 Hz comes out byte for
    byte as it stands in the file. `name` is for the error: `SettingsError`, with what is wrong and what is wanted.
    """
    wav = parse(file, name=name)
    if channel is not None and not 0 <= channel < wav.channels:
        raise _unusable(name, f"it has no channel {channel} (it has {wav.channels})")
    width = wav.bits // 8
    data, channels = wav.data, wav.channels
    if channels == 2 and channel is not None:
        data, channels = _channel(data, width, channel), 1
    if wav.format == _MULAW and channels == 1 and wav.sample_rate == codec.SAMPLE_RATE:
        return data
    samples = _linear16(wav.format, wav.bits, data)
    if channels == 2:
        samples = codec.mix_to_mono(samples)
    if wav.sample_rate > codec.SAMPLE_RATE:
        samples = codec.low_pass(samples, wav.sample_rate, _SPEECH_TOP_HZ)
    samples, _ = codec.resample(samples, wav.sample_rate, codec.SAMPLE_RATE)
    return codec.linear16_to_mulaw(samples)


def header(
    *, encoding: Encoding = "mulaw", channels: int = 1, sample_rate: int = codec.SAMPLE_RATE, data_bytes: int | None
) -> bytes:
    """The bytes before the samples; as many whatever `data_bytes` is, so they can be written again at the end.

    `data_bytes` is the length of all samples; None says "until the end of the file", which readers understand, so a
    recording that was cut off by a crash can still be played. Mu-law has the `fact` chunk that its format asks for.
    """
    width = 2 if encoding == "linear16" else 1
    rest = struct.pack("<HIIHH", channels, sample_rate, sample_rate * channels * width, channels * width, 8 * width)
    if encoding == "linear16":
        chunks = struct.pack("<4sIH", b"fmt ", 16, _PCM) + rest
    else:
        frames = _OPEN_ENDED if data_bytes is None else data_bytes // channels
        extra = struct.pack("<H4sII", 0, b"fact", 4, frames)
        chunks = struct.pack("<4sIH", b"fmt ", 18, _MULAW) + rest + extra
    if data_bytes is None:
        riff, data = _OPEN_ENDED, _OPEN_ENDED
    else:
        riff, data = 4 + len(chunks) + 8 + data_bytes + data_bytes % 2, data_bytes
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + chunks + struct.pack("<4sI", b"data", data)


def write_mulaw(left: bytes, right: bytes | None = None) -> bytes:
    """A WAV file of mu-law audio at 8000 Hz: mono, or stereo with the shorter side filled up with silence."""
    data = left if right is None else interleave(left, right)
    return header(channels=1 if right is None else 2, data_bytes=len(data)) + data + b"\0" * (len(data) % 2)


def write_linear16(samples: bytes, *, sample_rate: int = codec.SAMPLE_RATE, channels: int = 1) -> bytes:
    """A WAV file of 16-bit PCM; `samples` are interleaved if there are two channels."""
    return (
        header(encoding="linear16", channels=channels, sample_rate=sample_rate, data_bytes=len(samples)) + samples
    )


def interleave(left: bytes, right: bytes) -> bytes:
    """Two mu-law channels as one stereo stream; the shorter one is filled up with silence."""
    stereo = bytearray([codec.MULAW_SILENCE]) * (2 * max(len(left), len(right)))
    stereo[0 : 2 * len(left) : 2] = left
    stereo[1 : 2 * len(right) : 2] = right
    return bytes(stereo)


def _format(body: bytes, name: str) -> tuple[int, int, int, int]:
    if len(body) < 16:
        raise _unusable(name, "its header is cut off")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack_from("<H", body, 24)[0]  # the real tag opens the sub-format's id
    if tag not in {_PCM, _ALAW, _MULAW}:
        raise _unusable(name, f"its format tag is {tag}")
    if bits not in ({8, 16, 24, 32} if tag == _PCM else {8}):
        raise _unusable(name, f"its samples have {bits} bits")
    if channels not in {1, 2}:
        raise _unusable(name, f"it has {channels} channels")
    if not 1000 <= rate <= 384_000:
        raise _unusable(name, f"its rate is {rate} Hz")
    return tag, channels, rate, bits


def _linear16(tag: int, bits: int, data: bytes) -> bytes:
    if tag == _MULAW:
        return codec.mulaw_to_linear16(data)
    if tag == _ALAW:
        return codec.alaw_to_linear16(data)
    return codec.pcm_to_linear16(data, bits)


def _channel(data: bytes, width: int, channel: int) -> bytes:
    picked = bytearray(len(data) // 2)
    for offset in range(width):
        picked[offset::width] = data[channel * width + offset :: 2 * width]
    return bytes(picked)


def _unusable(name: str, why: str) -> SettingsError:
    return SettingsError(f"cannot use {name}: {why}; {_WANTED}", code="audio_file")
