from __future__ import annotations

import itertools
import struct

from bridge.audio.beep import beep
from bridge.audio.codec import level_db, mulaw_to_linear16


def test_the_beep_is_a_third_of_a_second_at_1000_hz_without_clicks() -> None:
    samples = struct.unpack("<2400h", mulaw_to_linear16(beep()))
    crossings = sum(1 for one, other in itertools.pairwise(samples) if one < 0 <= other)

    assert abs(crossings - 300) <= 2
    assert abs(samples[0]) < 20 and abs(samples[-1]) < 20
    assert -25 < level_db(beep()) < -12
