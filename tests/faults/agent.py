"""A webhook agent that breaks on command, and speaks its longest answer piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

GREETING = "Harbour office, welcome."
LONG = (
    "Ferries leave early each morning. Tickets cost seven crowns there. Dogs travel without paying anything. "
    "Bicycles need another cheap ticket. Children below twelve go free. Breakfast waits upstairs until noon."
)
SHORT = "Certainly, everything has been arranged now."
BACK = "Nobody picked up over there, sadly."
DESK = "+15550100009"
_PIECE_S = 0.5
_HALF = "Certainly, everything "


class FaultyAgent:
    """Listens on a port of its own. It works until `fail` is called."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.way = ""
        """How it fails now; empty: it works."""
        self.think_s = 0.0
        """How long it takes to answer a turn."""
        self.transfer: dict[str, Any] = {"type": "transfer", "to": DESK}
        self._broken = asyncio.Event()
        self._over = asyncio.Event()
        self._open: list[web.Request] = []
        self._site: web.TCPSite | None = None

    async def fail(self, way: str) -> None:
        """Fail from now on, in what is being answered too."""
        self.way = way
        self._broken.set()
        if way == "refuses" and self._site is not None:
            await self._site.stop()
            for request in [*self._open]:
                _abort(request)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FaultyAgent]:
        """Serve for the length of the block."""
        app = web.Application()
        app.router.add_post("/", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        self._site = web.TCPSite(runner, "127.0.0.1", 0)
        await self._site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        try:
            yield self
        finally:
            self._over.set()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self._open.append(request)
        try:
            if body["type"] == "turn.ended" and self.think_s and not self.way:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._broken.wait(), self.think_s)
            return await self._answer(request, body)
        finally:
            self._open.remove(request)

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if self.way:
            return await self._fail(request)
        text = str((body.get("turn") or {}).get("transcript", ""))
        if body["type"] == "turn.ended" and "everything" in text:
            return await self._stream(request, [one + " " for one in LONG.split(". ")])
        if body["type"] == "turn.ended" and "human" in text:
            return web.json_response({"actions": [self.transfer]})
        said = {"call.started": GREETING, "turn.ended": SHORT, "transfer.ended": BACK}.get(body["type"])
        return web.Response(status=204) if said is None else web.json_response({"say": said})

    async def _fail(self, request: web.Request) -> web.StreamResponse:
        match self.way:
            case "drops":
                return await self._stream(request, [_HALF], breaks=True)
            case "stalls":
                await self._over.wait()
            case "rubbish":
                return web.Response(text='{"say": [5, "', content_type="application/json")
            case "429" | "500" as status:
                return web.Response(status=int(status), text="by the script")
            case _:
                _abort(request)
        return web.Response(status=204)

    async def _stream(self, request: web.Request, pieces: list[str], *, breaks: bool = False) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        for number, piece in enumerate(pieces):
            text = piece if breaks or number == len(pieces) - 1 else piece.rstrip() + ". "
            await response.write(text.encode())
            if not self.way:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._broken.wait(), _PIECE_S)
            if self.way == "stalls":
                await self._over.wait()
            if self.way in {"drops", "refuses"}:
                await asyncio.sleep(0.05)  # What was written is on its way.
                _abort(request)
                await self._over.wait()
        await response.write_eof()
        return response


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
