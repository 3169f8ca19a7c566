"""Both sides of a call: what counts as lost, as an under-run, as late, and what does not."""

from __future__ import annotations

import random

import pytest

from bridge.bench.figures import PLAY_ALL
from bridge.bench.load_call import CHUNK_BYTES, LoadCall, Utterance
from bridge.bench.talk import Pace, clock
from bridge.bench.tally import Tally
from bridge.simulator.load.cells import CELL_BYTES, agent_cells, caller_cells

CALLER = caller_cells(3)


@pytest.fixture
def tally() -> Tally:
    made = Tally()
    made.begin_window(0.0)
    return made


@pytest.fixture
def call(tally: Tally) -> LoadCall:
    made = LoadCall(3, "AC" + "0" * 32, tally, random.Random(1), Pace())
    made.phone.frames = 10
    made.phone.sent_at[:10] = [100 + 0.02 * frame for frame in range(10)]
    return made


def frames(first: int, count: int) -> bytes:
    return CALLER.span(first * CELL_BYTES, count * CELL_BYTES)


def spoken(call: LoadCall, chunks: int = 3) -> Utterance:
    utterance = call.utterance()
    for _ in range(chunks):
        call.chunk_sent(utterance)
    return utterance


def chunk(utterance: Utterance, number: int) -> bytes:
    return utterance.cells.span(number * CHUNK_BYTES, CHUNK_BYTES)


# --- the caller's audio ---


def test_the_age_of_a_message_is_that_of_its_first_frame_and_collecting_it_is_taken_off(
    call: LoadCall, tally: Tally
) -> None:
    call.heard(100.085, frames(0, 5))
    call.heard(100.110, frames(5, 1))
    assert tally.ages == pytest.approx([0.085, 0.010])
    assert tally.heard == pytest.approx([0.005, 0.010])
    assert call.missing_bytes == 4 * CELL_BYTES


def test_audio_that_is_lost_or_changed_is_counted_and_gives_no_sample(call: LoadCall, tally: Tally) -> None:
    call.heard(101.0, frames(0, 1))
    call.heard(101.0, frames(2, 1))
    assert (tally.lost_up, len(tally.ages)) == (CELL_BYTES, 1)


async def test_the_service_has_heard_a_moment_when_it_has_its_frame(call: LoadCall) -> None:
    heard = call.until_heard()
    call.heard(101.0, frames(0, 10))
    assert not heard.done(), "the frame that was being spoken was not sent yet"
    call.phone.frames = 11
    call.heard(101.0, frames(10, 1))
    assert heard.done()


# --- the agent's audio ---


def test_speech_that_arrives_in_order_is_right_whatever_its_pieces(call: LoadCall, tally: Tally) -> None:
    utterance = spoken(call)
    whole = b"".join(chunk(utterance, number) for number in range(3))
    for at in range(0, len(whole), 700):
        call.played(clock(), whole[at : at + 700], None)
    assert (tally.lost_down, tally.stale_bytes, tally.underruns) == (0, 0, 0)
    assert len(tally.samples[PLAY_ALL]) == 3


def test_a_missing_piece_is_lost(call: LoadCall, tally: Tally) -> None:
    utterance = spoken(call)
    call.played(1.0, chunk(utterance, 0), None)
    call.played(1.0, chunk(utterance, 2), None)
    assert tally.lost_down == CHUNK_BYTES


def test_what_a_clear_cut_off_is_not_missed(call: LoadCall, tally: Tally) -> None:
    first = spoken(call)
    call.played(1.0, chunk(first, 0), None)
    call.cleared(2.0)
    second = spoken(call)
    call.played(3.0, chunk(second, 0), None)
    assert (tally.lost_down, tally.stale_bytes) == (0, 0)


def test_an_utterance_that_another_one_replaces_without_a_clear_is_missed(call: LoadCall, tally: Tally) -> None:
    first = spoken(call)
    call.played(1.0, chunk(first, 0), None)
    call.played(3.0, chunk(spoken(call), 0), None)
    assert tally.lost_down == first.bytes - CHUNK_BYTES


def test_speech_after_its_clear_is_stale_and_not_lost(call: LoadCall, tally: Tally) -> None:
    utterance = spoken(call)
    call.played(1.0, chunk(utterance, 0), None)
    call.cleared(2.0)
    call.played(2.1, chunk(utterance, 1), None)
    assert (tally.lost_down, tally.stale_bytes) == (0, CHUNK_BYTES)


def test_speech_of_another_call_is_lost_and_a_filler_is_nothing(call: LoadCall, tally: Tally) -> None:
    call.played(1.0, agent_cells(0, 0).span(0, CELL_BYTES), None)
    assert tally.lost_down == 0
    call.played(1.0, agent_cells(4, 1).span(0, CELL_BYTES), None)
    assert tally.lost_down == CELL_BYTES


def test_a_chunk_that_the_phone_does_not_want_yet_gives_no_sample(call: LoadCall, tally: Tally) -> None:
    call.phone.plays_until = clock() + 60
    utterance = spoken(call)
    call.played(clock(), chunk(utterance, 0), None)
    assert PLAY_ALL not in tally.samples


def test_a_phone_that_ran_dry_inside_an_utterance_is_an_under_run(call: LoadCall, tally: Tally) -> None:
    utterance = spoken(call)
    dry = clock()
    call.played(dry, chunk(utterance, 0), None)
    call.played(dry + 0.5, chunk(utterance, 1), dry)
    assert tally.underruns == 1
    assert tally.underrun_s == pytest.approx(0.5)


def test_it_is_none_at_an_utterances_beginning_or_when_the_service_was_late(call: LoadCall, tally: Tally) -> None:
    utterance = spoken(call, chunks=1)
    call.played(clock(), chunk(utterance, 0), clock() - 3)
    dry = clock()
    call.chunk_sent(utterance)
    call.played(clock() + 1, chunk(utterance, 1), dry)
    assert tally.underruns == 0


def test_a_phone_that_is_dry_when_the_caller_cuts_in_is_one_too(call: LoadCall, tally: Tally) -> None:
    utterance = spoken(call)
    call.played(clock(), chunk(utterance, 0), None)
    call.phone.plays_until = clock() + 0.0001
    while call.phone.plays_until > clock() - 0.01:
        pass
    assert not call.talk.cuts_in(), "there is nothing left to play"
    assert tally.underruns == 1
    call.phone.plays_until = clock() + 60
    assert call.talk.cuts_in()
    assert tally.underruns == 1


def test_what_the_phone_is_told_is_counted(call: LoadCall, tally: Tally) -> None:
    call.refused("no message")
    call.gone()
    assert (tally.refused_frames, tally.dropped_calls) == (1, 1)
