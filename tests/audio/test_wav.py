"""WAV files there and back, against the standard library's reader where it can read them."""

from __future__ import annotations

import array
import contextlib
import io
import math
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audio import codec, wav
from bridge.errors import SettingsError

TONE = bytes(range(256)) * 8
"""Mu-law, every value."""


def pcm(frames: bytes, *, bits: int = 16, channels: int = 1, rate: int = 8000) -> bytes:
    """A PCM file as the standard library writes it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(bits // 8)
        out.setframerate(rate)
        out.writeframes(frames)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return chunk(b"RIFF", body)


def fmt(tag: int, channels: int, rate: int, bits: int, extra: bytes = b"") -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits) + extra)


@given(audio=st.binary(min_size=1, max_size=400))
def test_mulaw_comes_back_byte_for_byte(audio: bytes) -> None:
    assert wav.read_mulaw(wav.write_mulaw(audio), name="x.wav") == audio


@given(left=st.binary(min_size=1, max_size=400), right=st.binary(max_size=400))
def test_both_channels_come_back_byte_for_byte(left: bytes, right: bytes) -> None:
    file = wav.write_mulaw(left, right)
    length = max(len(left), len(right))
    assert wav.read_mulaw(file, name="x.wav", channel=0) == left.ljust(length, b"\xff")
    assert wav.read_mulaw(file, name="x.wav", channel=1) == right.ljust(length, b"\xff")


def test_the_header_of_mulaw() -> None:
    file = wav.write_mulaw(b"\xff" * 5)
    assert len(file) == 58 + 6  # padded to an even length
    assert struct.unpack("<4sI4s", file[:12]) == (b"RIFF", len(file) - 8, b"WAVE")
    assert struct.unpack("<4sIHHIIHHH", file[12:38]) == (b"fmt ", 18, 7, 1, 8000, 8000, 1, 8, 0)
    assert struct.unpack("<4sII", file[38:50]) == (b"fact", 4, 5)
    assert struct.unpack("<4sI", file[50:58]) == (b"data", 5)


def test_a_header_can_be_written_again_when_the_length_is_known() -> None:
    for encoding in ("mulaw", "linear16"):
        for channels in (1, 2):
            opened = wav.header(encoding=encoding, channels=channels, data_bytes=None)
            closed = wav.header(encoding=encoding, channels=channels, data_bytes=1600)
            assert len(opened) == len(closed)


def test_a_recording_that_was_cut_off_can_be_read() -> None:
    file = wav.header(channels=2, data_bytes=None) + b"\x10\x20" * 50 + b"\x10"
    assert wav.read_mulaw(file, name="x.wav", channel=1) == b"\x20" * 50
    assert wav.parse(file, name="x.wav").seconds == 50 / 8000


def test_pcm_is_what_the_standard_library_reads() -> None:
    samples = codec.mulaw_to_linear16(TONE)
    with wave.open(io.BytesIO(wav.write_linear16(samples, sample_rate=16_000, channels=2))) as file:
        assert file.getparams()[:4] == (2, 2, 16_000, len(TONE) // 2)
        assert file.readframes(len(TONE)) == samples


@pytest.mark.parametrize("bits", [16, 24, 32])
def test_pcm_of_every_width(bits: int) -> None:
    samples = codec.mulaw_to_linear16(TONE)
    wide = b"".join(b"\0" * (bits // 8 - 2) + samples[at : at + 2] for at in range(0, len(samples), 2))
    assert wav.read_mulaw(pcm(wide, bits=bits), name="x.wav") == codec.linear16_to_mulaw(samples)


def test_pcm_of_eight_bits_is_unsigned() -> None:
    assert wav.read_mulaw(pcm(b"\x80\xff\x01", bits=8), name="x.wav") == codec.linear16_to_mulaw(
        struct.pack("<3h", 0, 127 << 8, -127 << 8)
    )


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_a_channel_is_picked_at_every_width(bits: int) -> None:
    width = bits // 8
    left, right = bytes(range(1, 1 + 4 * width)), bytes(range(101, 101 + 4 * width))
    both = b"".join(left[at : at + width] + right[at : at + width] for at in range(0, 4 * width, width))
    file = pcm(both, bits=bits, channels=2)
    assert wav.read_mulaw(file, name="x", channel=0) == wav.read_mulaw(pcm(left, bits=bits), name="x")
    assert wav.read_mulaw(file, name="x", channel=1) == wav.read_mulaw(pcm(right, bits=bits), name="x")


def test_stereo_is_mixed_unless_a_channel_is_chosen() -> None:
    file = pcm(struct.pack("<4h", 1000, 3000, -400, 0), channels=2)
    assert wav.read_mulaw(file, name="x.wav") == codec.linear16_to_mulaw(struct.pack("<2h", 2000, -200))


def test_alaw() -> None:
    file = riff(fmt(6, 1, 8000, 8), chunk(b"data", TONE))
    assert wav.read_mulaw(file, name="x.wav") == codec.linear16_to_mulaw(codec.alaw_to_linear16(TONE))


def test_the_extensible_format_and_foreign_chunks() -> None:
    extra = struct.pack("<HHIH14s", 22, 16, 4, 1, b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71")
    samples = codec.mulaw_to_linear16(TONE)
    file = riff(
        chunk(b"LIST", b"odd"), fmt(0xFFFE, 1, 8000, 16, extra), chunk(b"cue ", b""), chunk(b"data", samples)
    )
    assert wav.read_mulaw(file, name="x.wav") == codec.linear16_to_mulaw(samples)


@pytest.mark.parametrize("rate", [11_025, 16_000, 44_100, 48_000])
def test_other_rates_keep_their_playing_time(rate: int) -> None:
    second = wav.read_mulaw(pcm(bytes(2 * rate), rate=rate), name="x.wav")
    assert abs(len(second) - 8000) <= 1
    assert set(second) == {0xFF}


def test_what_a_phone_cannot_carry_does_not_fold_back_into_the_speech() -> None:
    hiss = array.array("h", [round(12_000 * math.sin(2 * math.pi * 6000 * n / 16_000)) for n in range(8000)])
    heard = array.array(
        "h", codec.mulaw_to_linear16(wav.read_mulaw(pcm(hiss.tobytes(), rate=16_000), name="x.wav"))
    )
    assert max(map(abs, heard[100:-100])) < 100


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "no WAV file"),
        (b"ID3\x04" + bytes(100), "no WAV file"),
        (riff(), "holds no audio"),
        (riff(chunk(b"fmt ", b"\x01\0")), "header is cut off"),
        (riff(fmt(1, 1, 8000, 16)), "holds no audio"),
        (riff(fmt(1, 1, 8000, 16), chunk(b"data", b"")), "holds no audio"),
        (riff(chunk(b"data", b"\0\0"), fmt(1, 1, 8000, 16)), "before its format"),
        (riff(fmt(85, 1, 44_100, 16), chunk(b"data", b"\0\0")), "format tag is 85"),
        (riff(fmt(3, 1, 8000, 32), chunk(b"data", bytes(4))), "format tag is 3"),
        (riff(fmt(1, 1, 8000, 12), chunk(b"data", bytes(4))), "12 bits"),
        (riff(fmt(7, 1, 8000, 16), chunk(b"data", bytes(4))), "16 bits"),
        (riff(fmt(1, 6, 8000, 16), chunk(b"data", bytes(12))), "6 channels"),
        (riff(fmt(1, 1, 0, 16), chunk(b"data", bytes(4))), "rate is 0 Hz"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_name(file: bytes, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as caught:
        wav.read_mulaw(file, name="prompts/hello.wav")
    assert "prompts/hello.wav" in caught.value.message
    assert "wanted is a mono or stereo WAV" in caught.value.message


def test_a_channel_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="no channel 1"):
        wav.read_mulaw(wav.write_mulaw(b"\xff"), name="x.wav", channel=1)


@given(file=st.binary(max_size=200))
def test_no_bytes_crash_the_reader(file: bytes) -> None:
    whole = chunk(b"data", file)
    for data in (file, b"RIFF" + file[:4].ljust(4) + b"WAVE" + file, riff(fmt(1, 2, 16_000, 24), file + whole)):
        with contextlib.suppress(SettingsError):
            wav.read_mulaw(data, name="x.wav")
