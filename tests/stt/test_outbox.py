"""The audio that waits for the service: nothing lost, nothing doubled, not too fast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.stt.outbox import CATCH_UP_SPEED, Outbox

CHUNK = 800  # 100 ms


def outbox(keep: int = 80_000) -> Outbox:
    return Outbox(chunk_bytes=CHUNK, keep_bytes=keep)


def drain(box: Outbox, now: float, until: float) -> tuple[list[tuple[float, bytes]], float]:
    """Take as a sender does: at the times the box names."""
    taken = []
    while (at := box.ready_at()) is not None and max(now, at) <= until:
        now = max(now, at)
        piece = box.take(now)
        assert piece is not None
        taken.append((now, piece))
    return taken, now


def test_frames_become_whole_pieces() -> None:
    box = outbox()
    frames = [bytes([n]) * 160 for n in range(12)]
    whole = [box.add(frame) for frame in frames]
    assert whole == [False] * 4 + [True] * 8
    taken, _ = drain(box, 0.0, 10.0)
    assert [piece for _, piece in taken] == [b"".join(frames[:5]), b"".join(frames[5:10])]
    assert len(box) == 320
    assert box.ready_at() is None
    box.flush()
    taken, _ = drain(box, 10.0, 10.0)
    assert [piece for _, piece in taken] == [b"".join(frames[10:])]


def test_a_flush_does_not_hurry_what_comes_after_it() -> None:
    box = outbox()
    box.add(b"a" * 100)
    box.flush()
    assert box.take(5.0) == b"a" * 100
    box.add(b"b" * 100)
    assert box.take(9.0) is None


def test_live_audio_never_waits() -> None:
    box = outbox()
    box.restart(0.0)
    for n in range(1, 100):
        box.add(bytes(CHUNK))
        assert box.take(n * 0.1) is not None


def test_a_late_carrier_may_catch_up_a_little_at_once() -> None:
    box = outbox()
    box.restart(0.0)
    box.add(bytes(3 * CHUNK))  # what came in one burst after 300 ms of nothing
    taken, last = drain(box, 1.0, 2.0)
    assert len(taken) == 3
    assert last - 1.0 < 0.05


@pytest.mark.parametrize("seconds", [1, 5])
def test_a_backlog_goes_at_catch_up_speed_from_the_first_piece(seconds: int) -> None:
    box = outbox()
    box.add(bytes(seconds * 8000))
    box.restart(100.0)
    taken, last = drain(box, 100.0, 200.0)
    assert len(taken) == seconds * 10
    assert last - 100.0 == pytest.approx((seconds - 0.1) / CATCH_UP_SPEED)


def test_too_much_loses_the_oldest_and_counts_it() -> None:
    box = outbox(keep=1600)
    box.add(b"a" * 800)
    box.add(b"b" * 800)
    box.add(b"c" * 800)
    assert box.dropped == 800
    taken, _ = drain(box, 0.0, 10.0)
    assert b"".join(piece for _, piece in taken) == b"b" * 800 + b"c" * 800


def test_a_piece_that_could_not_be_sent_goes_first() -> None:
    box = outbox()
    box.add(b"a" * CHUNK + b"b" * 10)
    piece = box.take(0.0)
    assert piece is not None
    box.put_back(piece)
    box.add(b"b" * (CHUNK - 10))
    taken, _ = drain(box, 1.0, 10.0)
    assert b"".join(piece for _, piece in taken) == b"a" * CHUNK + b"b" * CHUNK


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.binary(max_size=2000)),
        st.tuples(st.sampled_from(["take", "flush", "lose", "restart"]), st.just(b"")),
    ),
    max_size=60,
)


@given(steps=steps)
def test_bytes_come_out_as_they_went_in(steps: list[tuple[str, bytes]]) -> None:
    box = Outbox(chunk_bytes=CHUNK, keep_bytes=1_000_000)
    given_, taken, now = b"", b"", 0.0
    for step, audio in steps:
        now += 0.03
        if step == "add":
            box.add(audio)
            given_ += audio
        elif step == "flush":
            box.flush()
        elif step == "restart":
            box.restart(now)
        elif (piece := box.take(now)) is not None:
            assert len(piece) <= CHUNK
            if step == "lose":
                box.put_back(piece)
            else:
                taken += piece
    box.flush()
    rest, _ = drain(box, now, now + 1000)
    assert taken + b"".join(piece for _, piece in rest) == given_
    assert len(box) == 0
    assert box.dropped == 0
