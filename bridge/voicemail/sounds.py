"""Brings the sound of messages that callers left with the carrier, and their words, into their calls' records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from bridge.audio.wav import read_mulaw
from bridge.errors import BridgeError, CarrierError
from bridge.store.messages import elsewhere, write_message
from bridge.store.sealing import Keys
from bridge.tasks import spawn
from bridge.twilio.recordings import Recordings
from bridge.voicemail.words import MessageWords

PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Before each attempt: Twilio needs some seconds until a recording can be fetched."""
_AT_ONCE: Final = 4

log = structlog.get_logger()


class MessageSounds:
    """Fetches messages in the background. What cannot be had stays with the carrier; the journal says where."""

    def __init__(
        self,
        recordings: Recordings,
        keys: Keys,
        words: MessageWords | None = None,
        *,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        """`keys` are those that recordings are encrypted with; `words` makes text of them; None: nobody does."""
        self.recordings = recordings
        self._words = words
        self._keys = keys
        self._pauses_s = pauses_s
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def bring(self, folder: Path) -> None:
        """Fetch the messages of the finished call in this folder. Never waits and never raises."""
        task = spawn(self._bring(folder), name=f"messages-{folder.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Fetch nothing more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait([*self._tasks])
        await self.recordings.close()
        if self._words is not None:
            await self._words.close()

    async def _bring(self, folder: Path) -> None:
        try:
            for message in await asyncio.to_thread(elsewhere, folder):
                await self._fetch(folder, message.number, message.url)
                if self._words is None:
                    continue
                try:
                    await self._words.hear(folder, message)
                except (OSError, BridgeError) as error:
                    log.error("message_words_not_kept", folder=str(folder), number=message.number, error=str(error))
        except (OSError, BridgeError) as error:
            log.error("message_not_fetched", folder=str(folder), error=str(error))

    async def _fetch(self, folder: Path, number: int, url: str) -> None:
        """Bring a message into its folder. Raises OSError and BridgeError where that cannot, and will not be."""
        for attempt, pause in enumerate(self._pauses_s, start=1):
            await asyncio.sleep(pause)
            try:
                async with self._room:
                    file = await self.recordings.fetch(url)
                    await asyncio.to_thread(_keep, folder, number, file, self._keys)
            except CarrierError as error:
                if error.code == "carrier_request" or attempt == len(self._pauses_s):
                    raise
                log.info("message_not_there_yet", folder=str(folder), number=number, attempt=attempt)
            else:
                log.info("message_fetched", folder=str(folder), number=number, bytes=len(file))
                return
        raise AssertionError  # The last attempt has raised.


def _keep(folder: Path, number: int, file: bytes, keys: Keys) -> None:
    write_message(folder, number, read_mulaw(file, name=f"message {number}"), keys)
