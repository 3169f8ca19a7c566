"""What every voice owes to a conversation, whoever synthesises: `bridge.tts.base`."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from bridge.conversation.events import SpeechEvent, SpeechFailed, SpeechFinished, WordsTimed
from bridge.tasks import spawn
from bridge.tts.base import Synthesizer
from bridge.tts.prompts import Prompt, PromptCache
from bridge.tts.tone import ToneVoice
from tests.no_collector import no_collector
from tests.tts.scripted import Build, Heard, Line, Service
from tests.waiting import until

TEXT = "Good morning, Ann."


@pytest.fixture(
    params=["tone", "cartesia", "cached prompt", "prompt not cached", "no prompt", "prompt of cartesia"]
)
async def synthesizer(
    request: pytest.FixtureRequest, service: Service, speech: Build
) -> AsyncIterator[Synthesizer]:
    known = [] if request.param == "no prompt" else [Prompt(TEXT)]
    made: Synthesizer
    match request.param:
        case "tone":
            made = ToneVoice()
        case "cartesia":
            made = speech()
        case "prompt of cartesia":
            made = PromptCache(speech(), known)
        case _:
            made = PromptCache(ToneVoice(), known)
    answering = spawn(answer_all(service), name="answers")
    if isinstance(made, PromptCache) and request.param == "cached prompt":
        made.prepare()
        await until(lambda: made.missing == 0)
    yield made
    await made.close()
    answering.cancel()
    await asyncio.wait([answering])


async def answer_all(service: Service) -> None:
    """Speak each context once its text is complete: two bytes a character, a second a word."""
    line = await service.line()
    texts: dict[str, str] = {}
    at = 0
    while True:
        request = (await line.requests(at + 1))[at]
        at += 1
        context = request["context_id"]
        if request.get("cancel"):
            continue
        texts[context] = texts.get(context, "") + request["transcript"]
        if not request["continue"]:
            await answer(line, context, texts[context])


async def answer(line: Line, context: str, text: str) -> None:
    words = text.split()
    times = {
        "words": words,
        "start": [float(n) for n in range(len(words))],
        "end": [n + 0.5 for n in range(len(words))],
    }
    await line.say({"type": "timestamps", "context_id": context, "word_timestamps": times})
    await line.speak(context, b"\x01\x02" * len(text), done=True)


def ends(events: list[SpeechEvent], utterance: int) -> int:
    return sum(isinstance(e, SpeechFinished | SpeechFailed) and e.utterance == utterance for e in events)


async def ended(heard: Heard, utterance: int) -> None:
    while not ends(heard.events, utterance):
        await heard.until(len(heard.events) + 1)


def words(heard: Heard, utterance: int) -> list[str]:
    timed = [e for e in heard.events if isinstance(e, WordsTimed) and e.utterance == utterance]
    return [word.text for event in timed for word in event.words]


async def test_an_utterance_has_audio_words_and_one_end(synthesizer: Synthesizer, heard: Heard) -> None:
    voice = synthesizer.open(heard, name="call")
    voice.speak(1, TEXT, more=False)
    assert heard.events == []  # whoever asks is still busy
    await ended(heard, 1)
    assert heard.audio(1)
    assert words(heard, 1) == TEXT.split()
    assert heard.events[-1] == SpeechFinished(1)
    voice.speak(2, "Next.", more=False)
    await ended(heard, 2)
    assert (ends(heard.events, 1), ends(heard.events, 2)) == (1, 1)


async def test_pieces_are_joined_verbatim(synthesizer: Synthesizer, heard: Heard) -> None:
    voice = synthesizer.open(heard, name="call")
    for piece in ("Go", "od mor", "ning, ", "Ann."):
        voice.speak(1, piece, more=True)
    voice.speak(1, "", more=False)
    await ended(heard, 1)
    assert words(heard, 1) == TEXT.split()


async def test_a_prompt_inside_an_utterance_is_only_a_piece_of_it(synthesizer: Synthesizer, heard: Heard) -> None:
    voice = synthesizer.open(heard, name="call")
    voice.speak(1, "Well! ", more=True)
    voice.speak(1, TEXT, more=False)
    await ended(heard, 1)
    assert words(heard, 1) == ["Well!", *TEXT.split()]
    assert ends(heard.events, 1) == 1


async def test_cancelled_means_silent(synthesizer: Synthesizer, heard: Heard) -> None:
    voice = synthesizer.open(heard, name="call")
    voice.speak(1, TEXT, more=False)
    voice.cancel(1)
    voice.cancel(1)
    voice.cancel(99)
    voice.speak(1, TEXT, more=False)
    voice.speak(2, TEXT, more=False)
    await ended(heard, 2)
    assert {event.utterance for event in heard.events} == {2}
    assert words(heard, 2) == TEXT.split()


async def test_cancelled_in_the_middle_means_silent_from_there(synthesizer: Synthesizer) -> None:
    events: list[SpeechEvent] = []

    def take(event: SpeechEvent) -> None:
        events.append(event)
        if event.utterance == 1:
            voice.cancel(1)

    voice = synthesizer.open(take, name="call")
    voice.speak(1, TEXT, more=False)
    voice.speak(2, TEXT, more=False)
    await until(lambda: ends(events, 2) > 0)
    assert [event.utterance for event in events].count(1) == 1
    assert ends(events, 1) == 0


async def test_text_after_the_end_is_ignored(synthesizer: Synthesizer, heard: Heard) -> None:
    voice = synthesizer.open(heard, name="call")
    voice.speak(1, TEXT, more=False)
    await ended(heard, 1)
    came = len(heard.events)
    voice.speak(1, TEXT, more=False)
    voice.speak(1, "More.", more=True)
    voice.speak(2, "Next.", more=False)
    await ended(heard, 2)
    assert {event.utterance for event in heard.events[came:]} == {2}


async def test_nothing_to_say_ends_as_well(synthesizer: Synthesizer, heard: Heard) -> None:
    synthesizer.open(heard, name="call").speak(1, "", more=False)
    await ended(heard, 1)
    assert heard.events == [SpeechFinished(1)]


async def test_voices_do_not_hear_each_other(synthesizer: Synthesizer, heard: Heard) -> None:
    other = Heard()
    synthesizer.open(heard, name="a").speak(1, TEXT, more=False)
    synthesizer.open(other, name="b").speak(1, "Goodbye.", more=False)
    await asyncio.gather(ended(heard, 1), ended(other, 1))
    assert words(heard, 1) == TEXT.split()
    assert words(other, 1) == ["Goodbye."]


async def test_a_closed_voice_is_silent(synthesizer: Synthesizer, heard: Heard) -> None:
    other = Heard()
    voice = synthesizer.open(heard, name="a")
    voice.speak(1, TEXT, more=False)
    voice.speak(2, "Never", more=True)
    await voice.close()
    synthesizer.open(other, name="b").speak(1, TEXT, more=False)
    await ended(other, 1)
    # The beeps need no service, so they may have come while the voice was being closed: not after it.
    came = len(heard.events)
    voice.speak(2, " heard.", more=False)
    await asyncio.sleep(0.02)
    assert len(heard.events) == came


async def test_a_closed_voice_holds_nobody(synthesizer: Synthesizer) -> None:
    with no_collector():
        heard = Heard()
        voice = synthesizer.open(heard, name="a")
        voice.speak(1, TEXT, more=False)
        await ended(heard, 1)
        voice.speak(2, "Never", more=True)
        await voice.close()
        gone = weakref.ref(heard)
        del heard
        await asyncio.sleep(0.02)  # What is on its way comes now.
        assert gone() is None


async def test_warming_and_closing_are_quiet(synthesizer: Synthesizer, heard: Heard) -> None:
    with capture_logs() as logs:
        synthesizer.warm()
        voice = synthesizer.open(heard, name="call")
        synthesizer.warm()
        await synthesizer.close()
        voice.cancel(1)
        await voice.close()
    assert heard.events == []
    assert [entry for entry in logs if entry["log_level"] not in {"info", "debug"}] == []
