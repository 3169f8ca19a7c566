"""Listening in: what reaches who listens, and that the call never waits for them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.conversation.journal import CallClosed, CallOpened, CallTakenOver, RecordingPaused
from bridge.live.ear import Ear
from bridge.live.taps import LEFT, RIGHT, TappedRecord, Taps
from bridge.store.base import CallHeader, Reopened
from bridge.tasks import spawn
from tests.call.peers import KeptRecord, KeptStore


def header(recording: Any = "on") -> CallHeader:
    return CallHeader("c1", "CA1", "+1", "+2", "inbound", "2026-01-01", "echo", recording=recording)


def tapped(recording: Any = "on") -> tuple[Taps, KeptStore, TappedRecord]:
    store = KeptStore()
    taps = Taps(store)
    record = taps.open(header(recording))
    assert isinstance(record, TappedRecord)
    return taps, store, record


def ear_of(taps: Taps, *, moves: bool = False) -> Ear:
    ear = taps.listen("c1", lambda: moves)
    assert ear is not None
    return ear


async def heard(ear: Ear, count: int) -> list[Any]:
    """Return so many frames: (side, at_ms, audio), or what a text holds."""
    frames: list[Any] = []
    async with asyncio.timeout(2):
        async for frame in ear.frames():
            if isinstance(frame, str):
                frames.append(json.loads(frame))
            else:
                frames.append((frame[0], int.from_bytes(frame[1:5], "big"), frame[5:]))
            if len(frames) == count:
                break
    return frames


async def test_everything_is_kept_whether_anybody_listens_or_not() -> None:
    taps, store, record = tapped()
    for _ in range(2):
        record.append(CallOpened())
        record.trace(b"{}")
        record.caller_audio(20, b"a")
        record.callee_audio(20, b"b")
        record.agent_audio(40.4, b"c")
        record.agent_cleared(60.2)
        taps.listen("c1", lambda: False)
    (kept,) = store.records
    sound = [("caller", 20, b"a"), ("callee", 20, b"b"), ("agent", 40.4, b"c"), ("cleared", 60.2)]
    assert kept.sound == sound * 2
    assert (len(kept.entries), kept.lines) == (2, [b"{}"] * 2)
    assert (await record.close()).folder == Path("/nowhere")
    assert kept.closed == 1


async def test_who_listens_hears_both_sides_from_then_on() -> None:
    taps, _, record = tapped()
    record.caller_audio(0, b"before")
    ear, other = ear_of(taps), ear_of(taps)
    record.caller_audio(70_000, b"a" * 160)
    record.callee_audio(70_020, b"b")
    record.agent_audio(70_040.4, b"c")
    record.agent_cleared(70_060.2)
    expected = [
        (LEFT, 70_000, b"a" * 160),
        (RIGHT, 70_020, b"b"),
        (RIGHT, 70_040, b"c"),
        {"type": "clear", "at_ms": 70_060},
    ]
    assert await heard(ear, 4) == expected
    taps.leave("c1", other)
    record.caller_audio(70_080, b"d")
    assert await heard(ear, 1) == [(LEFT, 70_080, b"d")]
    assert await heard(other, 4) == expected


async def test_a_recording_that_is_paused_is_not_heard_either() -> None:
    taps, _, record = tapped("paused")
    ear = ear_of(taps)
    record.caller_audio(20, b"a")
    record.resume_audio(40.0)
    record.agent_audio(60, b"b")
    record.pause_audio(80.0)
    record.agent_audio(90, b"c")
    assert await heard(ear, 4) == [
        {"type": "paused", "at_ms": 0},
        {"type": "resumed", "at_ms": 40},
        (RIGHT, 60, b"b"),
        {"type": "paused", "at_ms": 80},
    ]
    assert taps.recording("c1") == "paused"
    assert taps.recording("c2") == "off"


async def test_the_end_of_the_call_comes_last_and_nobody_listens_to_what_is_over() -> None:
    taps, _, record = tapped()
    ear = ear_of(taps)
    listening = spawn(heard(ear, 9), name="listening")
    await asyncio.sleep(0)
    record.caller_audio(20, b"a")
    record.append(CallClosed(40, "caller"))
    await record.close()
    assert await listening == [(LEFT, 20, b"a")]
    assert ear.over == "ended"
    assert taps.listen("c1", lambda: False) is None
    taps.leave("c1", ear)


@pytest.mark.parametrize(
    ("moves", "closed", "over"), [(True, False, "moved"), (False, False, "ended"), (True, True, "ended")]
)
async def test_only_a_call_that_goes_on_elsewhere_moves(*, moves: bool, closed: bool, over: str) -> None:
    taps, _, record = tapped()
    ear = ear_of(taps, moves=moves)
    if closed:
        record.append(CallClosed(40, "caller"))
    await record.close()
    assert await heard(ear, 1) == []
    assert ear.over == over


async def test_who_does_not_take_what_comes_is_let_go_and_holds_little() -> None:
    taps, store, record = tapped()
    ear = ear_of(taps)
    for number in range(60 * 60 * 5):  # Six minutes of the caller.
        record.caller_audio(20 * number, b"a" * 160)
    assert ear.too_slow
    assert await heard(ear, 1) == []
    assert len(store.records[0].sound) == 60 * 60 * 5


async def test_times_that_cannot_be_are_put_where_they_can() -> None:
    taps, _, record = tapped()
    ear = ear_of(taps)
    record.caller_audio(-5, b"a")
    record.caller_audio(2**40, b"b")
    assert [frame[1] for frame in await heard(ear, 2)] == [0, 2**32 - 1]


async def test_a_call_that_was_taken_over_is_heard_as_it_was() -> None:
    store = KeptStore()
    entries = (CallOpened(), RecordingPaused(10), CallTakenOver(30, 2))
    store.left["CA1"] = Reopened(header(), entries, 2, 30, KeptRecord(header()))
    taps = Taps(store)
    found = await taps.reopen("CA1")
    assert found is not None
    assert taps.recording("c1") == "paused"
    ear = ear_of(taps)
    found.record.caller_audio(40, b"a")  # Nobody is to hear it.
    found.record.resume_audio(50)
    found.record.caller_audio(60, b"b")
    assert [one["type"] if isinstance(one, dict) else one for one in await heard(ear, 3)] == [
        "paused",
        "resumed",
        (LEFT, 60, b"b"),
    ]
    assert await taps.reopen("CA1") is None
