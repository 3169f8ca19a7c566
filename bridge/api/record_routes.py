"""`/api/v1/calls` and `/api/v1/search`: what is kept of calls, as JSON and as texts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.answers import CallPage, HitItem, HitPage, SnippetItem, TurnItem
from bridge.api.call_document import item_of
from bridge.api.call_queries import CallList, Search
from bridge.api.door import Door, Handler, query
from bridge.api.kept import KeptCalls, gone
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.api.sending import OpenFile, entity_tag, file_name, send
from bridge.errors import BridgeError
from bridge.store.export.formats import FORMATS
from bridge.store.folder import JOURNAL, TRACE
from bridge.store.sql.call_rows import Hit

CALLS: Final = "/api/v1/calls"
SEARCH: Final = "/api/v1/search"
_JSONL: Final = "application/jsonl"


class TranscriptQuery(BaseModel):
    """In which format."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["json", "text", "jsonl", "csv", "vtt", "srt"] = Field(
        default="json", description="`vtt` is WebVTT, `srt` SubRip; `text` is for people."
    )


_LIST: Final = Operation(
    "List the calls that are kept",
    tag="records",
    about="Newest first; calls that go on are among them.",
    query=CallList,
    answers={200: CallPage},
    problems=(503,),
)
_SEARCH: Final = Operation(
    "Find what was said",
    tag="records",
    about="Turns that hold the words, those that were kept last first.",
    query=Search,
    answers={200: HitPage},
    problems=(503,),
)
_TEXTS: Final = ", ".join(one.media_type.partition(";")[0] for one in FORMATS.values())
_TRANSCRIPT: Final = Operation(
    "Read the transcript of a call",
    tag="records",
    about="Verbatim. Of a call that goes on: as far as it goes.",
    query=TranscriptQuery,
    answers={200: _TEXTS},
    problems=(404, 503),
)


class RecordRoutes:
    """The handlers."""

    def __init__(self, kept: KeptCalls) -> None:
        self._kept = kept

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their addresses."""
        door.add(app, "GET", CALLS, self.list, _LIST)
        door.add(app, "GET", SEARCH, self.search, _SEARCH)
        door.add(app, "GET", CALLS + "/{call}/transcript", self.transcript, _TRANSCRIPT)
        for name, what, about in (
            (JOURNAL, "journal", "Everything that is kept of it, in the order in which it happened: JSON lines."),
            (TRACE, "trace", "Every event and what was done about it, for playing the call again: JSON lines."),
        ):
            operation = Operation(
                f"Read the {what} of a call",
                tag="records",
                about=about,
                headers={"Range": "Asks for a part, as `bytes=0-999`."},
                answers={200: _JSONL, 206: _JSONL, 304: None},
                problems=(404, 416, 503),
            )
            door.add(app, "GET", f"{CALLS}/{{call}}/{what}", self._file(name), operation)

    async def list(self, request: web.Request) -> web.Response:
        """Answer a part of the list."""
        asked = query(request, CallList)
        try:
            page = await self._kept.calls.page(asked.filter(), asked.cursor, asked.limit)
        except BridgeError as error:
            raise of_cursor(error) from None
        answer = CallPage(items=[item_of(row) for row in page.items], next=page.next)
        return web.json_response(text=answer.model_dump_json())

    async def search(self, request: web.Request) -> web.Response:
        """Answer a part of what was found."""
        asked = query(request, Search)
        try:
            page = await self._kept.calls.search(asked.q, asked.filter(), asked.cursor, asked.limit)
        except BridgeError as error:
            raise of_cursor(error) from None
        answer = HitPage(items=[_hit(hit) for hit in page.items], next=page.next)
        return web.json_response(text=answer.model_dump_json())

    async def transcript(self, request: web.Request) -> web.Response:
        """Answer the transcript in the format that is asked for."""
        wanted = FORMATS[query(request, TranscriptQuery).format]
        header, entries = await self._kept.journal(request.match_info["call"])
        live = self._kept.is_live(header.id)
        content = await asyncio.to_thread(wanted.written, header, entries, live=live)
        name = file_name(f"{header.id}{wanted.suffix}", show=True)
        return web.Response(body=content, headers={"Content-Type": wanted.media_type, "Content-Disposition": name})

    def _file(self, name: str) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            call_id, folder = await self._kept.find(request.match_info["call"])
            try:
                content = await asyncio.to_thread(_open, folder / name)
            except OSError as error:
                raise gone(folder / name, error) from None
            tag = entity_tag(call_id, name, content.size)
            return await send(request, content, _JSONL, f"{call_id}-{name}", tag)

        return answer


def _open(path: Path) -> OpenFile:
    return OpenFile(path.open("rb", buffering=0))


def _hit(hit: Hit) -> HitItem:
    snippet = SnippetItem.model_validate(hit.snippet)
    return HitItem(call=item_of(hit.call), turn=TurnItem.model_validate(hit.turn), snippet=snippet)


def of_cursor(error: BridgeError) -> Exception:
    """Return what to raise: where the cursor is none of ours, that is the asker's fault."""
    if error.code != "cursor_invalid":
        return error
    fault = {"field": "cursor", "message": error.message}
    return Problem(422, "cursor_invalid", f"cursor: {error.message}.", errors=[fault])
