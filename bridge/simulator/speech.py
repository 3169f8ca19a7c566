"""Speaks and recognises for scripted calls: Cartesia's `POST /tts/bytes` and `POST /stt`."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from bridge.audio import codec, wav
from bridge.errors import SpeechError

_VERSION: Final = "2026-03-01"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)
LOCAL_VOICE: Final = "en-GB"
"""The caller's voice of the local speech server, unlike the agent's."""


class Speech:
    """A speech service; an async context manager. Every method raises `SpeechError`, one clear line."""

    def __init__(self, url: str, *, api_key: str = "", voice: str = LOCAL_VOICE, language: str = "en") -> None:
        """`url` is the service's base URL, such as `http://127.0.0.1:8090` or `https://api.cartesia.ai`."""
        self._url = url.rstrip("/")
        self._voice = voice
        self._language = language
        headers = {"Cartesia-Version": _VERSION}
        if api_key:
            headers |= {"Authorization": f"Bearer {api_key}", "X-API-Key": api_key}
        self._headers = headers
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def speak(self, texts: Iterable[str]) -> dict[str, bytes]:
        """Each text as mu-law at 8000 Hz."""
        return {text: await self._speak(text) for text in texts}

    async def recognise(self, audio: bytes) -> str:
        """What is said in mu-law audio; verbatim, and empty if it is nothing."""
        form = aiohttp.FormData()
        form.add_field("file", wav.write_mulaw(audio), filename="heard.wav", content_type="audio/wav")
        form.add_field("model", "ink-whisper")
        form.add_field("language", self._language)
        body = await self._post("/stt", data=form)
        try:
            return msgspec.json.decode(body, type=_Recognised).text
        except msgspec.MsgspecError as error:
            raise self._error(f"answered what is no transcript: {error}") from error

    async def _speak(self, text: str) -> bytes:
        request = {
            "model_id": "sonic-latest",
            "transcript": text,
            "voice": {"mode": "id", "id": self._voice},
            "language": self._language,
            "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": codec.SAMPLE_RATE},
        }
        audio = await self._post("/tts/bytes", json=request)
        if not audio:
            raise self._error(f"spoke nothing for {text!r}")
        return audio

    async def _post(self, path: str, **what: Any) -> bytes:
        if self._session is None:
            raise RuntimeError("enter it first")
        try:
            async with self._session.post(self._url + path, **what) as response:
                body = await response.read()
                if response.status != 200:
                    said = body.decode(errors="replace")[:200].replace("\n", " ")
                    raise self._error(f"answered {path} with {response.status}: {said}")
                return body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._error(f"cannot be reached: {str(error) or type(error).__name__}") from error

    def _error(self, what: str) -> SpeechError:
        return SpeechError(f"the speech service at {self._url} {what}", code="speech_request", final=True)


class _Recognised(msgspec.Struct):
    text: str = ""
