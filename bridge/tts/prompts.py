"""Fixed prompts, synthesised once: greetings, fillers, apologies and good-byes.

They are the sentences that must come at once, or when the speech service is down. `PromptCache` stands in front of
any synthesiser and keeps them as mu-law with their word times; everything else goes through untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec import Struct

from bridge.audio.codec import BYTES_PER_MS
from bridge.conversation.events import (
    SpeechArrived,
    SpeechEvent,
    SpeechFailed,
    SpeechFinished,
    SpokenByStandby,
    Word,
    WordsTimed,
)
from bridge.tasks import spawn
from bridge.tts.base import EmitSpeech, Synthesizer, Voice, nobody

_log = structlog.get_logger()

PAUSES_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""Between attempts to prepare prompts while the service is away; the last one again and again."""
_AT_ONCE: Final = 2
"""Prompts that are prepared at the same time. The smallest plan allows two contexts, and calls need theirs, too."""
_LONGEST_S: Final = 60.0
"""How long one round of preparing may take, whatever the synthesiser promises."""
_PIECE_BYTES: Final = 500 * BYTES_PER_MS
_MAX_PROMPT_BYTES: Final = 120_000 * BYTES_PER_MS
_MAX_BYTES: Final = 16 * 2**20
"""Half an hour of speech: more than any sensible settings ask for."""
_NUMBERS_KEPT: Final = 32
"""How many of the last utterances a voice remembers, so that late text for them is known as such."""


class Prompt(Struct, frozen=True):
    """A sentence that is always spoken as it stands here."""

    text: str
    """Verbatim: another blank makes it another prompt."""
    voice: str | None = None
    """As in `Voice.speak`."""
    language: str | None = None


@dataclass(slots=True)
class _Spoken:
    """A prompt's audio, whole once its utterance has finished."""

    audio: bytearray
    words: list[Word]

    def take(self, event: SpeechEvent) -> None:
        match event:
            case SpeechArrived(audio=audio):
                if len(self.audio) <= _MAX_PROMPT_BYTES:  # beyond, it is not kept anyway
                    self.audio += audio
            case WordsTimed(words=words):
                self.words += words
            case _:
                pass


class PromptCache(Synthesizer):
    """Answers known prompts from memory and has all else spoken by another synthesiser, which it owns.

    A prompt that is not in the cache yet is spoken by that one as well, and kept when it came out whole.
    """

    def __init__(
        self, inner: Synthesizer, prompts: Collection[Prompt], *, pauses_s: Sequence[float] = PAUSES_S
    ) -> None:
        self._inner = inner
        self._wanted = dict.fromkeys(prompt for prompt in prompts if prompt.text.strip())
        self._kept: dict[Prompt, _Spoken] = {}
        self._bytes = 0
        self._pauses_s = pauses_s
        self._task: asyncio.Task[None] | None = None
        self._full = False
        self.closed = False
        """Nothing is emitted any more."""

    @property
    def missing(self) -> int:
        """How many prompts are not in the cache."""
        return len(self._wanted)

    def prepare(self) -> None:
        """Synthesise all prompts in the background. Never waits and never raises.

        While the service is away it is tried again, ever more slowly. A prompt that the service refuses is given
        up; it is kept should a call ever hear it whole.
        """
        if self._wanted and not self.closed and (self._task is None or self._task.done()):
            self._task = spawn(self._prepare(), name="tts prompts")

    def want(self, prompts: Collection[Prompt]) -> None:
        """Keep these as well from now on, and prepare what is not there yet. What is kept already stays."""
        new = [prompt for prompt in prompts if prompt.text.strip() and prompt not in self._kept]
        self._wanted |= dict.fromkeys(new)
        if self._task is not None and not self._task.done():
            self._task.add_done_callback(lambda _: self.prepare())  # It works through the list it began with.
        else:
            self.prepare()

    def warm(self) -> None:
        """Warm the synthesiser behind; see `Synthesizer.warm`."""
        self._inner.warm()

    def open(self, emit: EmitSpeech, *, name: str) -> Voice:
        """Start a voice; see `Synthesizer.open`."""
        return _PromptVoice(self, self._inner, emit, name)

    async def close(self) -> None:
        """Stop preparing and close the synthesiser behind."""
        self.closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._inner.close()

    # --- for the voices --------------------------------------------------------------------------------------

    def find(self, prompt: Prompt) -> _Spoken | None:
        """Return what is kept of a prompt."""
        return self._kept.get(prompt)

    def wants(self, prompt: Prompt) -> bool:
        """Whether this is a prompt that is not in the cache yet."""
        return prompt in self._wanted

    def keep(self, prompt: Prompt, spoken: _Spoken) -> None:
        """Keep a prompt that came out whole, if there is room."""
        size = len(spoken.audio)
        if prompt not in self._wanted or not size:
            return
        del self._wanted[prompt]
        if size > _MAX_PROMPT_BYTES or self._bytes + size > _MAX_BYTES:
            if not self._full:
                self._full = True
                _log.warning("tts_prompt_not_kept", seconds=size // (1000 * BYTES_PER_MS), kept=len(self._kept))
            return
        self._bytes += size
        self._kept[prompt] = spoken

    # --- preparing -------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        queue, attempt = list(self._wanted), 0
        voice = _Preparing(self, self._inner)
        try:
            while queue := [prompt for prompt in queue if prompt in self._wanted]:
                some, rest = queue[:_AT_ONCE], queue[_AT_ONCE:]
                failures = await voice.speak_all(some)
                error = next(iter(failures.values()), None)
                if error is not None and (attempt == 0 or error.final):
                    _log.warning("tts_prompts_failed", code=error.code, reason=error.message, missing=self.missing)
                if error is not None and error.final and error.code != "speech_request":
                    return  # the key or the plan was refused: so would be every other prompt
                # Those that failed go to the end: one that always fails must not keep the others waiting.
                queue = rest + [prompt for prompt, failed in failures.items() if not failed.final]
                if any(not failed.final for failed in failures.values()):
                    await asyncio.sleep(self._pauses_s[min(attempt, len(self._pauses_s) - 1)])
                    attempt += 1
                elif not failures:
                    attempt = 0
            _log.info("tts_prompts_ready", prompts=len(self._kept), bytes=self._bytes, missing=self.missing)
        finally:
            await voice.close()


class _Preparing:
    """Speaks prompts to nobody."""

    def __init__(self, cache: PromptCache, inner: Synthesizer) -> None:
        self._cache = cache
        self._number = 0
        self._open: dict[int, tuple[Prompt, _Spoken]] = {}
        self._failures: dict[Prompt, SpeechFailed] = {}
        self._all_ended = asyncio.Event()
        self._voice = inner.open(self._take, name="prompts")

    async def speak_all(self, prompts: Collection[Prompt]) -> dict[Prompt, SpeechFailed]:
        """Have prompts spoken and kept; returns which of them failed, and why."""
        self._failures = {}
        self._all_ended.clear()
        for prompt in prompts:
            self._number += 1
            self._open[self._number] = (prompt, _Spoken(bytearray(), []))
            self._voice.speak(self._number, prompt.text, more=False, voice=prompt.voice, language=prompt.language)
        try:
            async with asyncio.timeout(_LONGEST_S):
                await self._all_ended.wait()
        except TimeoutError:
            for number, (prompt, _) in self._open.items():
                self._voice.cancel(number)
                reason = f"not whole within {_LONGEST_S:g} s"
                self._failures[prompt] = SpeechFailed(number, "speech_timeout", reason, final=False)
            self._open.clear()
        return self._failures

    async def close(self) -> None:
        await self._voice.close()

    def _take(self, event: SpeechEvent) -> None:
        if event.utterance not in self._open:
            return
        prompt, spoken = self._open[event.utterance]
        if isinstance(event, SpokenByStandby):
            self._voice.cancel(event.utterance)
            event = SpeechFailed(event.utterance, "speech_unreachable", "only the standby speaks", final=False)
        spoken.take(event)
        if isinstance(event, SpeechFinished | SpeechFailed):
            del self._open[event.utterance]
            if isinstance(event, SpeechFailed):
                self._failures[prompt] = event
            elif not spoken.audio:
                self._failures[prompt] = SpeechFailed(event.utterance, "speech_request", "no audio", final=True)
            else:
                self._cache.keep(prompt, spoken)
            if not self._open:
                self._all_ended.set()


class _PromptVoice(Voice):
    """The agent's voice in one call."""

    def __init__(self, cache: PromptCache, inner: Synthesizer, emit: EmitSpeech, name: str) -> None:
        self._cache = cache
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._passed_on: dict[int, bool] = {}  # utterances that were begun: does the voice behind speak them?
        self._playing: set[int] = set()  # those that come from the cache and are not emitted yet
        self._learning: dict[int, tuple[Prompt, _Spoken]] = {}
        self._voice = inner.open(self._take, name=name)

    def speak(
        self, utterance: int, text: str, *, more: bool, voice: str | None = None, language: str | None = None
    ) -> None:
        """Speak a piece; see `Voice.speak`. What comes from the cache comes in the next round of the event loop."""
        prompt = Prompt(text, voice, language)
        if utterance not in self._passed_on:
            spoken = None if more else self._cache.find(prompt)
            self._begin(utterance, passed_on=spoken is None)
            if spoken is not None:
                self._playing.add(utterance)
                self._loop.call_soon(self._play, utterance, spoken)
            elif not more and self._cache.wants(prompt):
                self._learning[utterance] = (prompt, _Spoken(bytearray(), []))
        if self._passed_on[utterance]:
            self._voice.speak(utterance, text, more=more, voice=voice, language=language)

    def cancel(self, utterance: int) -> None:
        """Stop an utterance; see `Voice.cancel`."""
        self._playing.discard(utterance)
        self._learning.pop(utterance, None)
        if self._passed_on.get(utterance):
            self._voice.cancel(utterance)

    async def close(self) -> None:
        """Cancel what is open."""
        self._playing.clear()
        self._learning.clear()
        await self._voice.close()
        self._emit = nobody

    def _begin(self, utterance: int, *, passed_on: bool) -> None:
        for old in [number for number in self._passed_on if number < utterance - _NUMBERS_KEPT]:
            del self._passed_on[old]
        self._passed_on[utterance] = passed_on

    def _play(self, utterance: int, spoken: _Spoken) -> None:
        audio = spoken.audio
        events: list[SpeechEvent] = [WordsTimed(utterance, tuple(spoken.words))] if spoken.words else []
        events += [
            SpeechArrived(utterance, bytes(audio[at : at + _PIECE_BYTES]))
            for at in range(0, len(audio), _PIECE_BYTES)
        ]
        for event in (*events, SpeechFinished(utterance)):
            # Whoever listens may cancel at any of them.
            if utterance not in self._playing or self._cache.closed:
                return
            if isinstance(event, SpeechFinished):
                self._playing.discard(utterance)
            self._emit(event)

    def _take(self, event: SpeechEvent) -> None:
        """The voice behind spoke: keep it, if it is a prompt, and hand it on."""
        if isinstance(event, SpokenByStandby):
            self._learning.pop(event.utterance, None)  # What is kept is the voice of the settings.
        elif event.utterance in self._learning:
            prompt, spoken = self._learning[event.utterance]
            spoken.take(event)
            if isinstance(event, SpeechFinished | SpeechFailed):
                del self._learning[event.utterance]
                if isinstance(event, SpeechFinished):
                    self._cache.keep(prompt, spoken)
        self._emit(event)
