"""A bridge as one of many behind a load balancer: what it does for the others, and they for it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from bridge.api.problems import Problem
from bridge.bus.asking import (
    BY_BUS,
    LOST,
    AnsweredElsewhere,
    Answering,
    ask_holder,
    ordered_elsewhere,
    taken_over,
)
from bridge.bus.connection import Bus, BusError
from bridge.bus.handing_over import LOOK_S, hand_over
from bridge.bus.live import LiveNodes
from bridge.bus.sound import NOT_HERE, SoundAsked, named
from bridge.bus.taking import HeldStore, Taking
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.errors import StoreError
from bridge.listener.entrance import Entrance
from bridge.live.calls import LiveCalls
from bridge.live.listening import Here
from bridge.metrics import Metrics
from bridge.outbound.dialer import Dialer
from bridge.settings import Settings
from bridge.store.base import Store
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from bridge.store.sql.owning import Owners
from bridge.tasks import spawn, stopped
from bridge.twilio.outbound_routes import Order, OutboundRoutes
from bridge.workers.alone import Alone, Around

_ALIVE_S: Final = 2.0
"""How long the node that holds a call may take to say that it is there."""
_PEOPLE_WAIT_S: Final = 10.0
_CARRIER_WAITS_S: Final = 12.0
"""Twilio waits 15 s for a webhook's answer; an agent's own hand-off webhook may take its time."""
_PUT_IN_WITHIN_S: Final = 0.1
"""How long the agent's question waits until the database has the turn that it is about.

It has it after some milliseconds, as a rule; a slow one must not be heard.
"""
_MOVES_S: Final = 5.0
_TOKEN_WITHIN_S: Final = 0.5
_STORE_WITHIN_S: Final = 5.0
_REMEMBERED: Final = 5_000
"""Names at which a node listens at most: of calls that are over as well, as the carrier asks late."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_VOICE: Final = "/twilio/voice"
_GOES_ON: Final = ("/twilio/stream-ended", "/twilio/dial-ended")
"""Where it is asked how a call goes on, which may be one of a node that has died."""
_TOLD: Final = ("/twilio/status", "/twilio/amd")
"""Where the carrier tells something, and wants to know nothing."""
_SHOW: Final = "/api/v1/calls/{call}"
_LISTEN: Final = "/api/v1/calls/{call}/listen"
_RECORDING: Final = "/api/v1/calls/{call}/recording"
_ORDER: Final = "call"
_CONSULTATION: Final = "id"
_AGAIN: Final = {"Retry-After": "1"}

log = structlog.get_logger()


class Node(Around):
    """This process among those of many nodes, around what it is on its own machine."""

    def __init__(self, settings: Settings, inner: Alone) -> None:
        """Raises MissingExtraError."""
        super().__init__(inner)
        self.middlewares: Sequence[Any] = (self._middleware, *inner.middlewares)
        self.webhook, self.asked = self._webhook, self._asked
        self.bus: Bus = Bus(settings.bus.url)
        self._subject = settings.bus.subject
        self._port = settings.server.port
        self._named = settings.server.node
        self._answering = Answering(self.bus, lambda: self.name, self._give, self._told_lost)
        self._sound = SoundAsked(self.bus, f"{self._subject}.sound", self._ask_for_sound)
        self.hear = self._sound
        self._held: OrderedDict[str, None] = OrderedDict()
        self._orders: OrderedDict[str, None] = OrderedDict()
        """Calls that this node has placed, or is to place."""
        self._moving: dict[str, float] = {}
        """Since when calls are on their way to another node, on the monotonic clock; until one tells of them."""
        self._goes_on: Callable[[str], bool] = lambda _: False
        self._registry: Registry | None = None
        self._metrics: Metrics | None = None
        self._keeper: Keeper | None = None
        folder, url = settings.store.recordings, settings.store.url
        self._drain_s = settings.server.drain_seconds
        self._resumes = settings.server.resume_seconds > 0
        self._shares = url.startswith("postgresql")
        self._owners: Owners | None = None
        self._taking = Taking(self.bus, self._call, lambda: self._owners, folder, lambda: self.name)
        self.once = self._first_use if self._shares else None
        self._live: LiveNodes | None = None
        self._own: Callable[[], list[dict[str, Any]]] = list

    @property
    def name(self) -> str:
        """What this node is called."""
        return self._named or f"{socket.gethostname()}:{self._port}"

    def health(self) -> Mapping[str, str]:
        """As `Alone.health`: without the bus calls are taken all the same."""
        return {**self._inner.health(), "bus": "up" if self.bus.up else "down"}

    # --- who holds what ------------------------------------------------------------------------------------

    def hold(self, name: str) -> None:
        """As `Alone.hold`, for all nodes: what is asked about it anywhere comes to this one."""
        self._inner.hold(name)
        if not _NAME.fullmatch(name):
            return
        self._moving.pop(name, None)
        if name not in self._held:
            self.bus.listen(self._call(name), self._answering.take)
        self._held[name] = None
        self._held.move_to_end(name)
        if len(self._held) > _REMEMBERED:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        name, _ = self._held.popitem(last=False)
        if self._goes_on(name):
            self._held[name] = None
        else:
            self.bus.leave(self._call(name))

    def keep(self, store: Store) -> Store:
        """As `Alone.keep`."""
        if not self._resumes:
            return HeldStore(self._inner.keep(store), self.hold, None, None)
        put_in = self._put_in if self._shares and self.first else None
        return HeldStore(self._inner.keep(store), self.hold, self._taking, put_in)

    def holds(self, call: str) -> bool:
        """As `Alone.holds`; also by another node."""
        return self._inner.holds(call) or (self._live is not None and self._live.elsewhere.holds(call))

    def orders(self, dialer: Dialer, outbound: OutboundRoutes) -> None:
        """As `Alone.orders`."""
        dialer.on_order = self._hold_order
        outbound.elsewhere = self._ordered
        self._answering.orders = outbound.given_away

    def _hold_order(self, order: str) -> None:
        self._orders[order] = None
        self.bus.listen(self._order(order), self._answering.take)
        if len(self._orders) > _REMEMBERED:
            self.bus.leave(self._order(self._orders.popitem(last=False)[0]))

    async def _ordered(self, order: str, sid: str) -> Order | None:
        with contextlib.suppress(BusError):
            return await ordered_elsewhere(self.bus, self._order(order), sid, _ALIVE_S)
        return None

    def owner(self) -> str:
        """As `Alone.owner`: where nodes share a database."""
        return self.name if self._shares else ""

    def named(self, settings: Settings) -> str:
        """As `Alone.named`."""
        del settings
        return self.name

    async def is_there(self, node: str) -> bool | None:
        """As `Alone.is_there`."""
        try:
            await self.bus.ask(self._node(node), b"", _ALIVE_S)
        except BusError as error:
            return False if error.code == "bus_nobody" else None
        return True

    def own(self, keeper: Keeper, database: Database) -> None:
        """As `Alone.own`."""
        keeper.on_lost(self._lost)
        self._keeper = keeper
        if self._shares:
            self._owners = Owners(database, follows=self.first)

    async def _put_in(self, call: str) -> None:
        """Let the database have at once what is kept of a call so far: what it lacks when this node dies is lost.

        It is waited for only for a moment: an answer that comes later for it would be heard.
        """
        if self._keeper is None or self._owners is None or not self._owners.up:
            return
        putting = spawn(_within(self._keeper.caught_up(call), _STORE_WITHIN_S), name=f"put-in-{call}")
        await asyncio.wait([putting], timeout=_PUT_IN_WITHIN_S)

    def _lost(self, call: str) -> None:
        """Another node holds a call of this one by now: end it here, in whatever process it is."""
        self._abandon(call)
        told = LOST + self.name.encode()
        spawn(self.bus.publish(self._call(call), told), name=f"tell-lost-{call}")

    def _abandon(self, call: str, *, given: bool = False) -> Session | None:
        """Let go of a live call, by either id, and return it; None: it is not one of this process."""
        sessions = [] if self._registry is None else [*self._registry.live.values()]
        session = next((one for one in sessions if call in {one.info.id, one.info.sid}), None)
        if session is None or session.over_for_carrier:
            return None
        log.info("call_let_go", call=session.info.id, sid=session.info.sid)
        session.abandon(given=given)
        for name in (session.info.id, session.info.sid):
            self._held.pop(name, None)
            self._moving[name] = time.monotonic()
            self.bus.leave(self._call(name))
        return session

    def _told_lost(self, call: str, node: str) -> None:
        if node == self.name:
            self._abandon(call)

    async def _give(self, call: str) -> bytes:
        """Give a call away, and return its journal; empty: it is not given."""
        session = self._abandon(call, given=True)
        if session is None:
            return b""
        await session.ended.wait()
        if session.files is None:
            return b""
        return await asyncio.to_thread(session.files.journal.read_bytes)

    async def hand_over(self, registry: Registry) -> None:
        """As `Alone.hand_over`."""
        await hand_over(registry, self._others, self._drain_s)

    async def _others(self) -> bool:
        """Tell whether another node is there that takes calls."""
        try:
            await self.bus.ask(f"{self._subject}.takes", self.name.encode(), LOOK_S * 5)
        except BusError:
            return False
        return True

    async def _takes_calls(self, message: Any) -> None:
        if message.data != self.name.encode() and not (self._registry is None or self._registry.draining):
            await message.respond(b"")

    async def _first_use(self, token: str) -> bool:
        """Tell whether a media stream's token is new; where the database is away, for the caller: it is."""
        assert self._owners is not None  # noqa: S101  Else this is not asked.
        using = spawn(_used(self._owners, token), name="use-token")
        if self._owners.up:  # Else no caller waits for it.
            await asyncio.wait([using], timeout=_TOKEN_WITHIN_S)
        if using.done() and (first := using.result()) is not None:
            return first
        if self._metrics is not None:
            self._metrics.unchecked_tokens.inc()
        return True

    def _node(self, name: str) -> str:
        return f"{self._subject}.node.{name.encode().hex()}"

    def _order(self, order: str) -> str:
        return f"{self._subject}.order.{order}"

    def _call(self, name: str) -> str:
        return f"{self._subject}.call.{name}"

    # --- what is asked -------------------------------------------------------------------------------------

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        return await handler(taken_over(request))

    async def _webhook(self, request: web.Request, form: Mapping[str, str]) -> None:
        """Let the node that holds its call answer a signed request of the carrier's. Raises `AnsweredElsewhere`.

        Where that node is not there, or there is no bus, it is answered here, as by a bridge that was started anew.
        """
        if self._inner.webhook is not None:
            await self._inner.webhook(request, form)
        query = request.query
        order = query.get(_ORDER, "")
        if request.get(BY_BUS) or (request.path == _VOICE and not order):
            return  # A call that comes in is nobody's yet.
        asked = [self._call(name) for name in (query.get(_CONSULTATION, ""), form.get("CallSid", "")) if name]
        here = any(self._here(name) for name in (query.get(_CONSULTATION, ""), form.get("CallSid", "")))
        at_order = [self._order(order)] if order and order not in self._orders else []
        if request.path in _TOLD:
            for subject in (*([] if here else asked), *at_order):
                with contextlib.suppress(BusError):
                    await self._ask(request, subject, _CARRIER_WAITS_S)
            return
        for subject in () if here or order in self._orders else (*asked, *at_order):
            with contextlib.suppress(BusError):
                raise AnsweredElsewhere(await self._ask(request, subject, _CARRIER_WAITS_S))
        if here or order:
            return
        if request.path in _GOES_ON:
            await self._ask_owner(request, form.get("CallSid", ""))

    async def _ask_owner(self, request: web.Request, sid: str) -> None:
        """Let the node answer to which a call belongs, if it was started anew: it has the record."""
        owner = await self._taking.owner(sid)
        if owner is None or owner == self.name:
            return
        with contextlib.suppress(BusError):
            asking = ask_holder(self.bus, self._node(owner), request, alive_s=_ALIVE_S, within_s=_CARRIER_WAITS_S)
            raise AnsweredElsewhere(await asking)

    async def _asked(self, request: web.Request) -> None:
        """The same for what people ask about a call that goes on. Raises `AnsweredElsewhere`, and `Problem`."""
        if self._inner.asked is not None:
            await self._inner.asked(request)
        names, resource = request.match_info, request.match_info.route.resource
        name = names.get("call") or names.get("sid") or ""
        path = "" if resource is None else resource.canonical
        if path == _RECORDING and (node := request.query.get("node")) and not request.get(BY_BUS):
            await self._asked_part(request, node)
            return
        if self._moves(name):
            detail = "This call is on its way to another node at this moment."
            raise Problem(503, "call_moves", detail, headers=_AGAIN)
        if not name or self._here(name) or request.get(BY_BUS) or (path == _SHOW and name in self._orders):
            return
        if path == _LISTEN:
            return  # Its handler asks for the sound.
        try:
            raise AnsweredElsewhere(await self._ask_about(request, name))
        except BusError as error:
            self._not_answered(name, error)

    def _has_come(self, call: Mapping[str, Any]) -> None:
        """Another node holds a call: where none tells of it any more, it is over."""
        for name in (call["id"], call["sid"]):
            self._moving.pop(name, None)

    async def _asked_part(self, request: web.Request, node: str) -> None:
        """Let a node answer that has a part of a call's recording. Raises as `_asked`."""
        if node == self.name:
            return
        try:
            asking = ask_holder(self.bus, self._node(node), request, alive_s=_ALIVE_S, within_s=_PEOPLE_WAIT_S)
            raise AnsweredElsewhere(await asking)
        except BusError:
            detail = f"The node {node}, on whose disk this part lies, cannot be reached at this moment."
            raise Problem(503, "node_away", detail, headers=_AGAIN, node=node) from None

    def _moves(self, name: str) -> bool:
        """Tell whether a call has just left this node, so that where it is now may not be known yet."""
        now = time.monotonic()
        if self._moving:
            self._moving = {call: since for call, since in self._moving.items() if now < since + _MOVES_S}
        return name in self._moving and (self._live is None or self._live.node_of(name) is None)

    async def _ask_about(self, request: web.Request, name: str) -> Any:
        try:
            return await self._ask(request, self._call(name), _PEOPLE_WAIT_S)
        except BusError as error:
            if error.code == "bus_nobody":
                with contextlib.suppress(BusError):
                    return await self._ask(request, self._order(name), _PEOPLE_WAIT_S)
            node = None if self._live is None else self._live.node_of(name)
            # The call has begun this very moment, and its node is about to listen at its names; or it is over.
            node = node or await self._taking.node_of(name)
            if error.code != "bus_nobody" or node in {None, self.name}:
                raise
        assert node is not None  # noqa: S101  It was looked at.
        return await ask_holder(self.bus, self._node(node), request, alive_s=_ALIVE_S, within_s=_PEOPLE_WAIT_S)

    def _not_answered(self, name: str, error: BusError) -> None:
        """Raise `Problem`, if it is known that the call goes on at another node."""
        node = None if self._live is None else self._live.node_of(name)
        if error.code == "bus_late":
            detail = f"The node that holds this call ({node or 'its name is not known'}) does not answer."
            raise Problem(504, "node_late", detail, headers=_AGAIN, node=node)
        if node is not None:
            detail = f"This call is at the node {node}, which cannot be reached from here at this moment."
            raise Problem(503, "node_away", detail, headers=_AGAIN, node=node)

    async def _ask_for_sound(self, call: str, question: bytes) -> bytes | None:
        """Ask whoever holds a call for its sound, and return the answer; None: nobody does. Raises `Problem`."""
        if not _NAME.fullmatch(call):
            return None
        try:
            return await self.bus.ask(self._call(call), question, _ALIVE_S)
        except BusError as error:
            node = None if self._live is None else self._live.node_of(call)
            if error.code == "bus_nobody" and node not in {None, self.name}:
                with contextlib.suppress(BusError):  # As in `_ask_about`; the question has to name the call then.
                    answer = await self.bus.ask(self._node(node), named(question, call), _ALIVE_S)
                    if answer != NOT_HERE:
                        return answer
            self._not_answered(call, error)
            return None

    def _here(self, name: str) -> bool:
        return name in self._held or self._goes_on(name)

    async def _ask(self, request: web.Request, subject: str, within_s: float) -> Any:
        if not _NAME.fullmatch(subject.rpartition(".")[2]) or subject.count(".") != self._subject.count(".") + 2:
            raise BusError("this is no name of a call", code="bus_nobody")
        return await ask_holder(self.bus, subject, request, alive_s=_ALIVE_S, within_s=within_s)

    # --- what people see -----------------------------------------------------------------------------------

    def show(self, calls: LiveCalls, recording: Callable[[str], str], metrics: Metrics) -> None:
        """As `Alone.show`; the first process of a node shows the calls of all nodes, too."""
        self._metrics = metrics
        if not self.first:
            self._inner.show(calls, recording, metrics)
            return
        run = secrets.token_hex(8)
        live = self._live = LiveNodes(self.bus, self._subject, run, calls.feed, lambda: self.name)
        calls.teller = live
        self._inner.show(calls, recording, metrics)
        here = calls.elsewhere
        self._own = lambda: [*(call.as_dict(recording(call.id)) for call in calls.all()), *here()]
        calls.elsewhere = lambda: [*here(), *live.elsewhere.all()]
        metrics.bus_up.set_function(lambda: self.bus.up)
        metrics.nodes.set_function(lambda: len(live.nodes()))
        live.on_fine = calls.feed.on_fine
        calls.feed.on_fine = lambda _: live.look_whether_fine()
        live.on_call = self._has_come

    def let_listen(self, here: Here) -> None:
        """As `Alone.let_listen`."""
        self._answering.sound.open = here.open

    # --- its life ------------------------------------------------------------------------------------------

    async def listen(
        self,
        runner: web.AppRunner,
        settings: Settings,
        registry: Registry,
        entrance: Entrance,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        """As `Alone.listen`, and where other nodes ask."""
        self._goes_on, self._registry = registry.holds, registry
        await self._inner.listen(runner, settings, registry, entrance, stack)
        self._port = runner.addresses[0][1]
        stack.push_async_callback(self._answering.close)
        await self._answering.open(runner)
        stack.push_async_callback(self.bus.close)
        stack.push_async_callback(self._answering.settled)
        stack.callback(self._sound.close)
        if self.first:
            self.bus.listen(f"{self._subject}.takes", self._takes_calls)
            self.bus.listen(self._node(self.name), self._answering.take)
        if self._live is not None:
            telling = spawn(self._live.run(self._own), name="tell-nodes")
            stack.push_async_callback(self._live.last_words)
            stack.push_async_callback(stopped, telling)
        self.bus.open()
        if self._owners is not None:
            stack.push_async_callback(stopped, spawn(self._owners.get_ready(), name="open-owners"))


async def _within(work: Awaitable[None], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work


async def _used(owners: Owners, token: str) -> bool | None:
    """Use up a token; None: the database is away."""
    try:
        async with asyncio.timeout(_STORE_WITHIN_S):
            return await owners.use(token)
    except (StoreError, TimeoutError) as error:
        log.warning("token_not_checked", error=str(error) or "the database does not answer")
        return None
