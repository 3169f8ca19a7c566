"""Recordings as Opus and MP3: decoded again, each side is where it was, at its time."""

from __future__ import annotations

import errno
import io
import math
import sys
import tracemalloc
from typing import Any

import av
import pytest

from bridge.audio.codec import linear16_to_mulaw, mulaw_to_linear16
from bridge.audio.wav import interleave
from bridge.errors import BridgeError, MissingExtraError
from bridge.store.compress import FORMS, Form, compress

EVERY: list[Form] = ["opus", "mp3"]


def tone(ms: int, hertz: float) -> bytes:
    """Mu-law."""
    samples = (int(9000 * math.sin(2 * math.pi * hertz * at / 8000)) for at in range(8 * ms))
    return linear16_to_mulaw(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))


def silence(ms: int) -> bytes:
    return b"\xff" * (8 * ms)


LEFT = silence(1000) + tone(700, 440) + silence(5000) + tone(300, 300)
RIGHT = silence(3000) + tone(1000, 1000) + silence(3000)


class Recorded:
    """A recording that is open."""

    channels = 2

    def __init__(self, left: bytes = LEFT, right: bytes = RIGHT) -> None:
        self._data = interleave(left, right)

    def audio(self, first: int, count: int) -> bytes:
        return self._data[2 * first : 2 * (first + count)]


def decoded(file: bytes) -> tuple[list[int], list[int]]:
    """Both sides as a decoder gives them, at 8000 Hz."""
    pcm = bytearray()
    with av.open(io.BytesIO(file), "r") as container:
        resampler = av.AudioResampler("s16", "stereo", 8000)
        frames = [frame for heard in container.decode(audio=0) for frame in resampler.resample(heard)]
        for frame in [*frames, *resampler.resample(None)]:
            pcm += bytes(frame.planes[0])[: 4 * frame.samples]
    samples = [int.from_bytes(pcm[at : at + 2], "little", signed=True) for at in range(0, len(pcm), 2)]
    return samples[::2], samples[1::2]


def loud(samples: list[int]) -> list[tuple[int, int]]:
    """Where there is sound, in ms: from, to."""
    windows = [max(map(abs, samples[at : at + 80])) > 2000 for at in range(0, len(samples), 80)]
    edges = [at for at in range(len(windows)) if windows[at] != (at > 0 and windows[at - 1])]
    edges += [len(windows)] * (len(edges) % 2)
    return [(10 * start, 10 * stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("form", EVERY)
def test_each_side_is_where_it_was(form: Form) -> None:
    made = io.BytesIO()
    compress(Recorded(), form, made)
    left, right = decoded(made.getvalue())
    assert abs(len(left) - 8 * 7000) <= 80
    for heard, expected in ((left, [(1000, 1700), (6700, 7000)]), (right, [(3000, 4000)])):
        found = loud(heard)
        assert len(found) == len(expected), found
        for (start, stop), (began, ended) in zip(found, expected, strict=True):
            assert abs(start - began) <= 20
            assert abs(stop - ended) <= 20
    other = max(map(abs, right[: 8 * 2900])), max(map(abs, left[8 * 2000 : 8 * 6600]))
    assert max(other) < 100, "one side is heard on the other"
    assert len(made.getvalue()) < len(LEFT) * 2 / 2


@pytest.mark.parametrize("form", EVERY)
def test_a_recording_without_a_sample_is_a_file_all_the_same(form: Form) -> None:
    made = io.BytesIO()
    compress(Recorded(b"", b""), form, made)
    assert len(decoded(made.getvalue())[0]) <= 8 * 100


def test_memory_is_the_same_for_a_long_call() -> None:
    class Long:
        """Five minutes of sound, nearly five million bytes, that are never whole."""

        channels = 2

        def audio(self, first: int, count: int) -> bytes:
            return b"" if first >= 8000 * 300 else bytes(2 * count)

    class Away(io.BytesIO):
        """Takes everything and keeps nothing."""

        written = 0

        def write(self, data: Any) -> int:
            self.written += len(data)
            return len(data)

    away = Away()
    tracemalloc.start()
    compress(Long(), "opus", away)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert away.written > 16_000


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"phone-bridge\[formats\]"):
        compress(Recorded(), "opus", io.BytesIO())


def test_a_disk_that_is_full_says_so() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises((OSError, BridgeError)) as failed:
        compress(Recorded(), "opus", Full())
    assert "No space left" in str(failed.value)


def test_each_form_is_told_apart() -> None:
    assert {form: (how.media_type, how.suffix) for form, how in FORMS.items()} == {
        "opus": ("audio/ogg", ".opus"),
        "mp3": ("audio/mpeg", ".mp3"),
    }


def test_the_tone_of_this_test_is_one() -> None:
    assert max(map(abs, memoryview(mulaw_to_linear16(tone(100, 440))).cast("h"))) > 8000
