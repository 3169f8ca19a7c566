"""The caller hangs up right behind the last word: the word is in the record."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.speech_set import speech_end_s
from tests.turn_taking import voices
from tests.turn_taking.speech_relay import SpeechRelay
from tests.turn_taking.stage import Stage, show, stage

DELAYS_MS = (50, 150, 300, 500, 900)
AT_ONCE = 2
"""Calls at the same time: the local speech server has one core to recognise with."""
SENTENCE = "it was the age of foolishness"


async def hung_up_after(there: Stage, delay_ms: int, slots: asyncio.Semaphore) -> str:
    sound = voices.recorded(voices.QUESTION_S)
    async with slots, SimulatedCall(there.line()) as call:
        await call.pause(0.5)
        said = await call.say(sound[: round(speech_end_s(sound) * 8000)])
        assert said.end_s is not None
        await call.pause(said.end_s + delay_ms / 1000 - call.now)
        await call.hang_up()
        journal = await there.journal(call)
    transcript = json.loads((journal.folder / "transcript.json").read_text("utf-8"))
    assert SENTENCE.rsplit(maxsplit=1)[-1] in json.dumps(transcript), "the transcript lacks the last word"
    (spoke,) = journal.all("caller_spoke")
    assert journal.entries[-1]["entry"] == "call_closed"
    assert journal.entries[-1]["reason"] == "caller"
    return str(spoke["transcript"])


@pytest.mark.timeout(60)
async def test_the_last_word_before_a_hang_up_is_kept(relay: SpeechRelay, tmp_path: Path) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    async with stage(tmp_path, relay.url, lambda body: None) as there:
        texts = await asyncio.gather(*(hung_up_after(there, delay_ms, slots) for delay_ms in DELAYS_MS))
    for delay_ms, text in zip(DELAYS_MS, texts, strict=True):
        show(f"hung up {delay_ms:3} ms after the last word: {text!r}")
    for text in texts:
        words = [word.strip(".,?!").lower() for word in text.split()]
        assert words == SENTENCE.split()
