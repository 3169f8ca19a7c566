"""The null voice."""

from __future__ import annotations

import asyncio

import pytest

from bridge.audio.codec import mulaw_to_linear16
from bridge.conversation.events import SpeechArrived, SpeechEvent, SpeechFinished, Word, WordsTimed
from bridge.tts.tone import ToneVoice


async def spoken(*pieces: tuple[str, bool]) -> list[SpeechEvent]:
    events: list[SpeechEvent] = []
    voice = ToneVoice().open(events.append, name="call")
    for text, more in pieces:
        voice.speak(1, text, more=more)
        assert not any(isinstance(event, SpeechFinished) for event in events)
    await asyncio.sleep(0)
    return events


async def test_a_beep_for_each_word_with_its_time() -> None:
    words, audio, finished = await spoken(("Hello there, Ann.", False))
    assert words == WordsTimed(1, (Word("Hello", 0.0, 0.2), Word("there,", 0.25, 0.45), Word("Ann.", 0.5, 0.7)))
    assert isinstance(audio, SpeechArrived)
    assert len(audio.audio) == 3 * 2000
    assert finished == SpeechFinished(1)
    second = mulaw_to_linear16(audio.audio[2000:4000])
    assert max(second[: 2 * 1600]) > 0
    assert set(second[2 * 1600 :]) == {0}


async def test_pieces_are_joined_verbatim() -> None:
    events = await spoken(("Hel", True), ("lo the", True), ("re ", True), ("", False))
    assert [word for event in events if isinstance(event, WordsTimed) for word in event.words] == [
        Word("Hello", 0.0, 0.2),
        Word("there", 0.25, 0.45),
    ]
    assert events[-1] == SpeechFinished(1)


async def test_nothing_to_say_ends_at_once() -> None:
    assert await spoken(("", False)) == [SpeechFinished(1)]


async def test_a_cancelled_utterance_is_silent() -> None:
    events: list[SpeechEvent] = []
    voice = ToneVoice().open(events.append, name="call")
    voice.speak(1, "Never heard.", more=False)
    voice.speak(2, "Heard.", more=True)
    voice.cancel(1)
    await asyncio.sleep(0)
    voice.speak(1, "Late.", more=False)
    await voice.close()
    voice.speak(2, "Late.", more=False)
    await asyncio.sleep(0)
    assert events == []


@pytest.mark.parametrize("more", [True, False])
async def test_only_the_last_piece_ends_it(*, more: bool) -> None:
    events = await spoken(("Hello there", more))
    assert (SpeechFinished(1) in events) is not more
