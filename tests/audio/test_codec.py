"""Telephone audio against the tables and properties of G.711."""

from __future__ import annotations

import array
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audio import codec
from bridge.speech_server import samples as server_samples

ALL_BYTES = bytes(range(256))


def samples(audio: bytes) -> list[int]:
    return array.array("h", audio).tolist()


def sine(hz: float, rate: int, seconds: float = 0.5, level: int = 12_000) -> bytes:
    return array.array(
        "h", [round(level * math.sin(2 * math.pi * hz * n / rate)) for n in range(int(rate * seconds))]
    ).tobytes()


def loudness(audio: bytes) -> float:
    values = samples(audio)
    return math.sqrt(sum(value * value for value in values) / len(values))


def test_mulaw_by_the_table() -> None:
    # G.711: the ends of the range, both zeros, and one value inside.
    assert samples(codec.mulaw_to_linear16(b"\x00\x80\xff\x7f\xf0")) == [-32124, 32124, 0, 0, 120]
    assert codec.mulaw_to_linear16(bytes([codec.MULAW_SILENCE])) == b"\0\0"


def test_mulaw_survives_the_way_there_and_back() -> None:
    back = codec.linear16_to_mulaw(codec.mulaw_to_linear16(ALL_BYTES))
    assert back == ALL_BYTES.replace(b"\x7f", b"\xff")  # there are two zeros


def test_alaw_survives_the_way_there_and_back() -> None:
    assert samples(codec.alaw_to_linear16(b"\xd5\x55\x2a")) == [8, -8, -32256]
    assert codec.linear16_to_alaw(codec.alaw_to_linear16(ALL_BYTES)) == ALL_BYTES


@pytest.mark.parametrize("encode", [codec.linear16_to_mulaw, codec.linear16_to_alaw])
def test_half_a_sample_is_refused(encode: object) -> None:
    assert callable(encode)
    with pytest.raises(ValueError, match="even"):
        encode(b"\0\0\0")


def test_silence() -> None:
    assert codec.silence(20) == b"\xff" * 160
    assert codec.silence(0.2) == b"\xff"


@given(cuts=st.lists(st.integers(0, 800), max_size=5), from_hz=st.sampled_from([8000, 16000, 22050, 44100]))
def test_resampling_in_pieces_has_no_seams(cuts: list[int], from_hz: int) -> None:
    audio = sine(440, from_hz, 0.05)
    whole, _ = codec.resample(audio, from_hz, 8000)
    pieces, state, start = b"", None, 0
    for cut in [*sorted(2 * cut for cut in cuts if 2 * cut <= len(audio)), len(audio)]:
        piece, state = codec.resample(audio[start:cut], from_hz, 8000, state)
        pieces, start = pieces + piece, cut
    assert pieces == whole
    assert abs(len(whole) / 2 - len(audio) / 2 * 8000 / from_hz) <= 1


def test_the_same_rate_is_left_alone() -> None:
    assert codec.resample(b"\1\2\3\4", 8000, 8000) == (b"\1\2\3\4", None)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_low_pass_keeps_speech_and_takes_what_would_fold_back(rate: int) -> None:
    for hz, least, most in (
        (300, 0.98, 1.02),
        (1000, 0.98, 1.02),
        (3000, 0.95, 1.02),
        (4500, 0, 0.01),
        (7000, 0, 0.01),
    ):
        audio = sine(hz, rate)
        filtered = codec.low_pass(audio, rate, 3600)
        assert len(filtered) == len(audio)
        assert least <= loudness(filtered[rate // 5 : -rate // 5]) / loudness(audio) <= most, hz


def test_low_pass_does_not_move_the_sound() -> None:
    click = bytearray(2 * 1000)
    click[1000:1002] = (20_000).to_bytes(2, "little")
    filtered = samples(codec.low_pass(bytes(click), 16_000, 3600))
    assert filtered.index(max(filtered)) == 500


def test_importing_warns_of_nothing() -> None:
    # A fresh interpreter, because here the module is long imported.
    subprocess.run([sys.executable, "-W", "error", "-c", "import bridge.audio.codec"], check=True, timeout=30)


# --- what speech-to-text services may be sent ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "silence", "loudest"),
    [
        ("pcm_mulaw", "ff", "00"),
        ("pcm_alaw", "d5", "2a"),
        ("pcm_s16le", "0000", "8482"),  # -32124
        ("pcm_s32le", "00000000", "00008482"),
        ("pcm_f16le", "0000", "d8bb"),  # -0.98
        ("pcm_f32le", "00000000", "00f87abf"),
    ],
)
def test_encodings_by_value(encoding: str, silence: str, loudest: str) -> None:
    assert codec.encode(b"\xff\x00\xff", encoding).hex() == silence + loudest + silence
    assert len(codec.encode(ALL_BYTES, encoding)) == 256 * codec.BYTES_PER_SAMPLE[encoding]
    assert codec.encode(b"", encoding) == b""


@pytest.mark.parametrize("encoding", codec.BYTES_PER_SAMPLE)
def test_every_mulaw_byte_survives_every_encoding(encoding: str) -> None:
    # Read back by the speech server's decoders, which are another's work.
    linear16 = server_samples.decode(codec.encode(ALL_BYTES, encoding), encoding)
    if encoding == "pcm_alaw":
        assert all(abs(a - b) <= 8 + abs(b) / 16 for a, b in zip(samples(linear16), all_values(), strict=True))
    else:
        assert codec.linear16_to_mulaw(linear16) == ALL_BYTES.replace(b"\x7f", b"\xff")


def all_values() -> list[int]:
    return samples(codec.mulaw_to_linear16(ALL_BYTES))


def test_mulaw_goes_out_as_it_came() -> None:
    audio = bytes(800)
    assert codec.encode(audio, "pcm_mulaw") is audio


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(ValueError, match=r"'opus'.*pcm_alaw"):
        codec.encode(b"\xff", "opus")


def test_level() -> None:
    assert codec.level_db(codec.silence(20)) == -100
    assert codec.level_db(b"\x80" * 8) == pytest.approx(-0.17, abs=0.01)
    assert codec.level_db(codec.linear16_to_mulaw(sine(440, 8000, level=3277))) == pytest.approx(-23, abs=0.2)
