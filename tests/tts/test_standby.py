"""What one text-to-speech service does not speak, the one that stands by for it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.conversation.events import (
    SpeechArrived,
    SpeechEvent,
    SpeechFailed,
    SpeechFinished,
    SpokenByStandby,
    Word,
    WordsTimed,
)
from bridge.speech.standby import Switch
from bridge.tts.base import EmitSpeech, Synthesizer, Voice
from bridge.tts.prompts import Prompt, PromptCache
from bridge.tts.standby import StandbySpeech
from tests.waiting import until

AWAY = ("speech_unreachable", "refused")


class Scripted(Synthesizer, Voice):
    """A service that says what the test wants, and its only voice."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.warmed = 0
        self.opened = 0

    def warm(self) -> None:
        self.warmed += 1

    def open(self, emit: EmitSpeech, *, name: str) -> Voice:
        del name
        self.emit = emit
        self.opened += 1
        return self

    def speak(
        self, utterance: int, text: str, *, more: bool, voice: str | None = None, language: str | None = None
    ) -> None:
        self.asked.append((utterance, text, more, voice, language))

    def cancel(self, utterance: int) -> None:
        self.asked.append(("cancel", utterance))

    async def close(self) -> None:
        self.asked.append("close")

    def fails(self, utterance: int, code: str = AWAY[0], *, final: bool = False) -> None:
        self.emit(SpeechFailed(utterance, code, "refused", final=final))


class World:
    def __init__(self, patience_s: float = 60.0) -> None:
        async def never() -> None:
            await asyncio.Event().wait()

        self.main, self.other, self.switch = Scripted(), Scripted(), Switch("tts", never)
        knows = lambda language: language in {None, "en"}  # noqa: E731  It is one expression.
        self.speech = StandbySpeech(self.main, self.other, self.switch, knows, patience_s=patience_s)
        self.told: list[SpeechEvent] = []
        self.voice = self.speech.open(self.told.append, name="call")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.voice.close()
    await world.switch.close()


async def test_while_the_service_works_the_other_is_not_even_opened(world: World) -> None:
    world.voice.speak(1, "Hello.", more=False, voice="v", language="en")
    for event in (SpeechArrived(1, b"aa"), SpeechFinished(1)):
        world.main.emit(event)
    assert world.told == [SpeechArrived(1, b"aa"), SpeechFinished(1)]
    assert (world.main.asked, world.other.opened) == ([(1, "Hello.", False, "v", "en")], 0)
    world.speech.warm()
    assert (world.main.warmed, world.other.warmed) == (1, 0)


async def test_what_has_not_begun_is_spoken_from_its_beginning_and_all_else_from_then_on(world: World) -> None:
    world.voice.speak(1, "Hello.", more=True, voice="v", language="en")
    world.voice.speak(1, " You.", more=False, voice="v", language="en")
    world.main.fails(1, "speech_auth", final=True)
    assert world.told == [SpokenByStandby(1)]
    assert world.other.asked == [(1, "Hello.", True, "v", "en"), (1, " You.", False, "v", "en")]
    world.other.emit(SpeechFinished(1))
    world.voice.speak(2, "More.", more=False, language="en")
    assert world.told[1:] == [SpeechFinished(1), SpokenByStandby(2)]
    assert world.other.asked[-1] == (2, "More.", False, None, "en")
    world.speech.warm()
    assert (world.main.warmed, world.other.warmed) == (0, 1)
    world.switch.stands_in = False
    world.voice.speak(3, "Back.", more=False, language="en")
    assert world.main.asked[-1] == (3, "Back.", False, None, "en")


@pytest.mark.parametrize("came", [SpeechArrived(1, b"aa"), WordsTimed(1, (Word("Hello", 0, 1),))])
async def test_what_breaks_off_in_its_middle_is_asked_for_again_by_who_knows_what_was_heard(
    world: World, came: SpeechEvent
) -> None:
    world.voice.speak(1, "Hello.", more=False, language="en")
    world.main.emit(came)
    world.main.fails(1, final=True)
    assert world.told == [came, SpeechFailed(1, AWAY[0], "refused", final=False)]
    world.voice.speak(1, " Late.", more=False, language="en")
    assert (world.switch.stands_in, world.other.asked) == (False, []), "a connection breaks now and then"
    world.voice.speak(2, "lo.", more=False, language="en")
    world.main.emit(SpeechArrived(2, b"aa"))
    world.main.fails(2, "speech_timeout")
    assert world.switch.stands_in, "but who falls silent is not asked again"


@pytest.mark.parametrize(("code", "language"), [("speech_request", "en"), (AWAY[0], "de")])
async def test_what_the_other_could_not_do_either_fails(world: World, code: str, language: str) -> None:
    world.voice.speak(1, "Hello.", more=False, language=language)
    world.main.fails(1, code, final=True)
    assert world.told == [SpeechFailed(1, code, "refused", final=True)]
    assert world.other.opened == 0
    world.voice.speak(2, "Guten Tag.", more=False, language="de")
    assert world.main.asked[-1] == (2, "Guten Tag.", False, None, "de")


async def test_without_room_for_one_more_only_that_sentence_goes_over(world: World) -> None:
    world.voice.speak(1, "Hello.", more=False, language="en")
    world.main.fails(1, "speech_limit")
    assert world.other.asked == [(1, "Hello.", False, None, "en")]
    assert not world.switch.stands_in


async def test_if_the_standby_fails_too_that_is_told(world: World) -> None:
    world.voice.speak(1, "Hello.", more=False, language="en")
    world.main.fails(1)
    world.other.fails(1)
    assert world.told == [SpokenByStandby(1), SpeechFailed(1, *AWAY, final=False)]


async def test_cancelling_reaches_whoever_speaks(world: World) -> None:
    world.voice.speak(1, "Hello.", more=False, language="en")
    world.voice.cancel(1)
    world.voice.cancel(1)
    assert world.main.asked[1:] == [("cancel", 1)]
    world.voice.speak(2, "Hello.", more=False, language="en")
    world.main.fails(2)
    world.voice.cancel(2)
    assert world.other.asked[1:] == [("cancel", 2)]


async def test_a_service_that_is_silent_is_not_waited_for_long() -> None:
    world = World(patience_s=0.01)
    world.voice.speak(1, "Hello.", more=False, language="en")
    await until(lambda: world.told)
    assert (world.told, world.switch.stands_in) == ([SpokenByStandby(1)], True)
    assert world.main.asked == [(1, "Hello.", False, None, "en"), ("cancel", 1)]
    assert world.other.asked == [(1, "Hello.", False, None, "en")]
    await world.switch.close()


async def test_sentences_are_kept_only_in_the_voice_of_the_settings(world: World) -> None:
    prompt = Prompt("Hello.", "v", "en")
    cache = PromptCache(world.speech, [prompt], pauses_s=[60])
    told: list[SpeechEvent] = []
    voice = cache.open(told.append, name="call")
    voice.speak(1, "Hello.", more=False, voice="v", language="en")
    world.main.fails(1)
    for event in (SpeechArrived(1, b"aa"), SpeechFinished(1)):
        world.other.emit(event)
    assert told == [SpokenByStandby(1), SpeechArrived(1, b"aa"), SpeechFinished(1)]
    assert cache.missing == 1
    cache.prepare()
    await until(lambda: ("cancel", 1) in world.other.asked)
    assert cache.missing == 1
    await cache.close()
