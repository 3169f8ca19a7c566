"""Keys as sound, decoded again: by a decoder written from the definition, and by a program of somebody else."""

from __future__ import annotations

import array
import cmath
import itertools
import math
import random
import shutil
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.audio import codec, dtmf

# Q.23, written down once more: what is tested must not be the measure.
LOW = (697, 770, 852, 941)
HIGH = (1209, 1336, 1477, 1633)
KEYPAD = ("123A", "456B", "789C", "*0#D")
KEYS = "".join(KEYPAD)
PAIRS = list(itertools.product(KEYS, KEYS))
BURST = "01234567890*#ABCD951"

SINE_AT_0_DBM0 = 32_636 / 10 ** (3.17 / 20)
"""Its peak: G.711 says that a sine of 3.17 dBm0 just fits."""

BLOCK, STEP = 205, 80


def linear(mulaw: bytes) -> list[int]:
    return array.array("h", codec.mulaw_to_linear16(mulaw)).tolist()


def goertzel(samples: list[int], hz: float) -> float:
    """The power of one frequency, as a fraction of what a block that holds nothing else would have."""
    twice_cosine = 2 * math.cos(2 * math.pi * hz / 8000)
    last = before = 0.0
    for sample in samples:
        last, before = sample + twice_cosine * last - before, last
    return (last * last + before * before - twice_cosine * last * before) * 2 / len(samples)


def key_of(block: list[int]) -> str:
    """The key that sounds in a block; empty: none."""
    energy = sum(sample * sample for sample in block)
    if energy / len(block) < (SINE_AT_0_DBM0 * 10 ** (-25 / 20)) ** 2:
        return ""
    low, high = ([goertzel(block, hz) for hz in group] for group in (LOW, HIGH))
    row, column = low.index(max(low)), high.index(max(high))
    twist = 10 * math.log10(high[column] / low[row])
    others = max(
        *(power for n, power in enumerate(low) if n != row), *(p for n, p in enumerate(high) if n != column)
    )
    if (
        not -8 <= twist <= 4
        or low[row] + high[column] < 0.8 * energy
        or others > 0.16 * min(low[row], high[column])
    ):
        return ""
    return KEYPAD[row][column]


def decoded(samples: list[int]) -> str:
    """The keys in a stretch of sound: each must stand for three blocks, and end before it counts again."""
    found = [key_of(samples[at : at + BLOCK]) for at in range(0, len(samples) - BLOCK + 1, STEP)]
    runs = ((key, len(list(run))) for key, run in itertools.groupby(found))
    return "".join(key for key, length in runs if key and length >= 3)


def noisy(samples: list[int]) -> list[int]:
    chance = random.Random(7)
    return [max(-32768, min(32767, round(sample + chance.gauss(0, 0.01 * 32768)))) for sample in samples]


def over_alaw(mulaw: bytes) -> list[int]:
    crossed = codec.alaw_to_linear16(codec.linear16_to_alaw(codec.mulaw_to_linear16(mulaw)))
    return array.array("h", codec.mulaw_to_linear16(codec.linear16_to_mulaw(crossed))).tolist()


def decoded_elsewhere(mulaw: bytes) -> str:
    """What multimon-ng hears. It wants 22 050 Hz."""
    if (program := shutil.which("multimon-ng")) is None:
        pytest.skip("multimon-ng is not installed (apt-get install multimon-ng)")
    wide, _ = codec.resample(codec.mulaw_to_linear16(mulaw + codec.silence(500)), 8000, 22_050)
    command = [program, "-q", "-a", "DTMF", "-t", "raw", "-"]
    ran = subprocess.run(command, input=wide, capture_output=True, check=True, timeout=50)
    lines = ran.stdout.decode().splitlines()
    return "".join(line.removeprefix("DTMF: ") for line in lines if line.startswith("DTMF: "))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_decoded_as_sent(key: str) -> None:
    audio = dtmf.tones(key)

    assert decoded(linear(audio)) == key
    assert decoded(noisy(linear(audio))) == key
    assert decoded(over_alaw(audio)) == key


@pytest.mark.parametrize("first", KEYS)
def test_every_pair_of_neighbours_is_told_apart(first: str) -> None:
    digits = "".join(first + second for second in KEYS)

    assert decoded(linear(dtmf.tones(digits))) == digits


def test_a_burst_of_twenty() -> None:
    audio = dtmf.tones(BURST)

    assert decoded(linear(audio)) == BURST
    assert decoded(noisy(linear(audio))) == BURST
    assert decoded(noisy(over_alaw(audio))) == BURST
    assert len(audio) == 20 * 160 * 8


def test_the_shortest_tones_that_receivers_must_take() -> None:
    assert decoded(linear(dtmf.tones(BURST, on_ms=50, off_ms=50))) == BURST


@pytest.mark.parametrize("spoilt", [False, True])
def test_another_program_decodes_every_pair(spoilt: bool) -> None:
    # Each pair once, in one row: the second of a pair is the first of another.
    digits = "".join(first + second for first, second in PAIRS)
    audio = dtmf.tones(digits)
    if spoilt:
        samples = noisy(over_alaw(audio))
        audio = codec.linear16_to_mulaw(struct.pack(f"<{len(samples)}h", *samples))

    assert decoded_elsewhere(audio) == digits


def test_another_program_decodes_the_burst_behind_pauses() -> None:
    assert decoded_elsewhere(dtmf.tones(f"ww{BURST}W11w#")) == f"{BURST}11#"


def turned(samples: list[int], hz: float, begin: int, length: int) -> complex:
    """How one frequency stands in a window: its peak and phase. The window keeps the other tone out."""
    total = 0j
    for n in range(length):
        bell = 1 - math.cos(2 * math.pi * n / length)
        total += samples[begin + n] * bell * cmath.exp(-2j * math.pi * hz * (begin + n) / 8000)
    return 2 * total / length


@pytest.mark.parametrize("key", KEYS)
def test_frequencies_and_levels(key: str) -> None:
    samples = linear(dtmf.tones(key, on_ms=400))
    row = next(n for n, keys in enumerate(KEYPAD) if key in keys)
    for hz, dbm0 in ((LOW[row], -8.0), (HIGH[KEYPAD[row].index(key)], -6.0)):
        early, late = turned(samples, hz, 200, 1000), turned(samples, hz, 1700, 1000)
        drift_hz = cmath.phase(late / early) / (2 * math.pi * 1500 / 8000)
        assert abs(drift_hz) < 0.001 * hz
        assert 20 * math.log10(abs(early) / SINE_AT_0_DBM0) == pytest.approx(dbm0, abs=0.1)


def test_lengths_gaps_and_silence_are_exact() -> None:
    audio = dtmf.tones("5w9W#", on_ms=80, off_ms=70)
    sounds = dtmf.key_sounds("5w9W#", on_ms=80, off_ms=70)

    assert [(sound.key, sound.begin // 8, sound.end // 8) for sound in sounds] == [
        ("5", 0, 80),
        ("9", 80 + 70 + 500, 80 + 70 + 500 + 80),
        ("#", 80 + 70 + 500 + 80 + 70 + 1000, 80 + 70 + 500 + 80 + 70 + 1000 + 80),
    ]
    assert len(audio) == sounds[-1].end + 70 * 8
    silent = bytearray(audio)
    for sound in reversed(sounds):
        heard = silent[sound.begin : sound.end]
        # It begins and ends with nothing, and in between is nowhere silent for long.
        assert heard[0] == heard[-1] == 0xFF
        assert b"\xff" * 4 not in heard[8:-8]
        del silent[sound.begin : sound.end]
    assert set(silent) == {0xFF}
    assert len(silent) == (3 * 70 + 1500) * 8


def test_tones_begin_and_end_without_a_click() -> None:
    samples = linear(dtmf.tones("1"))[:800]
    middle = max(abs(b - a) for a, b in itertools.pairwise(samples[200:600]))
    for edge in (samples[:8], samples[-8:]):
        assert max(abs(sample) for sample in edge) < 3000
        assert max(abs(b - a) for a, b in itertools.pairwise([0, *edge, 0])) < middle / 4
    assert max(map(abs, samples)) > 15_000


@given(digits=st.text("0123456789*#ABCDwW", min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_any_digits_are_decoded_and_are_as_long_as_told(digits: str) -> None:
    audio, sounds = dtmf.tones(digits), dtmf.key_sounds(digits)
    keys = "".join(key for key in digits if key not in "wW")

    assert decoded(linear(audio)) == keys == "".join(sound.key for sound in sounds)
    assert len(audio) == 8 * (160 * len(keys) + 500 * digits.count("w") + 1000 * digits.count("W"))


@pytest.mark.parametrize("wrong", ["12x4", "12 4", "12a4", "12-4", "12\x004", "12４4"])  # noqa: RUF001  A wide four.
def test_what_is_no_key_is_refused_without_the_others(wrong: str) -> None:
    with pytest.raises(
        ValueError, match=r"character 3 of the digits is '.+': give keys of 0-9 \* # A-D, w or W"
    ) as error:
        dtmf.tones(wrong)
    assert "12" not in str(error.value)
    with pytest.raises(ValueError, match="character 3"):
        dtmf.key_sounds(wrong)


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="no digits to send"):
        dtmf.tones("")
    with pytest.raises(ValueError, match="on_ms is 39: shorter than 40 ms"):
        dtmf.tones("1", on_ms=39)
    with pytest.raises(ValueError, match="off_ms is 0: shorter than 40 ms"):
        dtmf.key_sounds("1", off_ms=0)
