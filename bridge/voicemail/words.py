"""Makes text of messages that callers left with the carrier, and puts it into the records of their calls.

Nobody waits for it: one message at a time is sent to the speech service as a file, or to the one that stands by for
it, and again later where both are away, as they may be just then. What cannot be made says so in the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import structlog

from bridge.audio.codec import SAMPLE_RATE
from bridge.conversation.journal import CallerSpoke, Entry, Meaning, MessageLeft, ProblemMet
from bridge.errors import SpeechError
from bridge.store.base import CallHeader
from bridge.store.late_entries import add_entry, read_call
from bridge.store.sealing import NO_KEYS, Keys
from bridge.store.vault import open_recording

PAUSES_S: Final = (0.0, 15.0, 60.0, 300.0, 900.0)
"""Before each attempt: an outage of the speech service may be why there is a message at all."""

_BEYOND_LENGTH_S: Final = 60.0
"""How long an attempt may take beyond the message's own length: only one is heard at a time, and a service that
takes a file and never answers is not to keep all others waiting."""

log = structlog.get_logger()


class Heard(Protocol):
    """What was said in a file."""

    @property
    def text(self) -> str:
        """Verbatim."""


class Listener(Protocol):
    """A speech service that makes text of a file, such as `bridge.stt.cartesia_batch.CartesiaBatch`."""

    async def transcribe(
        self, wav: bytes, *, name: str, language: str = "", timeout_s: float | None = None
    ) -> Heard:
        """Return what is said in a WAV file, within this time. Raises SpeechError."""

    async def close(self) -> None:
        """Let go of the connections."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How messages are heard and kept, the same for all."""

    listeners: Sequence[Listener]
    """Who is asked, in this order."""
    language_of: Callable[[CallHeader], str]
    """Tells in which language a call's messages are."""
    redact: Callable[[Entry], Entry]
    """Strikes out of an entry what must not be written down."""
    grew: Callable[[Path, str], None]
    """Is told of a journal that has grown: its folder, and the call."""
    keys: Keys = NO_KEYS
    """What recordings are encrypted with."""


class MessageWords:
    """Hears messages, in the background of whoever fetches them."""

    def __init__(self, ways: Ways, *, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._ways = ways
        self._pauses_s = pauses_s
        self._room = asyncio.Semaphore(1)

    async def close(self) -> None:
        """Let go of the services; nothing is being heard any more."""
        for listener in self._ways.listeners:
            await listener.close()

    async def hear(self, folder: Path, message: MessageLeft) -> None:
        """Put the words of a message that lies in its call's folder into the call's record, or why there are none.

        Raises OSError and BridgeError where the record, or the message, cannot be read, or the record not be
        written, as when it was erased meanwhile.
        """
        header = (await asyncio.to_thread(read_call, folder))[0]
        try:
            words = await self._words(folder, header, message.number)
        except SpeechError as error:
            log.warning("message_not_heard", call=header.id, number=message.number, code=error.code)
            said = f"the words of message {message.number} are not known: {error.message}"
            problem = ProblemMet(message.to_ms, "stt", error.code, said)
            await self._add(folder, header, lambda _: problem)
        else:
            log.info("message_heard", call=header.id, number=message.number)
            await self._add(folder, header, partial(_turn, message, words))

    async def _words(self, folder: Path, header: CallHeader, number: int) -> str:
        """Return what is said. Raises the last SpeechError, and as reading the message does."""
        language = self._ways.language_of(header)
        failed: list[SpeechError] = []
        for pause_s in self._pauses_s:
            await asyncio.sleep(pause_s)
            failed = []
            for listener in self._ways.listeners:
                try:
                    async with self._room:
                        return await self._ask(listener, folder, number, language)
                except SpeechError as error:
                    # Without where it was raised: those frames hold the message, for as long as is paused.
                    failed.append(SpeechError(error.message, code=error.code, final=error.final))
            if all(error.final for error in failed):
                break
        raise failed[0]  # Of the service that is asked first; there is one.

    async def _ask(self, listener: Listener, folder: Path, number: int, language: str) -> str:
        """Send a message, which is in memory only meanwhile: an hour of it is 29 MB, and many may wait."""
        wav, seconds = await asyncio.to_thread(_read, folder, number, self._ways.keys)
        within_s = seconds + _BEYOND_LENGTH_S
        name = f"message-{number}.wav"
        return (await listener.transcribe(wav, name=name, language=language, timeout_s=within_s)).text

    async def _add(self, folder: Path, header: CallHeader, make: Callable[[Sequence[Entry]], Entry]) -> None:
        ways = self._ways
        await asyncio.to_thread(add_entry, folder, lambda entries: ways.redact(make(entries)), ways.keys)
        ways.grew(folder, header.id)


def _read(folder: Path, number: int, keys: Keys) -> tuple[bytes, float]:
    """Return a message as a WAV file, and how long it is, in seconds. Raises as `open_recording` does."""
    with open_recording(folder, keys, message=number) as message:
        return message.read(0, message.size), message.frames / SAMPLE_RATE


def _turn(message: MessageLeft, words: str, entries: Sequence[Entry]) -> CallerSpoke:
    """What was said in a message, as a turn of the caller's: as with messages that are left with an agent."""
    last = max((entry.turn for entry in entries if isinstance(entry, CallerSpoke)), default=0)
    meaning: Meaning = "words" if words.strip() else "empty"
    return CallerSpoke(last + 1, words, message.from_ms, message.to_ms, meaning=meaning)
