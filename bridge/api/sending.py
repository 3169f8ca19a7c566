"""Large answers, sent piece by piece: files and parts of them, and what is made while it is sent."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import IO, Final, Protocol
from urllib.parse import quote

import structlog
from aiohttp import web

from bridge.api.problems import Problem
from bridge.api.ranges import NothingThereError, Part, part_asked_for

_PIECE: Final = 256 * 1024
_TAKEN_WITHIN_S: Final = 600.0
"""How long whoever asked may take nothing of what is sent: browsers do so while somebody has paused."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")

log = structlog.get_logger()


class Readable(Protocol):
    """Bytes that can be read from anywhere. Reading blocks on the disk, and raises `OSError`, `BridgeError`."""

    @property
    def size(self) -> int:
        """How many there are."""

    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on; fewer at the end."""

    def close(self) -> None:
        """Let go of it."""


class OpenFile:
    """An open file, as long as it is at this moment."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, start: int, length: int) -> bytes:
        """Return a part."""
        self._file.seek(start)
        return self._file.read(length)

    def close(self) -> None:
        """Close it."""
        self._file.close()


def file_name(name: str, *, show: bool = False) -> str:
    """Return the header `Content-Disposition` for a file of this name; `show`: browsers may show it at once."""
    plain = _UNFIT.sub("_", name).strip("._")[:120] or "call"
    how = "inline" if show else "attachment"
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(plain)}"


def entity_tag(*parts: object) -> str:
    """Return an ETag: another one as soon as any of the parts, which stand for the content, is another."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


async def send(request: web.Request, content: Readable, kind: str, name: str, tag: str) -> web.StreamResponse:
    """Answer with all of `content`, or with the part that is asked for; closes it.

    `kind` is the media type, `name` the file's, and `tag` the ETag, which changes with the content. When reading
    fails after the first piece, the connection breaks off, so that nobody takes it for whole. Raises `Problem` 416.
    """
    try:
        if request.headers.get("If-None-Match", "") in {tag, "*"}:
            return web.Response(status=304, headers={"ETag": tag})
        part = _part(request, content.size, tag)
        whole = part or Part(0, content.size)
        headers = {"Accept-Ranges": "bytes", "ETag": tag, "Content-Disposition": file_name(name, show=True)}
        if part is not None:
            headers["Content-Range"] = part.content_range(content.size)
        answer = web.StreamResponse(status=200 if part is None else 206, headers=headers)
        answer.content_type = kind
        answer.content_length = whole.length
        return await send_pieces(request, answer, _pieces(content, whole))
    finally:
        await let_go(content)


async def send_whole(request: web.Request, content: Readable, kind: str, name: str) -> web.StreamResponse:
    """Answer with all of `content`, whatever part is asked for; closes it."""
    try:
        headers = {"Accept-Ranges": "none", "Content-Disposition": file_name(name)}
        answer = web.StreamResponse(headers=headers)
        answer.content_type = kind
        answer.content_length = content.size
        return await send_pieces(request, answer, _pieces(content, Part(0, content.size)))
    finally:
        await let_go(content)


async def send_pieces(
    request: web.Request, answer: web.StreamResponse, pieces: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send `pieces` as the body of `answer`. Whoever goes away in between is let go."""
    first = b"" if request.method == "HEAD" else await anext(pieces, b"")  # What fails here is still a problem.
    await answer.prepare(request)
    if request.method == "HEAD":
        return answer
    try:
        await _take(answer, first)
        async for piece in pieces:
            await _take(answer, piece)
        await answer.write_eof()
    except ConnectionError:
        log.debug("api_asker_left", path=request.path)
    except TimeoutError:
        log.info("api_asker_takes_nothing", path=request.path)
        if request.transport is not None:
            request.transport.abort()
    except Exception:
        log.exception("api_answer_broke_off", path=request.path)
        if request.transport is not None:
            request.transport.abort()
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
    return answer


async def let_go(content: Readable) -> None:
    """Close it, on a thread, as another one may be reading. Being cancelled stops the waiting, not the closing.

    The thread is asked before anything is awaited: a task that did so would not have begun yet when the loop ends.
    """
    await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, content.close))


async def made_on_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Return pieces whose making blocks, each made on a thread while nobody else waits for it."""
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        if isinstance(pieces, Generator):
            await asyncio.to_thread(pieces.close)


async def _take(answer: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(_TAKEN_WITHIN_S):
        await answer.write(piece)


def _part(request: web.Request, size: int, tag: str) -> Part | None:
    condition = request.headers.get("If-Range")
    if condition is not None and condition != tag:
        return None
    try:
        return part_asked_for(request.headers.get("Range"), size)
    except NothingThereError:
        raise Problem(
            416,
            "range_unsatisfiable",
            f"There are {size} bytes, and the range lies behind them.",
            headers={"Content-Range": f"bytes */{size}"},
        ) from None


async def _pieces(content: Readable, part: Part) -> AsyncIterator[bytes]:
    done = 0
    while done < part.length:
        piece = await asyncio.to_thread(content.read, part.start + done, min(_PIECE, part.length - done))
        if not piece:
            raise OSError("there is less than there was")
        done += len(piece)
        yield piece
