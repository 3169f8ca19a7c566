"""Two text-to-speech services as one: what the first does not speak, the one that stands by for it does.

A sentence of which nothing has come when its service fails, or takes too long, is spoken by the standby from its
beginning. One that breaks off in its middle has failed as ever: the rest is asked for as a new utterance, of which
the standby is the one to speak if the service is really gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bridge.conversation.events import SpeechEvent, SpeechFailed, SpokenByStandby
from bridge.speech.standby import Switch, helps
from bridge.tts.base import EmitSpeech, Synthesizer, Voice, nobody

_NUMBERS_KEPT: Final = 32
"""How many of the last utterances a voice remembers, so that late text for them finds its service."""


class StandbySpeech(Synthesizer):
    """Opens voices that either of two synthesisers speaks with, both of which it owns."""

    def __init__(
        self,
        main: Synthesizer,
        standby: Synthesizer,
        switch: Switch,
        knows: Callable[[str | None], bool],
        *,
        patience_s: float,
    ) -> None:
        """`knows` tells of a language whether the standby speaks it.

        `patience_s`: how long the first sound of what `main` is to speak may take.
        """
        self.main = main
        self.standby = standby
        self.switch = switch
        self.knows = knows
        self.patience_s = patience_s

    def warm(self) -> None:
        """Warm the one that is asked now; see `Synthesizer.warm`."""
        (self.standby if self.switch.stands_in else self.main).warm()

    def open(self, emit: EmitSpeech, *, name: str) -> Voice:
        """Start a voice; see `Synthesizer.open`."""
        return _Voice(self, emit, name)

    async def close(self) -> None:
        """Close both."""
        await self.main.close()
        await self.standby.close()


@dataclass(slots=True)
class _Utterance:
    voice: str | None
    language: str | None
    on_standby: bool
    open: bool = True
    pieces: list[tuple[str, bool]] = field(default_factory=list)
    """What was to be spoken so far, as long as it may have to be said again."""
    begun: bool = False
    """Something of it has come."""
    late: asyncio.TimerHandle | None = None

    def settle(self) -> None:
        """It need not be said again."""
        self.pieces.clear()
        if self.late is not None:
            self.late.cancel()
            self.late = None


class _Voice(Voice):
    """The agent's voice in one call."""

    def __init__(self, speech: StandbySpeech, emit: EmitSpeech, name: str) -> None:
        self._speech = speech
        self._emit = emit
        self._name = name
        self._main: Voice | None = None
        self._other: Voice | None = None
        self._utterances: dict[int, _Utterance] = {}
        if not speech.switch.stands_in:
            self._voice(on_standby=False)  # It gets ready.

    def speak(
        self, utterance: int, text: str, *, more: bool, voice: str | None = None, language: str | None = None
    ) -> None:
        """Speak a piece; see `Voice.speak`."""
        one = self._utterances.get(utterance)
        if one is None:
            self._forget(utterance)
            on_standby = self._speech.switch.stands_in and self._speech.knows(language)
            one = self._utterances[utterance] = _Utterance(voice, language, on_standby)
            if on_standby:
                self._emit(SpokenByStandby(utterance))
        if not one.open:
            return
        if not one.on_standby and not one.begun:
            one.pieces.append((text, more))
            if one.late is None and text.strip() and self._speech.knows(language):
                loop = asyncio.get_running_loop()
                one.late = loop.call_later(self._speech.patience_s, self._give_up, utterance, one)
        self._voice(on_standby=one.on_standby).speak(utterance, text, more=more, voice=voice, language=language)

    def cancel(self, utterance: int) -> None:
        """Stop an utterance; see `Voice.cancel`."""
        one = self._utterances.get(utterance)
        if one is not None and one.open:
            self._end(one)
            self._voice(on_standby=one.on_standby).cancel(utterance)

    async def close(self) -> None:
        """Cancel what is open."""
        for one in self._utterances.values():
            self._end(one)
        for voice in (self._main, self._other):
            if voice is not None:
                await voice.close()
        self._emit = nobody

    def _voice(self, *, on_standby: bool) -> Voice:
        if on_standby:
            if self._other is None:
                self._other = self._speech.standby.open(self._from_standby, name=self._name)
            return self._other
        if self._main is None:
            self._main = self._speech.main.open(self._from_main, name=self._name)
        return self._main

    def _from_main(self, event: SpeechEvent) -> None:
        one = self._utterances.get(event.utterance)
        if one is not None and isinstance(event, SpeechFailed):
            if not one.begun or event.code == "speech_timeout":
                self._speech.switch.failed(event.code, event.message)
            if helps(event.code) and self._speech.knows(one.language) and one.open:
                if not one.begun:
                    self._say_again(event.utterance, one)
                    return
                # Even a service that is gone for good need not be the end: the standby can speak the rest.
                event = SpeechFailed(event.utterance, event.code, event.message, final=False)
        elif one is not None and not one.begun:
            one.begun = True
            one.settle()
        self._pass_on(event)

    def _from_standby(self, event: SpeechEvent) -> None:
        self._pass_on(event)

    def _pass_on(self, event: SpeechEvent) -> None:
        if isinstance(event, SpeechFailed) and (one := self._utterances.get(event.utterance)) is not None:
            self._end(one)
        self._emit(event)

    def _give_up(self, utterance: int, one: _Utterance) -> None:
        """Nothing came for too long."""
        self._speech.switch.failed("speech_timeout", f"no first audio within {self._speech.patience_s:g} s")
        self._voice(on_standby=False).cancel(utterance)
        self._say_again(utterance, one)

    def _say_again(self, utterance: int, one: _Utterance) -> None:
        """Let the standby speak what the other service has not."""
        pieces = [*one.pieces]
        one.settle()
        one.on_standby = True
        self._emit(SpokenByStandby(utterance))
        for text, more in pieces:
            if not one.open:
                return  # Whoever was told may have cancelled it.
            self._voice(on_standby=True).speak(utterance, text, more=more, voice=one.voice, language=one.language)

    def _end(self, one: _Utterance) -> None:
        one.open = False
        one.settle()

    def _forget(self, coming: int) -> None:
        for old in [number for number in self._utterances if number < coming - _NUMBERS_KEPT]:
            del self._utterances[old]
