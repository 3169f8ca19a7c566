"""`/api/v1/calls/{call}/…`: the sound of a call, and its pictures."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from bridge.api import media_operations as media
from bridge.api.door import Door, asker, query
from bridge.api.kept import KeptCalls, gone
from bridge.api.problems import Problem
from bridge.api.record_routes import CALLS
from bridge.api.sending import (
    OpenFile,
    entity_tag,
    file_name,
    let_go,
    made_on_threads,
    send,
    send_pieces,
    send_whole,
)
from bridge.api.waveform import waveform
from bridge.errors import BridgeError, MissingExtraError
from bridge.store.compress import FORMS, Form, compress
from bridge.store.export.bundle import bundle
from bridge.store.folder import JOURNAL, TIMELINE
from bridge.store.journal_file import read_journal
from bridge.store.picture import png_apart
from bridge.store.sql.audit import Audit
from bridge.store.timeline import timeline_svg
from bridge.store.vault import Keys, Recording, open_recording

_SVG_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_AT_ONCE: Final = 1
"""How many recordings are compressed at the same time: it takes a processor for as long as it takes."""
_MOST_WAITING: Final = 10
"""How many wait for that at most: each holds an open file, also when whoever asked has gone."""
_ONE_HEARING_S: Final = 600.0
"""Parts that somebody asks for within this time are one hearing, with one line in the audit: a browser in which
somebody seeks asks for dozens."""
_HEARINGS: Final = 1000
"""How many are remembered; what comes after an older one is forgotten leaves a further line."""

log = structlog.get_logger()


class MediaRoutes:
    """The handlers."""

    def __init__(self, kept: KeptCalls, keys: Keys, audit: Audit) -> None:
        """`keys` are those that recordings are encrypted with. Who hears one leaves a line in the `audit` first."""
        self._kept = kept
        self._keys = keys
        self._audit = audit
        self._compressing = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._hearings: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        """When the line of a hearing in parts was written, by who hears what of which call."""

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their addresses."""
        door.add(app, "GET", CALLS + "/{call}/recording", self.recording, media.RECORDING)
        door.add(app, "GET", CALLS + "/{call}/messages/{number}", self.message, media.MESSAGE)
        door.add(app, "GET", CALLS + "/{call}/peaks", self.peaks, media.PEAKS)
        door.add(app, "GET", CALLS + "/{call}/timeline.svg", self.timeline, media.TIMELINE_SVG)
        door.add(app, "GET", CALLS + "/{call}/timeline.png", self.timeline_png, media.TIMELINE_PNG)
        door.add(app, "GET", CALLS + "/{call}/bundle", self.bundle, media.BUNDLE)

    async def recording(self, request: web.Request) -> web.StreamResponse:
        """Answer the recording, or a part of it."""
        form = query(request, media.SoundQuery).format
        call_id, folder = await self._kept.find(request.match_info["call"])
        content = await self._opened(folder, None, "recording_missing")
        try:
            await self._heard(request, call_id, form)
            if form != "wav":
                return await self._compressed(request, content, form, call_id)
        except BaseException:
            await let_go(content)
            raise
        tag = entity_tag(call_id, "recording", content.size)
        return await send(request, content, media.WAV, f"{call_id}.wav", tag)

    async def message(self, request: web.Request) -> web.StreamResponse:
        """Answer a message."""
        call_id, folder = await self._kept.find(request.match_info["call"])
        text = request.match_info["number"]
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0
        if not number:
            raise Problem(404, "message_unknown", "There is no such message.")
        content = await self._opened(folder, number, "message_unknown")
        try:
            await self._heard(request, call_id, f"message {number}")
        except BaseException:
            await let_go(content)
            raise
        tag = entity_tag(call_id, "message", number, content.size)
        return await send(request, content, media.WAV, f"{call_id}-message-{number}.wav", tag)

    async def peaks(self, request: web.Request) -> web.Response:
        """Answer how loud both sides are."""
        points = query(request, media.WaveformQuery).points
        _, folder = await self._kept.find(request.match_info["call"])
        content = await self._opened(folder, None, "recording_missing")
        try:
            answer = await asyncio.to_thread(waveform, content, points)
        except (OSError, BridgeError) as error:
            raise gone(folder, error) from None
        finally:
            await let_go(content)
        return web.json_response(text=answer.model_dump_json())

    async def timeline(self, request: web.Request) -> web.Response:
        """Answer the picture; of a call that goes on, it is drawn now."""
        call_id, folder = await self._kept.find(request.match_info["call"])
        try:
            picture = await asyncio.to_thread(_picture, folder, self._kept.is_live(call_id))
        except (OSError, BridgeError) as error:
            raise gone(folder, error) from None
        name = file_name(f"{call_id}.svg", show=True)
        headers = {"Content-Security-Policy": _SVG_POLICY, "Content-Disposition": name}
        return web.Response(body=picture, content_type=media.SVG, headers=headers)

    async def timeline_png(self, request: web.Request) -> web.Response:
        """Answer the picture for what shows no SVG."""
        call_id, folder = await self._kept.find(request.match_info["call"])
        async with self._turn():
            try:
                drawing = await asyncio.to_thread(_picture, folder, self._kept.is_live(call_id))
                picture = await png_apart(drawing.decode())  # In this process, no call would go on meanwhile.
            except MissingExtraError as error:
                raise Problem(501, error.code, f"{error.message}.") from None
            except BridgeError as error:
                if error.code not in {"no_font", "picture_failed"}:
                    raise gone(folder, error) from None
                raise Problem(501, error.code, f"{error.message}.") from None
            except OSError as error:
                raise gone(folder, error) from None
        headers = {"Content-Disposition": file_name(f"{call_id}.png", show=True)}
        return web.Response(body=picture, content_type=media.PNG, headers=headers)

    async def bundle(self, request: web.Request) -> web.StreamResponse:
        """Answer all of it, made while it is sent."""
        call_id, folder = await self._kept.find(request.match_info["call"])
        try:
            pieces = await asyncio.to_thread(bundle, folder, self._keys)
        except (OSError, BridgeError) as error:
            raise gone(folder, error) from None
        if request.method == "GET":
            await self._audit.write(asker(request).name, "recording_exported", call_id, "bundle")
        answer = web.StreamResponse(headers={"Content-Disposition": file_name(f"{call_id}.zip")})
        answer.content_type = media.ZIP
        return await send_pieces(request, answer, made_on_threads(pieces))

    async def _opened(self, folder: Path, message: int | None, code: str) -> Recording:
        try:
            return await asyncio.to_thread(partial(open_recording, folder, self._keys, message=message))
        except FileNotFoundError:
            raise Problem(404, code, "There is no such sound: nothing was recorded.") from None
        except BridgeError as error:
            if error.code != "recording_locked":
                raise gone(folder, error) from None
            detail = "It is encrypted with a key that is not set: name that in store.old_encryption_keys."
            raise Problem(409, error.code, detail) from None
        except OSError as error:
            raise gone(folder, error) from None

    async def _heard(self, request: web.Request, call_id: str, what: str) -> None:
        """Let the audit have a line before anything is heard. Raises `BridgeError` where it cannot.

        Which parts were heard it does not tell: one line stands for all parts of a hearing.
        """
        if request.method != "GET":
            return
        who = asker(request).name
        if "Range" not in request.headers:
            await self._audit.write(who, "recording_read", call_id, what)
            return
        hearing, now = (who, call_id, what), time.monotonic()
        if now - self._hearings.get(hearing, float("-inf")) < _ONE_HEARING_S:
            return
        await self._audit.write(who, "recording_read", call_id, f"{what} in parts")
        self._hearings[hearing] = now  # Only now: what could not be written is tried again.
        self._hearings.move_to_end(hearing)
        if len(self._hearings) > _HEARINGS:
            self._hearings.popitem(last=False)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until it is one's turn to make what takes a processor. Raises `Problem` 429 where too many wait."""
        if self._waiting >= _MOST_WAITING:
            detail = "Too many wait for a recording in another form, or a picture. Ask again in 5 s."
            raise Problem(429, "too_many_waiting", detail, headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._compressing:
                yield
        finally:
            self._waiting -= 1

    async def _compressed(
        self, request: web.Request, content: Recording, form: Form, call_id: str
    ) -> web.StreamResponse:
        """Answer a recording in another form, which is made whole first; closes it."""
        kind = FORMS[form]
        async with self._turn():
            file = await asyncio.to_thread(_compress, content, form)
        return await send_whole(request, file, kind.media_type, f"{call_id}{kind.suffix}")


def _compress(content: Recording, form: Form) -> OpenFile:
    """Return a file with a recording in another form; closes that. Blocks for as long as it takes."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  Whoever sends it closes it.
    try:
        compress(content, form, file)
    except MissingExtraError as error:
        file.close()
        raise Problem(501, error.code, f"{error.message}.") from None
    except BaseException:
        file.close()
        raise
    finally:
        content.close()
    return OpenFile(file)


def _picture(folder: Path, live: bool) -> bytes:
    """Return the picture of a call. Blocks on the disk. Raises `OSError`, `BridgeError`."""
    if not live:
        try:
            return (folder / TIMELINE).read_bytes()
        except FileNotFoundError:
            pass
    return timeline_svg(*read_journal(folder / JOURNAL), live=live).encode()
