"""Fixed prompts from memory."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from bridge.conversation.events import SpeechArrived, SpeechEvent, SpeechFailed, SpeechFinished, Word, WordsTimed
from bridge.tts import prompts as module
from bridge.tts.base import EmitSpeech, Synthesizer, Voice
from bridge.tts.prompts import Prompt, PromptCache
from tests.tts.scripted import Heard
from tests.waiting import until

SORRY, HELLO, WAIT = "Sorry, something went wrong.", "Hello!", "One moment, please."
SECOND = bytes(8000)


class Puppet(Synthesizer):
    """A synthesiser that says what the test tells it to, and remembers what it was asked."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.error: tuple[str, bool] | None = None
        self.asked: list[tuple[str, int, str, bool, str | None, str | None]] = []
        self.cancelled: list[tuple[str, int]] = []
        self.emits: dict[str, EmitSpeech] = {}
        self.warmed = 0
        self.closed = False

    def warm(self) -> None:
        self.warmed += 1

    def open(self, emit: EmitSpeech, *, name: str) -> Voice:
        self.emits[name] = emit
        return _Strings(self, name)

    async def close(self) -> None:
        self.closed = True

    def texts(self, name: str) -> list[str]:
        return [text for who, _, text, *_ in self.asked if who == name]

    def say(self, name: str, utterance: int, *events: SpeechEvent) -> None:
        for event in events or spoken(utterance):
            self.emits[name](event)


class _Strings(Voice):
    def __init__(self, puppet: Puppet, name: str) -> None:
        self.puppet, self.name = puppet, name

    def speak(
        self, utterance: int, text: str, *, more: bool, voice: str | None = None, language: str | None = None
    ) -> None:
        puppet = self.puppet
        puppet.asked.append((self.name, utterance, text, more, voice, language))
        if puppet.error is not None:
            code, final = puppet.error
            failed = SpeechFailed(utterance, code, "no", final=final)
            asyncio.get_running_loop().call_soon(puppet.say, self.name, utterance, failed)
        elif puppet.answers and not more:
            asyncio.get_running_loop().call_soon(puppet.say, self.name, utterance)

    def cancel(self, utterance: int) -> None:
        self.puppet.cancelled.append((self.name, utterance))

    async def close(self) -> None:
        pass


def spoken(utterance: int, audio: bytes = SECOND) -> list[SpeechEvent]:
    return [
        SpeechArrived(utterance, audio[:3000]),
        WordsTimed(utterance, (Word("w", 0.1, 0.9),)),
        SpeechArrived(utterance, audio[3000:]),
        SpeechFinished(utterance),
    ]


async def prepared(*prompts: Prompt | str) -> tuple[PromptCache, Puppet]:
    puppet = Puppet()
    cache = PromptCache(puppet, [Prompt(p) if isinstance(p, str) else p for p in prompts])
    cache.prepare()
    await until_kept(cache)
    puppet.asked.clear()
    puppet.answers = False
    return cache, puppet


async def until_kept(cache: PromptCache) -> None:
    await until(lambda: cache.missing == 0)


async def test_a_prompt_is_answered_from_memory_in_the_next_round(heard: Heard) -> None:
    cache, puppet = await prepared(SORRY)
    voice = cache.open(heard, name="call")
    voice.speak(1, SORRY, more=False)
    assert heard.events == []
    await asyncio.sleep(0)
    assert heard.events == [
        WordsTimed(1, (Word("w", 0.1, 0.9),)),
        SpeechArrived(1, SECOND[:4000]),
        SpeechArrived(1, SECOND[4000:]),
        SpeechFinished(1),
    ]
    assert puppet.asked == []


async def test_what_differs_goes_through_untouched(heard: Heard) -> None:
    cache, puppet = await prepared(Prompt(SORRY, "v", "en"))
    voice = cache.open(heard, name="call")
    voice.speak(1, SORRY, more=False, voice="v", language="es")
    voice.speak(2, SORRY, more=False)
    voice.speak(3, SORRY + " ", more=False, voice="v", language="en")
    voice.speak(4, SORRY, more=True, voice="v", language="en")
    voice.speak(4, "", more=False, voice="v", language="en")
    voice.cancel(4)
    assert puppet.asked == [
        ("call", 1, SORRY, False, "v", "es"),
        ("call", 2, SORRY, False, None, None),
        ("call", 3, SORRY + " ", False, "v", "en"),
        ("call", 4, SORRY, True, "v", "en"),
        ("call", 4, "", False, "v", "en"),
    ]
    assert puppet.cancelled == [("call", 4)]
    failed = SpeechFailed(1, "speech_server", "no", final=False)
    puppet.say("call", 1, SpeechArrived(1, b"\x01"), failed)
    assert heard.events == [SpeechArrived(1, b"\x01"), failed]


async def test_a_cancel_in_the_middle_emits_nothing_more() -> None:
    cache, puppet = await prepared(SORRY)
    events: list[SpeechEvent] = []

    def take(event: SpeechEvent) -> None:
        events.append(event)
        if isinstance(event, SpeechArrived):
            voice.cancel(1)

    voice = cache.open(take, name="call")
    voice.speak(1, SORRY, more=False)
    await asyncio.sleep(0)
    assert [type(event) for event in events] == [WordsTimed, SpeechArrived]
    assert puppet.cancelled == []  # nobody else was asked


async def test_a_few_are_prepared_at_a_time() -> None:
    puppet = Puppet(answers=False)
    cache = PromptCache(puppet, [Prompt(f"Prompt {n}.") for n in range(5)] + [Prompt("Prompt 1."), Prompt(" ")])
    cache.prepare()
    cache.prepare()
    assert puppet.asked == []  # in the background
    for first in range(1, 6, 2):
        begun = min(first + 1, 5)
        await until(lambda begun=begun: len(puppet.asked) >= begun)  # type: ignore[misc]  # mypy cannot infer a default
        await asyncio.sleep(0.01)
        assert len(puppet.asked) == begun
        for number in range(first, min(first + 2, 6)):
            puppet.say("prompts", number)
    await until_kept(cache)
    assert puppet.texts("prompts") == [f"Prompt {n}." for n in range(5)]
    await cache.close()


async def test_while_the_service_is_away_it_is_tried_again_and_told_once(heard: Heard) -> None:
    puppet = Puppet()
    puppet.error = ("speech_unreachable", False)
    cache = PromptCache(puppet, [Prompt(HELLO), Prompt(SORRY), Prompt(WAIT)], pauses_s=[0.001])
    with capture_logs() as logs:
        cache.prepare()
        await until(lambda: len(puppet.asked) >= 10)
        puppet.error = None
        await until_kept(cache)
        await asyncio.sleep(0)
    assert [entry["event"] for entry in logs] == ["tts_prompts_failed", "tts_prompts_ready"]
    puppet.error = ("speech_unreachable", False)  # away again: the apology can still be spoken
    cache.open(heard, name="call").speak(1, SORRY, more=False)
    await asyncio.sleep(0)
    assert heard.events[-1] == SpeechFinished(1)
    await cache.close()


@pytest.mark.parametrize(("code", "asked"), [("speech_auth", 2), ("speech_request", 3)])
async def test_a_refusal_is_not_asked_again(code: str, asked: int) -> None:
    puppet = Puppet()
    puppet.error = (code, True)
    cache = PromptCache(puppet, [Prompt(HELLO), Prompt(SORRY), Prompt(WAIT)], pauses_s=[0.001])
    cache.prepare()
    await asyncio.sleep(0.05)
    assert (len(puppet.asked), cache.missing) == (asked, 3)
    await cache.close()


async def test_a_synthesiser_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_S", 0.02)
    puppet = Puppet(answers=False)
    cache = PromptCache(puppet, [Prompt(HELLO)], pauses_s=[0.001])
    cache.prepare()
    await until(lambda: len(puppet.asked) >= 2)
    assert puppet.cancelled[0] == ("prompts", 1)
    puppet.say("prompts", 1)  # late
    assert cache.missing == 1
    puppet.say("prompts", 2)
    assert cache.missing == 0
    await cache.close()


async def test_a_prompt_that_came_out_whole_in_a_call_is_kept(heard: Heard) -> None:
    puppet = Puppet(answers=False)
    cache = PromptCache(puppet, [Prompt(HELLO)])
    voice = cache.open(heard, name="call")
    voice.speak(1, HELLO, more=False)
    puppet.say("call", 1, SpeechArrived(1, b"\x01"), SpeechFailed(1, "speech_server", "no", final=False))
    voice.speak(2, HELLO, more=False)
    puppet.say("call", 2, SpeechArrived(2, b"\x01"))
    voice.cancel(2)
    puppet.say("call", 2, SpeechFinished(2))
    voice.speak(3, HELLO, more=False)
    puppet.say("call", 3, SpeechFinished(3))
    assert cache.missing == 1  # broken off, cut off, and without a sound
    voice.speak(4, HELLO, more=False)
    puppet.say("call", 4)
    assert cache.missing == 0
    heard.events.clear()
    voice.speak(5, HELLO, more=False)
    await asyncio.sleep(0)
    assert heard.audio(5) == SECOND
    assert len(puppet.asked) == 4


async def test_memory_is_bounded(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 20_000)
    with capture_logs() as logs:
        cache, puppet = await prepared("1", "2", "3", "4")
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["tts_prompt_not_kept"]
    voice = cache.open(heard, name="call")
    for number in range(1, 5):
        voice.speak(number, str(number), more=False)
    assert puppet.texts("call") == ["3", "4"]


async def test_warm_and_close_pass_through(heard: Heard) -> None:
    cache, puppet = await prepared(HELLO)
    cache.warm()
    cache.open(heard, name="call").speak(1, HELLO, more=False)
    await cache.close()
    cache.prepare()
    await asyncio.sleep(0)
    assert (puppet.warmed, puppet.closed, heard.events) == (1, True, [])


async def test_closing_stops_preparing() -> None:
    puppet = Puppet(answers=False)
    cache = PromptCache(puppet, [Prompt(HELLO)])
    before = asyncio.all_tasks()
    cache.prepare()
    await until(lambda: bool(puppet.asked))
    await cache.close()
    assert asyncio.all_tasks() == before
