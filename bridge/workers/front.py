"""Decides which worker answers a request: the one that holds the call, or the first, which answers people."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import structlog
from aiohttp import web

from bridge.api.problems import Problem
from bridge.tasks import spawn
from bridge.workers.board import Board
from bridge.workers.handing import SETTLED, NotHandedOver, Receiver, hand_over
from bridge.workers.place import Place
from bridge.workers.relaying import Relay

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STREAMS: Final = "/twilio/media/"
_VOICE: Final = "/twilio/voice"
_PEOPLE: Final = "/api/"
_READY: Final = "/readyz"
"""Calls are taken as long as any worker is there to say so."""
_OPERATORS: Final = ("/metrics", _READY)
_BEGINS: Final = ("/api/v1/softphone", "/api/v1/calls/{sid}/log")
"""Where a POST begins a call: the worker that has the fewest takes it."""
_ORDER: Final = "call"
_CONSULTATION: Final = "id"
_AGAIN_AFTER_S: Final = "1"
_BODY_WITHIN_S: Final = 5.0

log = structlog.get_logger()


async def _read(request: web.Request) -> None:
    """Read the body, which aiohttp keeps. Raises `Problem` as the door does for one that cannot be read."""
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            await request.read()
    except TimeoutError:
        raise Problem(408, "body_late", "The body did not come to its end.") from None
    except web.RequestPayloadError:
        raise Problem(400, "body_unreadable", "The body is not encoded as its headers say.") from None
    except ConnectionError:
        raise Problem(400, "body_broken_off", "The connection broke off before the end of the body.") from None
    except web.HTTPRequestEntityTooLarge:
        raise Problem(413, "body_too_large", "The body is longer than is taken here.") from None


class Front:
    """Looks at the requests that come to one worker."""

    def __init__(self, place: Place, board: Board) -> None:
        self._place = place
        self._board = board
        self.streams: set[Relay] = set()
        """The media streams that are answered elsewhere, and pass through here since they are encrypted."""
        self.receiver: Receiver | None = None
        """Knows which requests were looked at by another worker."""

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Hand over what can be told by its address: streams that name their worker, and what people ask."""
        path, me = request.path, self._place.number
        if self.receiver is not None and self.receiver.is_settled(request):
            request[SETTLED] = True
        elif path.startswith(_STREAMS):
            await self._stream(request, path.removeprefix(_STREAMS))
        elif me != 0 and (path.startswith(_PEOPLE) or path in _OPERATORS):
            try:
                await self._to_the_first(request)
            except Problem as problem:
                return problem.answer()
        return await handler(request)

    def answers(self, request: web.Request) -> bool:
        """Tell whether `middleware` will let this request be answered here."""
        if self._place.number == 0 or not request.path.startswith(_PEOPLE):
            return True
        return self.receiver is not None and self.receiver.holds(request)

    async def webhook(self, request: web.Request, form: Mapping[str, str]) -> None:
        """Hand a signed request of the carrier's over to the worker that holds its call, if that is another.

        A call that comes in goes to the worker that has the fewest. Where that worker has died, it is answered
        here, as by a bridge that was started anew. Raises `HandedOver`.
        """
        await self._to(request, self._holder(request, form))

    async def asked(self, request: web.Request) -> None:
        """The same for what people ask about a call, once it is known who asks."""
        names = request.match_info
        name = names.get("call") or names.get("sid") or ""
        holder = self._board.holder(name)
        resource = request.match_info.route.resource
        if holder is None and request.method == "POST" and resource is not None and resource.canonical in _BEGINS:
            holder = self._board.least_busy()
        if holder not in {None, self._place.number}:
            await _read(request)
        await self._to(request, holder)

    async def _to_the_first(self, request: web.Request) -> None:
        """Hand over what the first worker answers. Raises `HandedOver`, and `Problem`."""
        await _read(request)
        try:
            raise await hand_over(request, self._place.socket(0), settled=False)
        except NotHandedOver as error:
            log.warning("worker_away", away=0, path=request.path, error=str(error))
        if request.path != _READY:
            detail = "The process that answers this is being started anew."
            raise Problem(503, "starting", detail, headers={"Retry-After": _AGAIN_AFTER_S})

    def _holder(self, request: web.Request, form: Mapping[str, str]) -> int | None:
        query = request.query
        if _CONSULTATION in query:
            return self._board.holder(query[_CONSULTATION])
        holder = self._board.holder(form.get("CallSid", ""))
        if holder is None and _ORDER in query:
            return 0  # The first places calls, and knows what was ordered.
        if holder is None and request.path == _VOICE:
            return self._board.least_busy()
        return holder

    async def _stream(self, request: web.Request, number: str) -> None:
        if number.isascii() and number.isdecimal() and int(number) < self._place.count:
            await self._to(request, int(number))

    async def _to(self, request: web.Request, worker: int | None) -> None:
        if worker is None or worker == self._place.number or request.get(SETTLED):
            return
        relayed = self._stream_relayed if request.path.startswith(_STREAMS) else lambda _: None
        try:
            raise await hand_over(request, self._place.socket(worker), settled=True, relayed=relayed)
        except NotHandedOver as error:
            log.warning("worker_away", away=worker, path=request.path, error=str(error))

    def _stream_relayed(self, relay: Relay) -> None:
        self.streams.add(relay)
        spawn(self._until_over(relay), name="relayed-stream")

    async def _until_over(self, relay: Relay) -> None:
        await relay.ended.wait()
        self.streams.discard(relay)
