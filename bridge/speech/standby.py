"""The speech service that stands by for another: when it takes over, and until when.

Each half of speech has a switch that all calls of the process share, so that only the first call waits for a
service that is away. While the standby stands in, the other service is tried now and then in the background, and no
caller waits for that; what begins once it works again goes to it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import structlog

from bridge.errors import SpeechError
from bridge.speech.link import SpeechLink
from bridge.tasks import spawn

Half: TypeAlias = Literal["stt", "tts"]

HALVES: Final[tuple[Half, ...]] = ("stt", "tts")
TRY_AGAIN_S: Final = 15.0
"""Between two looks whether a service is back."""
CONNECT_S: Final = 2.5
"""How long a service's handshake may take that another stands by for."""
ALIVE_S: Final = 3.0
"""Such a service is asked for a sign of life each time this has passed, and has as long to give one."""
FIRST_AUDIO_S: Final = 3.0
"""How long a caller waits for the first sound of a sentence before the standby speaks it."""

_OURS: Final = frozenset({"speech_request"})
"""Errors that another service would make as well: what was asked is wrong."""
_CROWDED: Final = "speech_limit"

_log = structlog.get_logger()


def helps(code: str) -> bool:
    """Tell whether another service could do what failed with this code."""
    return code not in _OURS


class Switch:
    """Which of two services one half of speech is asked of. On the event loop only."""

    def __init__(self, half: Half, probe: Callable[[], Awaitable[None]], *, pause_s: float = TRY_AGAIN_S) -> None:
        """`probe` looks whether the service is back; it raises SpeechError where it is not."""
        self.half: Half = half
        self.stands_in = False
        """Whether the standby is asked."""
        self._probe = probe
        self._pause_s = pause_s
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def failed(self, code: str, message: str) -> None:
        """The service has failed: from now on the standby is asked, unless there was just no room for one more."""
        if self.stands_in or self._closed or code == _CROWDED or not helps(code):
            return
        self.stands_in = True
        _log.error("speech_standby_stands_in", half=self.half, code=code, reason=message)
        self._task = spawn(self._watch(), name=f"try-{self.half}-again")

    async def close(self) -> None:
        """Look no more whether the service is back."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _watch(self) -> None:
        while self.stands_in:
            await asyncio.sleep(self._pause_s)
            try:
                await self._probe()
            except SpeechError as error:
                if error.code != _CROWDED:
                    _log.info("speech_still_away", half=self.half, code=error.code)
                    continue
            self.stands_in = False
            _log.warning("speech_back", half=self.half)


@dataclass(frozen=True, slots=True)
class Standby:
    """The service that stands by, and the switches that lead to it."""

    url: str
    stt: Switch
    tts: Switch
    api_key: str = ""
    languages: frozenset[str] | None = None
    """The languages that it knows, by two letters; None: whatever it is asked for."""
    up: Callable[[], bool] = lambda: True
    """Whether it is there, as far as is known."""

    def knows(self, language: str | None) -> bool:
        """Tell whether it knows a language; None is the one of the settings, which was looked at before."""
        return self.languages is None or language is None or language.lower()[:2] in self.languages

    @property
    def stands_in(self) -> bool:
        """Tell whether either half is asked of it."""
        return self.stt.stands_in or self.tts.stands_in

    def link(self) -> SpeechLink:
        """Return the way to it. Keys and headers of the other service are not for it."""
        return SpeechLink(self.url, self.api_key)

    async def close(self) -> None:
        """Look no more whether the other service is back."""
        await self.stt.close()
        await self.tts.close()


def hurried(link: SpeechLink) -> SpeechLink:
    """Return the way to a service that another stands by for: not waited for as long as one that stands alone."""
    return replace(link, connect_timeout_s=CONNECT_S, alive_s=(ALIVE_S, ALIVE_S))


class Choice:
    """Which service one session of speech to text connects to next."""

    def __init__(self, main: SpeechLink, standby: Standby | None) -> None:
        self._main = main if standby is None else hurried(main)
        self._standby = standby
        self._other = None if standby is None else standby.link()
        self._crowded = False
        self._next: SpeechLink | None = None
        self._now = self._main

    @property
    def on_standby(self) -> bool:
        """Tell whether it was the standby that was chosen last."""
        return self._now is self._other

    def link(self, language: str) -> SpeechLink:
        """Choose for a connection in which this language is spoken."""
        chosen, self._next = self._next, None
        if self._standby is None or self._other is None or not self._standby.knows(language):
            chosen = self._main
        elif chosen is None:
            chosen = self._other if self._standby.stt.stands_in else self._main
        self._now = chosen
        return chosen

    def worked(self) -> None:
        """The connection stands."""
        self._crowded = False

    def failed(self, error: SpeechError, language: str) -> bool:
        """The connection did not come about. Returns whether the other service is tried next.

        A service that has no room for one more is asked once more before that.
        """
        if self._standby is None or self._other is None or not self._standby.knows(language):
            return False
        if self.on_standby:
            self._next = self._main
            return True
        if not helps(error.code):
            return False
        self._standby.stt.failed(error.code, error.message)
        first = error.code == _CROWDED and not self._crowded
        self._crowded = error.code == _CROWDED
        self._next = None if first else self._other
        return True
