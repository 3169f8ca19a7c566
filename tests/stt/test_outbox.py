"""The audio that waits for the service: nothing lost, nothing doubled, not too fast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.stt.outbox import CATCH_UP_SPEED, RECENT_BYTES, Outbox

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
    # Less than two pieces go as one: the rest of it would wait for the next piece, and so would what comes then.
    assert [piece for _, piece in taken] == [b"".join(frames[:5]), b"".join(frames[5:])]
    assert box.ready_at() is None
    box.add(frames[0])
    assert box.ready_at() is None
    box.flush()
    taken, _ = drain(box, 10.0, 10.0)
    assert [piece for _, piece in taken] == [frames[0]]


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


def gone(box: Outbox, audio: bytes) -> Outbox:
    """The box after it has taken audio and given it all away."""
    box.add(audio)
    box.flush()
    drain(box, 0.0, 1000.0)
    return box


def test_what_has_gone_can_go_again() -> None:
    box = gone(outbox(), bytes(range(250)) * 64)  # 2 s
    assert (box.sent, box.end, len(box)) == (16000, 16000, 0)
    assert box.rewind(16000 - 4000) == 12000
    assert len(box) == 4000
    assert box.take(1000.0) == (bytes(range(250)) * 64)[12000:12800]
    assert box.rewind(0) == 16000 - RECENT_BYTES  # only the last moments are kept
    assert box.kept(15990, 20000) == (bytes(range(250)) * 64)[15990:]


def test_held_audio_is_kept_until_it_is_let_go() -> None:
    box = outbox(keep=32_000)
    box.hold(800)
    gone(box, b"a" * 24_000)
    assert box.kept(0, 24_000) == b"a" * 23_200
    gone(box, b"b" * 16_000)
    assert box.rewind(800) == 8_000  # the bound holds in any case
    assert box.dropped == 0  # and what had gone before is no loss
    box.add(b"c" * 800)
    assert box.dropped == 800  # but what should go again is
    drain(box, 2000.0, 3000.0)
    box.hold(None)
    assert box.rewind(0) == 40_800 - RECENT_BYTES


def test_nothing_before_a_settled_point_goes_again() -> None:
    box = gone(outbox(), b"a" * 4000)
    box.settle()
    gone(box, b"b" * 800)
    assert box.rewind(0) == 4000
    assert len(box) == 800
    box.clear()
    assert (len(box), box.sent, box.rewind(0)) == (0, 4800, 4800)


def test_a_piece_can_be_returned_although_it_was_let_go() -> None:
    box = outbox()
    box.add(b"a" * CHUNK)
    piece = box.take(0.0)
    box.settle()
    assert piece is not None
    box.put_back(piece)
    assert (box.sent, len(box)) == (0, CHUNK)
    assert box.take(1.0) == piece


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
