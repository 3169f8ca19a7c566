"""Whole files to text: Cartesia's `POST /stt`, and whatever speaks it. For recordings, not for calls that live.

Protocol: "Batch: POST /stt". The models of this endpoint are others than those of the sockets.
"""

from __future__ import annotations

from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from bridge.errors import SpeechError, system_reason
from bridge.speech.link import SpeechLink

MODEL: Final = "ink-whisper"
_PATH: Final = "/stt"
_MOST_ANSWER_BYTES: Final = 64 << 20


class HeardWord(Struct, frozen=True):
    """A word of a file, and when it was said."""

    word: str
    start_ms: int
    """From the beginning of the file."""
    end_ms: int


class HeardFile(Struct, frozen=True):
    """What was said in a file."""

    text: str
    """Verbatim."""
    words: tuple[HeardWord, ...] = ()
    """Empty where the service does not tell when each was said."""


class _Word(msgspec.Struct):
    word: str
    start: float
    end: float


class _Answer(msgspec.Struct):
    text: str
    words: list[_Word] | None = None


class _Problem(msgspec.Struct):
    message: str | None = None
    title: str | None = None
    error: str | None = None


class CartesiaBatch:
    """Sends files, one request each. Made on the event loop, and closed when it is no longer needed."""

    def __init__(
        self, link: SpeechLink, *, model: str = MODEL, language: str = "en", timeout_s: float = 900.0
    ) -> None:
        """`timeout_s` is how long one file may take: a local engine works for minutes on half an hour."""
        self.model = model
        self._link = link
        self._language = language
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(trust_env=True)

    async def transcribe(
        self, wav: bytes, *, name: str, language: str = "", timeout_s: float | None = None
    ) -> HeardFile:
        """Return what is said in a WAV file; `name` is the file's, for the service's logs.

        `language`: in which, where that is another one than usual; `timeout_s`: how long this file may take, where
        that is not as long as usual. Raises SpeechError. Cancelling gives the request up.
        """
        form = aiohttp.FormData()
        form.add_field("file", wav, filename=name, content_type="audio/wav")
        form.add_field("model", self.model)
        form.add_field("language", language or self._language)
        form.add_field("timestamp_granularities[]", "word")
        link = self._link
        headers = {**link.headers, "Cartesia-Version": link.version}
        if link.access_token:
            headers["Authorization"] = f"Bearer {link.access_token}"
        elif link.api_key:
            headers["X-API-Key"] = link.api_key
        url = link.url(_PATH).replace("ws", "http", 1)
        within_s = self._timeout_s if timeout_s is None else timeout_s
        limits = aiohttp.ClientTimeout(total=within_s, sock_connect=link.connect_timeout_s)
        try:
            async with self._session.post(
                url, data=form, headers=headers, timeout=limits, allow_redirects=False
            ) as response:
                body = await response.content.read(_MOST_ANSWER_BYTES)
                status = response.status
        except TimeoutError as error:
            raise link.timeout("no transcript", within_s) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = system_reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
            raise SpeechError(
                f"cannot reach the speech service at {link.origin} ({reason}):"
                " check speech.base_url and the network",
                code="speech_unreachable",
                final=False,
            ) from error
        if status != 200:
            raise link.error_of_status(status, _problem(body))
        return _heard(body, link)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()


def _problem(body: bytes) -> str:
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = body[:2000].decode(errors="replace").strip()
        return "" if text.startswith("<") else text
    return problem.message or problem.error or problem.title or ""


def _heard(body: bytes, link: SpeechLink) -> HeardFile:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SpeechError(
            f"{link.origin} does not answer {_PATH} as a speech service: check speech.base_url",
            code="speech_request",
            final=True,
        ) from error
    words = answer.words or ()
    return HeardFile(
        answer.text,
        tuple(HeardWord(one.word, round(one.start * 1000), round(one.end * 1000)) for one in words),
    )
