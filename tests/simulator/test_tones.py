from __future__ import annotations

import array
import math
import random

import pytest

from bridge.audio import codec, dtmf
from bridge.simulator.tones import keys_in


def test_every_key_as_the_bridge_sends_it() -> None:
    keys = "1234567890*#ABCD1155"
    assert keys_in(dtmf.tones(keys)) == keys
    assert keys_in(dtmf.tones("1w1", on_ms=60, off_ms=60)) == "11"


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_tones_of_another_maker(ratio: float) -> None:
    samples = array.array("h")
    for low, high in ((697, 1336), (941, 1477)):
        samples.extend(
            round(
                6000 * math.sin(2 * math.pi * low * n / 8000)
                + ratio * 6000 * math.sin(2 * math.pi * high * n / 8000)
            )
            for n in range(560)
        )
        samples.extend([0] * 400)
    assert keys_in(codec.linear16_to_mulaw(samples.tobytes())) == "2#"


def test_what_is_no_key() -> None:
    chance = random.Random(1)
    noise = array.array("h", (chance.randint(-8000, 8000) for _ in range(8000)))
    alone = array.array("h", (round(9000 * math.sin(2 * math.pi * 697 * n / 8000)) for n in range(4000)))
    for samples in (noise, alone):
        assert keys_in(codec.linear16_to_mulaw(samples.tobytes())) == ""
    assert keys_in(b"") == keys_in(b"\xff" * 8000) == ""
    assert keys_in(dtmf.tones("5")[: 8 * 30]) == "", "shorter than 40 ms"
