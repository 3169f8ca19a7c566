"""The measurement of a speech server: what is counted, never how fast it was."""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest

from bridge.audio import codec
from bridge.bench.figures import Figures
from bridge.bench.local_figures import (
    ANSWER,
    FIRST_UPDATE,
    TURN_END,
    TURN_START,
    SpeechLevel,
    as_json,
    in_real_time,
    knee,
    level_of,
    table,
)
from bridge.bench.local_material import Utterance, line_noise, trimmed
from bridge.bench.local_speech import SpeechOptions, run_local_speech, server_process
from bridge.bench.local_stream import script
from bridge.bench.local_words import Heard, TurnSeen
from bridge.errors import BridgeError

TONE = codec.linear16_to_mulaw((b"\x00\x30" * 4 + b"\x00\xd0" * 4) * 200)
"""A fifth of a second."""
YES, NO = Utterance("Yes please.", TONE), Utterance("Oh no.", TONE)


def heard(*turns: TurnSeen, **fields: bool) -> Heard:
    return Heard([YES.text, NO.text], [(10.0, 11.0), (13.0, 14.0)], [*turns], [0.04], 0.001, **fields)


def level(end_ms: float = 900.0, **fields: int) -> SpeechLevel:
    one = level_of([heard(TurnSeen(10.1, [10.8], 11.9, "Yes please."), TurnSeen(13.2, [], 14.8, " Oh no."))], None)
    figures = {**one.figures, TURN_END: Figures(2, end_ms, end_ms, end_ms, end_ms)}
    return replace(one, figures=figures, **fields)  # type: ignore[arg-type]  # they are all of them numbers


def test_latencies_are_from_the_speech_to_its_turn() -> None:
    figures = level_of(
        [heard(TurnSeen(10.1, [10.8, 10.9], 11.9, "Yes please."), TurnSeen(13.2, [], 14.8, " Oh no."))], None
    ).figures
    assert (figures[TURN_START].p50, figures[TURN_START].max) == pytest.approx((100, 200))
    assert figures[FIRST_UPDATE].count == 1
    assert figures[FIRST_UPDATE].max == pytest.approx(800)
    assert (figures[TURN_END].p50, figures[TURN_END].max) == pytest.approx((800, 900))
    assert figures[ANSWER].p50 == pytest.approx(40)


def test_what_went_wrong_is_counted() -> None:
    found = level_of(
        [
            heard(TurnSeen(10.1, [], 14.9, "Yes please. Oh no.")),
            heard(TurnSeen(10.1, [], 11.9, "Yes."), TurnSeen(13.1), broken=True),
            heard(refused=True),
        ],
        None,
    )
    assert (found.streams, found.refused, found.broken) == (3, 1, 1)
    assert (found.utterances, found.unheard, found.run_together) == (4, 1, 1)
    assert (found.words, found.lost, found.turns) == (8, 3, 3)
    # A turn that ran together counts for both of what was said in it.
    assert found.figures[TURN_END].max == pytest.approx(3900)


def test_real_time_is_as_quick_and_as_whole_as_the_first() -> None:
    assert in_real_time(level(1200.0), level())
    assert not in_real_time(level(1201.0), level())
    assert not in_real_time(level(refused=1), level())
    assert not in_real_time(level(broken=1), level())
    assert not in_real_time(level(lost=1), level())


def test_the_knee_is_before_the_first_that_is_late() -> None:
    levels = [level(), level(950.0, streams=2), level(3000.0, streams=4), level(900.0, streams=8)]
    assert knee(levels) == 2
    assert knee([]) == 0
    shown = as_json(levels)
    assert (shown["ok"], shown["real_time_streams"]) == (True, 2)
    assert [each["real_time"] for each in shown["levels"]] == [True, True, False, True]
    assert table([level(refused=1)]).splitlines()[-1].strip() == "streams refused 1, broken 0"


def test_a_stream_says_everything_at_its_place() -> None:
    audio, spans = script([YES, NO], random.Random(1))
    for start, end in spans:
        assert audio[8 * start : 8 * end] == TONE
    assert codec.level_db(audio[: 8 * spans[0][0]]) < -55
    assert len(audio) - 8 * spans[-1][1] >= 8 * 1600


def test_silence_around_speech_is_cut() -> None:
    dice = random.Random(1)
    assert trimmed(line_noise(200, dice) + TONE + line_noise(100, dice)) == TONE
    assert trimmed(line_noise(200, dice)) == b""


async def test_two_streams_of_one_utterance_are_measured() -> None:
    mine = getattr(os, "sched_getaffinity", lambda _: None)(0)
    shown: list[SpeechLevel] = []
    levels = await run_local_speech(SpeechOptions((2,), utterances=1), on_level=shown.append)
    assert shown == levels
    assert (levels[0].streams, levels[0].utterances, levels[0].refused, levels[0].broken) == (2, 2, 0, 0)
    assert levels[0].unheard == 0
    assert levels[0].figures[ANSWER].count >= 2
    assert getattr(os, "sched_getaffinity", lambda _: None)(0) == mine


async def test_a_server_that_does_not_start_is_told() -> None:
    with pytest.raises(BridgeError, match="phone-bridge speech") as failed:
        async with server_process(("--recognizer", "siri"), 1):
            pass
    assert failed.value.code == "bench_speech"
