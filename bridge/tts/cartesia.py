"""Text to speech by Cartesia's socket, `/tts/websocket`, or any server that speaks it.

All calls of the process share one warm socket; each utterance is a context on it. When the socket is lost, an
utterance whose context gave no audio yet is asked for once more on the next socket; any other has failed.

A failure says whether it is final. It is not when the connection or the service failed: then the rest of the text
can be asked for as a new utterance, for which the socket is opened anew. A socket on which nothing came while an
utterance waited for its audio is given up, because a network can lose a connection without a word.

An error without a context id concerns the connection or a request that the service could not tell: it fails the
utterances that were asked for and have no audio yet, because theirs is the only request that can be meant. Those
that are sounding go on; if the connection is what failed, its end will end them too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from bridge.conversation.events import SpeechArrived, SpeechEvent, SpeechFailed, SpeechFinished, WordsTimed
from bridge.errors import SpeechError
from bridge.speech.link import DEFAULT_VERSION, SpeechLink
from bridge.tts.base import EmitSpeech, Synthesizer, Voice, nobody
from bridge.tts.cartesia_socket import SpeechSocket
from bridge.tts.cartesia_utterance import Piece, Utterance
from bridge.tts.cartesia_wire import (
    Chunk,
    Done,
    Error,
    FlushDone,
    Generate,
    GenerationConfig,
    ServiceMessage,
    Timestamps,
    encode,
    voice_for,
)

_log = structlog.get_logger()

_CLOSING_LIMIT_S = 2.0
"""How long to wait for the word that a context is done which had probably expired before."""


@dataclass(frozen=True, slots=True)
class CartesiaSpeechSettings:
    """How to reach the service and how to speak. Raises `SettingsError` for an address that is none."""

    base_url: str
    """`https://api.cartesia.ai`, or any server that speaks the protocol."""
    api_key: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    """A short-lived token, used in place of the key."""
    version: str = DEFAULT_VERSION
    """`Cartesia-Version`; it decides the shape of the voice in the requests."""
    model: str = "sonic-latest"
    voice: str = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
    """Voice id of the service."""
    language: str = "en"
    max_buffer_delay_ms: int = 0
    """How long the service may hold text for better prosody; 0: each piece is spoken at once, so send
    sentences; with more, words may be sent as they come."""
    generation_config: GenerationConfig | None = None
    """Speed, volume and emotion."""
    connect_timeout_s: float = 5.0
    first_audio_timeout_s: float = 8.0
    """From a text to its first audio; also the longest pause in the audio of a complete text."""

    def __post_init__(self) -> None:
        self.link()

    def link(self) -> SpeechLink:
        """The way to the service."""
        return SpeechLink(
            self.base_url,
            self.api_key,
            self.version,
            connect_timeout_s=self.connect_timeout_s,
            access_token=self.access_token,
        )


class CartesiaSpeech(Synthesizer):
    """Opens the voices of calls, over one shared socket. It connects with the first voice."""

    def __init__(self, settings: CartesiaSpeechSettings, on_lost: Callable[[], None] = lambda: None) -> None:
        """`on_lost` is called when the connection breaks while something is to be said."""
        self._settings = settings
        self._on_lost = on_lost
        self._link = settings.link()
        self._socket: SpeechSocket | None = None
        self._contexts: dict[str, _Speaking] = {}
        self._closed = False
        self.hold_s = settings.max_buffer_delay_ms / 1000
        """How long the service may hold a text."""

    def warm(self) -> None:
        """Connect; see `Synthesizer.warm`."""
        if not self._closed:
            self._shared_socket().warm()

    def open(self, emit: EmitSpeech, *, name: str) -> Voice:
        """Start a voice; see `Synthesizer.open`."""
        self.warm()
        return _CartesiaVoice(self, emit, name)

    async def close(self) -> None:
        """End the connection. Open utterances are cancelled."""
        self._closed = True
        for speaking in set(self._contexts.values()):
            speaking.end()
        self._contexts.clear()
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    # --- for the voices --------------------------------------------------------------------------------------

    def ask(self, speaking: _Speaking, pieces: list[Piece]) -> None:
        """Send pieces of an utterance."""
        if self._closed:
            speaking.end()
            return
        for piece in pieces:
            self._contexts[piece.context_id] = speaking
            self._shared_socket().send(piece.context_id, self._request(speaking, piece))

    def stop(self, speaking: _Speaking, *, tell: bool) -> None:
        """Forget an utterance; whatever still comes for it is late. `tell`: the service shall stop it, too."""
        speaking.end()
        utterance = speaking.utterance
        for context_id in utterance.contexts:
            if self._contexts.pop(context_id, None) is None:
                continue
            withdrawn = self._shared_socket().withdraw(context_id)
            asked = sum(piece.context_id == context_id for piece in utterance.pieces)
            if tell and (utterance.heard or withdrawn < asked):
                self._shared_socket().cancel(context_id)

    def finish(self, speaking: _Speaking) -> None:
        """All of an utterance has come."""
        if not speaking.ended:
            self.stop(speaking, tell=False)
            speaking.emit(SpeechFinished(speaking.utterance.number))

    def check_progress(self, speaking: _Speaking) -> None:
        """Fail an utterance for which the service took too long; else set its timer to when that would be."""
        speaking.stop_timer()
        utterance = speaking.utterance
        if not utterance.waiting:
            return  # the agent's turn to go on; its next text starts the timer again
        loop = asyncio.get_running_loop()
        limit = _CLOSING_LIMIT_S if utterance.only_closing else self._settings.first_audio_timeout_s
        if loop.time() - utterance.touched_at < limit:
            speaking.timer = loop.call_at(utterance.touched_at + limit, self.check_progress, speaking)
        elif utterance.only_closing:
            self.finish(speaking)
        else:
            what = "no more audio" if utterance.heard else "no first audio"
            asked_at = utterance.touched_at
            self._fail(speaking, self._link.timeout(what, limit), tell=True)
            self._shared_socket().renew_if_silent_since(asked_at)

    # --- for the socket --------------------------------------------------------------------------------------

    def take(self, message: ServiceMessage) -> None:
        """Act on one message. What belongs to no open utterance is late, and ignored."""
        if isinstance(message, Error) and message.context_id is None:
            self._connection_error(message)
            return
        speaking = self._contexts.get(message.context_id or "")
        if speaking is None:
            return
        now = asyncio.get_running_loop().time()
        match message:
            case Done(context_id=context_id):
                self._contexts.pop(context_id)
                if speaking.utterance.take_done(context_id, now):
                    self.finish(speaking)
            case Error(context_id=context_id) if context_id != speaking.utterance.context_id:
                self._contexts.pop(context_id or "")  # an older context, which had expired: its audio is here
            case Error():
                if speaking.utterance.only_closing:
                    self.finish(speaking)  # the context had expired: all of its audio is here
                else:
                    self._context_error(speaking, self._meaning(message))
            case _:
                _take_speech(speaking, message, now)

    def lost(self, error: SpeechError, *, dropped: bool) -> None:
        """The socket is gone: ask again for what nobody heard yet, once, and give the rest up."""
        waiting = dict.fromkeys(self._contexts.values())
        if waiting and dropped:
            self._on_lost()
        if waiting or not dropped:
            _log.warning("tts_lost", code=error.code, reason=error.message, utterances=len(waiting))
        else:
            # Usual after minutes without a call; the next text or `warm` opens it again.
            _log.debug("tts_idle_closed", reason=error.message)
        for speaking in waiting:
            utterance = speaking.utterance
            if dropped and utterance.open and not utterance.heard and not speaking.retried:
                speaking.retried = True
                for context_id in utterance.contexts:
                    self._contexts.pop(context_id, None)
                self.ask(speaking, utterance.restart(asyncio.get_running_loop().time()))
            elif utterance.only_closing:
                self.finish(speaking)
            elif utterance.open:
                self._fail(speaking, error, tell=False)

    def _connection_error(self, message: Error) -> None:
        error = self._meaning(message)
        _log.warning("tts_error", code=error.code, reason=error.message)
        for speaking in dict.fromkeys(self._contexts.values()):
            if speaking.utterance.open and not speaking.utterance.heard:
                self._fail(speaking, error, tell=False)

    def _context_error(self, speaking: _Speaking, error: SpeechError) -> None:
        # What gave audio was no wrong request: it is this context that is spent, so ask for the rest anew.
        spent = error.code == "speech_request" and speaking.utterance.heard
        self._fail(speaking, error, tell=False, final=error.final and not spent)

    def _fail(self, speaking: _Speaking, error: SpeechError, *, tell: bool, final: bool | None = None) -> None:
        self.stop(speaking, tell=tell)
        number, final = speaking.utterance.number, error.final if final is None else final
        speaking.emit(SpeechFailed(number, error.code, error.message, final=final))

    def _meaning(self, message: Error) -> SpeechError:
        return self._link.error_of_message(message.status_code, message.error_code, message.text)

    def _shared_socket(self) -> SpeechSocket:
        if self._socket is None:
            self._socket = SpeechSocket(self._link, self)
        return self._socket

    def _request(self, speaking: _Speaking, piece: Piece) -> str:
        settings = self._settings
        return encode(
            Generate(
                context_id=piece.context_id,
                model_id=settings.model,
                transcript=piece.transcript,
                continue_=piece.more,
                voice=voice_for(settings.version, speaking.voice or settings.voice),
                language=speaking.language or settings.language,
                add_timestamps=True,
                use_normalized_timestamps=False,  # the words as the agent wrote them
                max_buffer_delay_ms=settings.max_buffer_delay_ms,
                generation_config=settings.generation_config,
            )
        )


def _take_speech(speaking: _Speaking, message: ServiceMessage, now: float) -> None:
    """Hand on the audio or word times of an open utterance."""
    utterance = speaking.utterance
    match message:
        case Chunk(context_id=context_id, data=audio):
            if audio:
                utterance.take_audio(context_id, audio, now)
                speaking.emit(SpeechArrived(utterance.number, audio))
        case Timestamps(context_id=context_id, word_timestamps=times):
            if times is not None and (words := utterance.take_words(context_id, times, now)):
                speaking.emit(WordsTimed(utterance.number, words))
        case FlushDone(context_id=context_id):
            utterance.take_boundary(context_id)
        case _:
            pass  # phonemes were not asked for


@dataclass(slots=True, eq=False)
class _Speaking:
    """An utterance that is open, and whom to tell."""

    utterance: Utterance
    emit: EmitSpeech
    voice: str | None
    language: str | None
    retried: bool = False
    ended: bool = False
    timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        self.ended = True
        self.stop_timer()

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


_ENDED_KEPT: Final = 8
"""How many of the last utterances are remembered after their end, so that late text for them is known as such."""


class _CartesiaVoice(Voice):
    """The agent's voice in one call."""

    def __init__(self, speech: CartesiaSpeech, emit: EmitSpeech, name: str) -> None:
        self._speech = speech
        self._emit = emit
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._utterances: dict[int, _Speaking | None] = {}
        """None: it has ended."""

    def speak(
        self, utterance: int, text: str, *, more: bool, voice: str | None = None, language: str | None = None
    ) -> None:
        """Speak a piece; see `Voice.speak`. Text for an utterance that has ended is ignored."""
        now = self._loop.time()
        speaking = self._utterances.get(utterance)
        if utterance not in self._utterances:
            self._forget(utterance)
            speaking = _Speaking(
                Utterance(self._name, utterance, now, hold_s=self._speech.hold_s), self._emit, voice, language
            )
            self._utterances[utterance] = speaking
        if speaking is None or speaking.ended:
            return
        self._speech.ask(speaking, speaking.utterance.add(text, more=more, now=now))
        if speaking.utterance.finished:
            # There was nothing to say, or all was said before. Told a moment later: the caller is still busy.
            self._loop.call_soon(self._speech.finish, speaking)
        else:
            self._speech.check_progress(speaking)

    def cancel(self, utterance: int) -> None:
        """Stop an utterance; see `Voice.cancel`."""
        if (speaking := self._utterances.get(utterance)) is not None and not speaking.ended:
            self._speech.stop(speaking, tell=True)

    def _forget(self, coming: int) -> None:
        """Forget what has ended, but that it has."""
        for number, speaking in [*self._utterances.items()]:
            if speaking is None and number < coming - _ENDED_KEPT:
                del self._utterances[number]
            elif speaking is not None and speaking.ended:
                self._utterances[number] = None

    async def close(self) -> None:
        """Cancel what is open; the shared socket stays."""
        for utterance in self._utterances:
            self.cancel(utterance)
        self._utterances.clear()
        self._emit = nobody


async def check_tts(settings: CartesiaSpeechSettings) -> None:
    """Synthesise "ok". Raises `SpeechError`, whose sentence names the remedy."""
    speech = CartesiaSpeech(settings)
    ended: asyncio.Future[SpeechEvent] = asyncio.get_running_loop().create_future()

    def take(event: SpeechEvent) -> None:
        if isinstance(event, SpeechFinished | SpeechFailed) and not ended.done():
            ended.set_result(event)

    try:
        speech.open(take, name="check").speak(1, "ok", more=False)
        event = await ended
    finally:
        await speech.close()
    if isinstance(event, SpeechFailed):
        raise SpeechError(event.message, code=event.code, final=event.final)
