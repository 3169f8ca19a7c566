"""`/api/v1/calls/{call}/…`: the sound of a call, and its pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.door import Door, asker, query
from bridge.api.kept import KeptCalls, gone
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.api.record_routes import CALLS
from bridge.api.sending import Readable, entity_tag, send
from bridge.api.waveform import WaveformAnswer, waveform
from bridge.audio.wav import header as wav_header
from bridge.errors import BridgeError
from bridge.store.folder import JOURNAL, TIMELINE
from bridge.store.journal_file import read_journal
from bridge.store.timeline import timeline_svg

HEADER_BYTES: Final = len(wav_header(channels=2, data_bytes=0))
"""What stands before the samples of a recording."""
_RANGE: Final = {
    "Range": "Asks for a part, as `bytes=0-999`.",
    "If-Range": "Only if it still has this ETag; else all of it comes.",
}
_WAV, _SVG = "audio/wav", "image/svg+xml"
_SVG_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

Told = Callable[[str, str, str, str], Awaitable[None]]
"""Takes note of who did what with which call, and how."""

log = structlog.get_logger()


class Sounds(Protocol):
    """Opens what was recorded. Everything here blocks on the disk, and raises `OSError` and `BridgeError`."""

    def recording(self, folder: Path) -> Readable:
        """Open the recording of the call in this folder, as a WAV that is as long as it is by now."""

    def message(self, folder: Path, number: int) -> Readable:
        """Open a message that the caller left."""


class WaveformQuery(BaseModel):
    """How fine."""

    model_config = ConfigDict(extra="forbid")

    points: int = Field(default=4000, ge=10, le=20_000, description="How many figures at most for each side.")


class MediaRoutes:
    """The handlers."""

    def __init__(self, kept: KeptCalls, sounds: Sounds, tell: Told) -> None:
        self._kept = kept
        self._sounds = sounds
        self._tell = tell

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their addresses."""
        sound = Operation(
            "Hear the recording of a call",
            tag="records",
            about="Stereo WAV, G.711 mu-law, 8000 Hz: left the caller, right what the caller heard. Of a call that"
            " goes on: as far as it goes. Who has heard it is kept in the audit.",
            headers=_RANGE,
            answers={200: _WAV, 206: _WAV, 304: None},
            problems=(404, 416, 503),
        )
        message = Operation(
            "Hear a message that the caller left",
            tag="records",
            about="Mono WAV, G.711 mu-law, 8000 Hz.",
            headers=_RANGE,
            answers={200: _WAV, 206: _WAV, 304: None},
            problems=(404, 416, 503),
        )
        peaks = Operation(
            "Tell how loud both sides of a recording are",
            tag="records",
            about="For drawing it.",
            query=WaveformQuery,
            answers={200: WaveformAnswer},
            problems=(404, 503),
        )
        picture = Operation("See the timeline of a call", tag="records", answers={200: _SVG}, problems=(404, 503))
        door.add(app, "GET", CALLS + "/{call}/recording", self.recording, sound)
        door.add(app, "GET", CALLS + "/{call}/messages/{number}", self.message, message)
        door.add(app, "GET", CALLS + "/{call}/peaks", self.peaks, peaks)
        door.add(app, "GET", CALLS + "/{call}/timeline.svg", self.timeline, picture)

    async def recording(self, request: web.Request) -> web.StreamResponse:
        """Answer the recording, or a part of it."""
        call_id, folder = await self._kept.find(request.match_info["call"])
        content = await self._opened(folder, lambda: self._sounds.recording(folder), "recording_missing")
        if request.method == "GET":
            await self._tell(asker(request).name, "recording_read", call_id, request.headers.get("Range", "")[:200])
        tag = entity_tag(call_id, "recording", content.size)
        return await send(request, content, _WAV, f"{call_id}.wav", tag)

    async def message(self, request: web.Request) -> web.StreamResponse:
        """Answer a message."""
        call_id, folder = await self._kept.find(request.match_info["call"])
        text = request.match_info["number"]
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0
        if not number:
            raise Problem(404, "message_unknown", "There is no such message.")
        content = await self._opened(folder, lambda: self._sounds.message(folder, number), "message_unknown")
        if request.method == "GET":
            await self._tell(asker(request).name, "recording_read", call_id, f"message {number}")
        tag = entity_tag(call_id, "message", number, content.size)
        return await send(request, content, _WAV, f"{call_id}-message-{number}.wav", tag)

    async def peaks(self, request: web.Request) -> web.Response:
        """Answer how loud both sides are."""
        points = query(request, WaveformQuery).points
        _, folder = await self._kept.find(request.match_info["call"])
        content = await self._opened(folder, lambda: self._sounds.recording(folder), "recording_missing")
        try:
            answer = await asyncio.to_thread(waveform, content, HEADER_BYTES, points)
        except (OSError, BridgeError) as error:
            raise gone(folder, error) from None
        finally:
            await asyncio.to_thread(content.close)
        return web.json_response(text=answer.model_dump_json())

    async def timeline(self, request: web.Request) -> web.Response:
        """Answer the picture; of a call that goes on, it is drawn now."""
        call_id, folder = await self._kept.find(request.match_info["call"])
        try:
            picture = await asyncio.to_thread(_picture, folder, self._kept.is_live(call_id))
        except (OSError, BridgeError) as error:
            raise gone(folder, error) from None
        headers = {"Content-Security-Policy": _SVG_POLICY}
        return web.Response(body=picture, content_type=_SVG, headers=headers)

    async def _opened(self, folder: Path, opens: Callable[[], Readable], code: str) -> Readable:
        try:
            return await asyncio.to_thread(opens)
        except FileNotFoundError:
            raise Problem(404, code, "There is no such sound: nothing was recorded.") from None
        except (OSError, BridgeError) as error:
            raise gone(folder, error) from None


def _picture(folder: Path, live: bool) -> bytes:
    """Return the picture of a call. Blocks on the disk. Raises `OSError`, `BridgeError`."""
    if not live:
        try:
            return (folder / TIMELINE).read_bytes()
        except FileNotFoundError:
            pass
    return timeline_svg(*read_journal(folder / JOURNAL)).encode()
