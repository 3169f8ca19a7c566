"""Where speech begins and ends: the machine by playbook, the detectors on recorded people and on noise."""

from __future__ import annotations

import time
from functools import cache
from itertools import pairwise
from random import Random

import pytest

from bridge.audio import codec, vad
from bridge.audio.vad import Detector, EnergyDetector, SileroDetector, SpeechActivity
from tests.speech_set import PACKAGES, Recorded, recordings

DETECTORS = [EnergyDetector, SileroDetector]


def heard(*scores: float) -> SpeechActivity:
    activity = SpeechActivity(0.5)
    for score in scores:
        activity.hear(score)
    return activity


def test_the_onset_is_where_the_first_of_the_loud_windows_began() -> None:
    activity = heard(0.0, 0.0, 0.9, 0.1, 0.9, 0.9)
    assert activity.speaking
    assert (activity.onset_ms, activity.now_ms) == (64, 192)


def test_a_gap_of_two_windows_belongs_to_speech_and_one_of_three_does_not() -> None:
    speech = [0.9] * 4
    assert heard(*speech, 0.0, 0.0).speaking
    activity = heard(*speech, 0.0, 0.0, 0.0)
    assert not activity.speaking
    assert (activity.last_speech_ms, activity.silence_ms) == (128, 96)


def test_soft_windows_prolong_speech_but_begin_none() -> None:
    assert heard(*[0.9] * 4, *[0.4] * 10).last_speech_ms == 14 * 32
    assert not heard(*[0.4] * 50).speaking


def test_windows_before_a_gap_do_not_help_the_next_onset() -> None:
    assert not heard(*[0.9] * 4, 0.0, 0.0, 0.0, 0.9, 0.9).speaking
    assert heard(*[0.9] * 4, 0.0, 0.0, 0.0, 0.9, 0.9, 0.9).speaking


def test_loud_windows_are_counted_confirmed_or_not() -> None:
    assert heard(0.9, 0.0, 0.9, 0.0, 0.0).voiced_ms == 64
    assert heard(0.9).maybe_speech
    assert not heard(0.9, 0.1).maybe_speech


def test_windows_of_pieces_of_any_length() -> None:
    audio = Random(1).randbytes(3000)
    windows = vad.Windows()
    cut: list[bytes] = []
    for start, end in pairwise([0, 1, 1, 255, 256, 1000, 1100, 3000]):
        cut += windows.cut(audio[start:end])
    assert b"".join(cut) == audio[: 11 * 256]
    assert {len(window) for window in cut} == {256}


# --- detectors -----------------------------------------------------------------------------------------------


def noise(db: float, seconds: float, seed: int = 1) -> bytes:
    """White noise as linear16, `db` below full scale."""
    random, level = Random(seed), 32768 * 10 ** (db / 20)
    samples = (int(random.gauss(0, level)) for _ in range(int(seconds * codec.SAMPLE_RATE)))
    return b"".join(max(-32768, min(32767, one)).to_bytes(2, "little", signed=True) for one in samples)


def stretches(detector: Detector, audio: bytes) -> list[tuple[int, int]]:
    """When speech was noticed and when it ended, in ms."""
    detector.reset()
    activity, found, began = SpeechActivity(), [], 0
    for window in vad.Windows().cut(audio):
        was = activity.speaking
        activity.hear(detector.score(window))
        if activity.speaking and not was:
            began = activity.now_ms
        elif was and not activity.speaking:
            found.append((began, activity.last_speech_ms))
    return found


@cache
def people() -> list[tuple[Recorded, bytes, float, float]]:
    """Each with its sound, and when speech begins and ends in it, in ms."""
    found = []
    for one in recordings():
        if not one.there:
            continue
        sound = one.mulaw()
        levels = [codec.level_db(sound[start : start + 80]) for start in range(0, len(sound), 80)]
        loud = [index for index, level in enumerate(levels) if level > max(levels) - 30]
        found.append((one, sound, loud[0] * 10.0, (loud[-1] + 1) * 10.0))
    return found


@pytest.mark.parametrize("make", DETECTORS)
def test_no_utterance_is_missed(make: type[Detector]) -> None:
    if len(people()) < 10:
        pytest.skip(f"apt-get install {PACKAGES}")
    detector = make()
    late = []
    for one, sound, first_ms, last_ms in people():
        found = stretches(detector, codec.silence(3000) + sound + codec.silence(2000))
        assert found, one.name
        assert all(3000 + first_ms - 60 <= began <= 3000 + last_ms + 300 for began, _ in found), one.name
        assert abs(found[-1][1] - 3000 - last_ms) < 700, one.name
        late.append(found[0][0] - 3000 - first_ms)
    late.sort()
    assert late[len(late) // 2] < 150
    assert late[-1] < 500


@pytest.mark.parametrize("make", DETECTORS)
def test_speech_is_found_in_noise(make: type[Detector]) -> None:
    """At -50 dB, as a room or a line has it."""
    detector, background = make(), noise(-50, 1)
    for one, sound, first_ms, _ in people():
        noisy = bytes(codec.silence(3000) + sound + codec.silence(1000))
        rest = -len(noisy) % 8000
        noisy = mixed(noisy + codec.silence(rest / 8), background)
        found = stretches(detector, noisy)
        assert found, one.name
        assert -60 <= found[0][0] - 3000 - first_ms < 500, one.name


def mixed(audio: bytes, background: bytes) -> bytes:
    """Mu-law of whole seconds with a second of linear16 over each of them."""
    second = codec.SAMPLE_RATE
    return b"".join(
        codec.linear16_to_mulaw(
            codec.mix_to_mono(interleaved(codec.mulaw_to_linear16(audio[start : start + second]), background))
        )
        for start in range(0, len(audio), second)
    )


def interleaved(left: bytes, right: bytes) -> bytes:
    stereo = bytearray(2 * len(left))
    for byte in (0, 1):
        stereo[byte::4] = left[byte::2]
        stereo[byte + 2 :: 4] = right[byte::2]
    return bytes(stereo)


@pytest.mark.parametrize("make", DETECTORS)
@pytest.mark.parametrize("db", [-60, -45, -35, -30])
def test_steady_noise_is_no_speech(make: type[Detector], db: float) -> None:
    assert stretches(make(), codec.linear16_to_mulaw(noise(db, 20))) == []


@pytest.mark.parametrize("make", DETECTORS)
def test_silence_and_clicks_are_no_speech(make: type[Detector]) -> None:
    assert stretches(make(), codec.silence(20_000)) == []
    assert stretches(make(), (codec.silence(1000) + b"\x80\x00" * 4) * 20) == []


def test_a_tone_that_goes_on_is_no_speech_any_more() -> None:
    tone = bytes([0x90] * 4 + [0x10] * 4) * 500  # half a second of 1 kHz
    found = stretches(EnergyDetector(), codec.silence(1000) + tone * 20 + codec.silence(1000))
    assert len(found) == 1
    assert found[0][1] < 1000 + 2200


def test_after_a_reset_nothing_is_remembered() -> None:
    loud = codec.linear16_to_mulaw(noise(-30, 0.032))
    detector = EnergyDetector()
    first = [detector.score(loud) for _ in range(3)]
    detector.score(codec.silence(32))
    assert detector.score(loud) > first[-1]
    detector.reset()
    assert [detector.score(loud) for _ in range(3)] == first


def test_the_energy_detector_costs_next_to_nothing() -> None:
    audio, detector = codec.silence(10_000), EnergyDetector()
    began = time.process_time()
    stretches(detector, audio)
    assert (time.process_time() - began) / 10 < 0.002  # seconds a second; about a tenth of it is usual
