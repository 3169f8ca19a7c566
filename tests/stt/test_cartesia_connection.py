"""When silence stands in for the speaker's audio, and when it must not. The rest is in `test_cartesia_turns`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.stt.base import Recognizer
from bridge.stt.cartesia_connection import TURN_GAP_S
from bridge.stt.cartesia_turns import CartesiaTurns, CartesiaTurnsSettings

VOICE = b"\x10" * 800


@pytest.fixture
async def recognizer(service: Any, heard: Any) -> AsyncIterator[Recognizer]:
    """A session with an open turn."""
    factory = CartesiaTurns(CartesiaTurnsSettings(service.url, "sk_car_test"))
    session = factory.open(heard, name="call")
    line = await service.line()
    await line.say({"type": "turn.start"})
    await heard.until(2)
    yield session
    await factory.close()


def stand_still() -> None:
    """As a process does that gets no processor for longer than a gap may be."""
    time.sleep(TURN_GAP_S + 0.2)


async def test_no_silence_goes_before_what_came_while_the_process_stood_still(
    service: Any, recognizer: Recognizer
) -> None:
    line = await service.line()
    recognizer.send(VOICE)
    stand_still()
    for _ in range(5):
        await asyncio.sleep(0)  # The timer has fired, and the carrier's socket is still being read.
    recognizer.send(VOICE)
    await line.until(lambda line: len(line.audio) >= 2 * len(VOICE))
    assert line.audio[: 2 * len(VOICE)] == 2 * VOICE


async def test_where_nothing_came_silence_fills_all_of_the_gap(service: Any, recognizer: Recognizer) -> None:
    line = await service.line()
    recognizer.send(VOICE)
    stand_still()
    await line.until(lambda line: len(line.audio) > len(VOICE) + 4000)
    assert set(line.audio[len(VOICE) :]) == {0xFF}


class Mute:
    """A timer as uvloop has it for a moment that is past: it can be cancelled and tells nothing."""

    _source_traceback = None

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.cancel = timer.cancel


async def test_gaps_are_filled_on_though_a_timer_does_not_tell_what_it_is_set_to(
    service: Any, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop: Any = asyncio.get_running_loop()
    call_at = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda *given, **more: Mute(call_at(*given, **more)))
    line = await service.line()
    recognizer.send(VOICE)
    await line.until(lambda line: len(line.audio) > len(VOICE) + 6000)  # More than one gap.
    assert set(line.audio[len(VOICE) :]) == {0xFF}
