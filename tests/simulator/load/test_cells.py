from __future__ import annotations

import base64

import pytest

from bridge.audio import codec
from bridge.simulator.load.cells import (
    CELL_BYTES,
    Check,
    agent_cells,
    agent_of,
    caller_cells,
    caller_of,
    caller_payload_prefix,
    caller_payload_rest,
)

CALL = 0x1A2B
CALLER = caller_cells(CALL)


def sent(cells: int) -> bytes:
    return CALLER.span(0, cells * CELL_BYTES)


def checked(*pieces: bytes) -> Check:
    check = Check(CALLER)
    for piece in pieces:
        check.take(piece)
    return check


def test_a_payload_is_the_base64_of_its_cell() -> None:
    for frame in (0, 1, 60, 61, 0xFFFFFF):
        payload = caller_payload_prefix(CALL) + caller_payload_rest(frame)
        assert base64.b64decode(payload, validate=True) == CALLER.span(frame * CELL_BYTES, CELL_BYTES)


def test_a_span_is_a_part_of_the_whole_wherever_it_is_cut() -> None:
    whole = sent(5)
    for start, length in ((0, 1), (159, 2), (160, 160), (100, 500), (3, 797)):
        assert CALLER.span(start, length) == whole[start : start + length]


def test_streams_tell_whose_they_are() -> None:
    assert caller_of(b"noise" + CALLER.span(160, 160)) == CALL
    assert agent_of(agent_cells(7, 9).span(320, 160)) == (7, 9)
    assert caller_of(agent_cells(7, 9).span(0, 1600)) is None
    assert agent_of(CALLER.span(0, 160)) is None


def test_audio_survives_linear_samples_and_the_way_back() -> None:
    audio = sent(61)
    assert codec.linear16_to_mulaw(codec.mulaw_to_linear16(audio)) == audio


@pytest.mark.parametrize("piece", [1, 159, 160, 161, 800, 4000])
def test_what_comes_in_order_is_right_whatever_its_pieces(piece: int) -> None:
    whole = sent(25)
    check = checked(*(whole[at : at + piece] for at in range(0, len(whole), piece)))
    assert (check.position, check.faults) == (len(whole), 0)


def test_the_position_before_a_piece_is_returned() -> None:
    check = Check(CALLER)
    assert [check.take(sent(2)), check.take(CALLER.span(320, 160))] == [0, 320]


def test_a_missing_frame_is_lost() -> None:
    whole = sent(10)
    check = checked(whole[:480] + whole[640:])
    assert (check.lost, check.repeated, check.alien, check.position) == (160, 0, 0, 1600)


def test_a_frame_that_comes_twice_is_repeated() -> None:
    whole = sent(10)
    check = checked(whole[:480], whole[320:])
    assert (check.lost, check.repeated, check.alien, check.position) == (0, 160, 0, 1600)


def test_frames_that_change_places_are_lost_and_late() -> None:
    whole = sent(4)
    check = checked(whole[:160] + whole[320:480] + whole[160:320] + whole[480:])
    assert (check.lost, check.repeated, check.position) == (160, 160, 640)


def test_a_broken_frame_is_told_and_what_follows_is_right() -> None:
    whole = bytearray(sent(6))
    whole[400] ^= 1  # in the middle of the third cell
    check = checked(bytes(whole), CALLER.span(960, 160))
    assert check.alien == 160
    assert check.lost == 160
    assert check.position == 1120


def test_audio_of_somebody_else_is_alien() -> None:
    check = checked(sent(2), caller_cells(CALL + 1).span(0, 320), CALLER.span(320, 160))
    assert (check.lost, check.repeated, check.alien, check.position) == (0, 0, 320, 480)
