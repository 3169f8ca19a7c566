"""Places calls: asks the carrier when it is their turn, and follows each to its end. The shell of `Dispatch`."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable

import structlog

from bridge.agents.base import CallInfo
from bridge.call.outgoing import CarrierReport, OutgoingCall
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.journal import CallClosed
from bridge.errors import BridgeError, CarrierError, StoreError
from bridge.outbound.book import OrderBook
from bridge.outbound.dispatch import Dispatch, Limits
from bridge.outbound.order import Order
from bridge.outbound.progress import OutboundCall, Status
from bridge.tasks import spawn
from bridge.twilio.rest import CallOverError, NewCall, NotTakenError, TwilioRest

_ROOM_AGAIN_S = 1.0
"""How soon it is looked again whether there is room for a call."""
_STORE_AGAIN_S = 1.0
SILENT_S = 30.0
"""A call of which the carrier should have told something for this long is asked about, in seconds."""

log = structlog.get_logger()


class NotSetUpError(BridgeError):
    """Calls cannot be placed with these settings. The message names them."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="outbound_not_set_up")


class DrainingError(BridgeError):
    """The bridge is being stopped, and takes no more requests."""

    def __init__(self) -> None:
        super().__init__("the bridge is being stopped, and places no more calls", code="draining")


class Dialer:
    """The calls of ours of one process. It is the registry's and the webhooks' `Outgoing`."""

    def __init__(
        self,
        limits: Limits,
        registry: Registry,
        rest: TwilioRest | None,
        callbacks: Callable[[], str],
        *,
        on_over: Callable[[Status], None] = lambda _: None,
        silent_s: float = SILENT_S,
    ) -> None:
        """`rest` is None without credentials. `callbacks` is the public origin, asked for with each call.

        `callbacks` raises `NotSetUpError` where the carrier could not reach it. `on_over` is told how each ended.
        """
        self._dispatch = Dispatch(limits)
        self._registry = registry
        self._rest = rest
        self._callbacks = callbacks
        self._on_over = on_over
        self._silent_s = silent_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._stirred: dict[str, asyncio.Event] = {}
        self._closed = False
        self._adding: dict[str, asyncio.Task[bool]] = {}
        """Of orders that were handed to the book: whether it keeps them."""
        self._book: OrderBook | None = None
        """Where orders that wait outlive this process; None: nowhere."""
        self._taking: asyncio.Task[None] | None = None
        self.on_order: Callable[[str], None] = lambda _: None
        """Is told the id of every call that is ordered, before anybody else hears of it."""
        self.room: Callable[[OutboundCall], bool] = lambda _: True
        """Asked whether the house has room for one more call, which it then keeps; without it, calls wait."""
        self.no_room_wanted: Callable[[OutboundCall], None] = lambda _: None
        """Told of each call that is over: no room is to be kept for it."""

    # --- what programs ask ---------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._dispatch.waiting

    def place(self, order: Order, *, key: str = "") -> tuple[OutboundCall, bool]:
        """Take an order, to be placed when it is its turn. Never waits.

        Returns the call, and whether it is a new one: with a `key` that was used before, it is the one that was
        taken for it. Raises `NotSetUpError`, `DrainingError`, and what `Dispatch.submit` raises.
        """
        if self._rest is None:
            raise NotSetUpError(
                "calls are placed by Twilio's REST API, which needs twilio.account_sid (BRIDGE_TWILIO__ACCOUNT_SID)"
                " and twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN)"
            )
        self._callbacks()
        if self._closed or self._registry.draining:
            raise DrainingError
        now = self._loop.time()
        new_id = uuid.uuid4().hex
        created_at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        call = self._dispatch.submit(new_id, order, now, key=key, created_at=created_at)
        new = call.id == new_id
        if new:
            self.on_order(call.id)
            if self._book is not None:
                self._adding[new_id] = spawn(self._book.add(call, key), name=f"keep-order-{new_id}")
            log.info("outbound_call_ordered", call=call.id, called=order.to, waiting=self._dispatch.waiting)
            self._pump()
        return call, new

    def keep_in(self, book: OrderBook) -> None:
        """From now on keep orders that wait there, and take those that others have left there."""
        self._book = book
        self._taking = spawn(book.run(self), name="take-orders")

    async def kept(self, call: OutboundCall) -> None:
        """Wait until an order is kept where it outlives this process, if that is quick. Never raises."""
        if (adding := self._adding.get(call.id)) is not None:
            await asyncio.shield(adding)

    def adopt(self, call: OutboundCall, key: str) -> None:
        """As `Takes.adopt`."""
        self._adding[call.id] = spawn(_kept(), name=f"kept-order-{call.id}")
        self._dispatch.adopt(call, self._loop.time(), key=key)
        self.on_order(call.id)
        self._pump()

    def adopt_over(self, call: OutboundCall) -> None:
        """As `Takes.adopt_over`."""
        self._dispatch.adopt(call, self._loop.time())
        self.on_order(call.id)
        self._tell_over(call)

    def find(self, name: str) -> OutboundCall | None:
        """Return the call with this id of ours, or of the carrier's."""
        return self._dispatch.find(name)

    async def cancel(self, call: OutboundCall, reason: str = "canceled") -> None:
        """Let a call that waits or rings come to nothing, and hang up a live one. One that is over stays as it is.

        Raises `CarrierError` when the carrier does not do it. Cancelling stops the waiting, not the request.
        """
        if call.over:
            return
        if call.status == "queued":
            self._end(call, "canceled", reason)
            return
        call.cancel_wanted, call.reason = True, call.reason or reason
        if (session := self._registry.live.get(call.sid)) is not None:
            session.stop(reason)
        if not call.sid or self._rest is None:
            return  # It is being placed at this moment: that will look at `cancel_wanted`.
        if call.answered:
            await self._rest.hang_up(call.sid)
        else:
            status = await self._rest.cancel_call(call.sid)
            self._heard(call, call.hear(call.sid, status))

    async def close(self) -> None:
        """Place nothing more; calls that nobody has answered come to nothing. Those that are live are not ended."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._hand_on()
        for call in self._dispatch.give_up_waiting("shutdown"):
            self._tell_over(call)
        ringing = [call for call in self._dispatch.active if not call.answered]
        await asyncio.gather(*(self._let_go(call, "shutdown") for call in ringing))
        for task in [*self._work]:
            task.cancel()
        if self._work:
            await asyncio.wait([*self._work])

    async def _hand_on(self) -> None:
        """Leave to others what waits here, as far as it is kept."""
        if self._book is None or self._taking is None:
            return
        self._taking.cancel()
        await asyncio.wait([self._taking])
        waiting = self._dispatch.queued
        kept = {call.id for call in waiting if call.id in self._adding and await self._adding[call.id]}
        self._dispatch.leave(kept)
        await self._book.hand_on()

    async def _let_go(self, call: OutboundCall, reason: str) -> None:
        try:
            await self.cancel(call, reason)
        except CarrierError as error:
            log.warning("outbound_call_not_canceled", call=call.id, code=error.code, error=error.message)

    # --- what the carrier's webhooks and the registry ask and tell -------------------------------------------

    def answered(self, call_id: str, sid: str) -> OutgoingCall | None:
        """As `Outgoing` has it."""
        call = self._dispatch.find(call_id)
        if call is None or call.over or call.cancel_wanted or call.is_another(sid):
            return None
        self._heard(call, call.hear(sid, "in-progress"))
        order = call.order
        return OutgoingCall(call.id, order.parameters, order.voicemail, order.greeting)

    def report(self, call_id: str, report: CarrierReport) -> None:
        """As `Outgoing` has it."""
        call = self._dispatch.find(call_id)
        if call is None:
            log.info("outbound_call_unknown", call=call_id, sid=report.sid, status=report.status)
            return
        if report.status == "completed" and (session := self._registry.live.get(report.sid)) is not None:
            self._keep(spawn(self._complete(call, report, session), name=f"outbound-end-{call.id}"))
        else:
            self._take(call, report)

    async def _complete(self, call: OutboundCall, report: CarrierReport, session: Session) -> None:
        """A call is over for those who ordered it when its last words are recorded, and why it ended is known."""
        await session.ended.wait()
        self._take(call, report)

    def _take(self, call: OutboundCall, report: CarrierReport) -> None:
        changed = call.hear(report.sid, report.status, report.sequence)
        if changed and call.over:
            call.duration_s = report.duration_s
            if call.status == "failed":
                network = f" (SIP {report.sip_code})" if report.sip_code else ""
                call.reason, call.detail = "call_failed", f"Twilio could not connect {call.order.to}{network}"
        self._heard(call, changed)

    def answerer(self, call_id: str, kind: str) -> None:
        """As `Outgoing` has it."""
        if (call := self._dispatch.find(call_id)) is None:
            return
        call.answered_by = call.answered_by or kind
        if kind == "fax" or (kind.startswith("machine") and not call.order.voicemail):
            call.reason = call.reason or ("fax" if kind == "fax" else "machine")

    def observer(self, info: CallInfo) -> Callable[[float, on.Event, list[do.Command]], None]:
        """Watch a live call for why it ended."""
        call = self._dispatch.find(info.id) if info.direction == "outbound" else None
        if call is None:
            return lambda *_: None
        followed = call

        def observe(_: float, __: on.Event, commands: list[do.Command]) -> None:
            for command in commands:
                if isinstance(command, do.Record) and isinstance(command.entry, CallClosed):
                    followed.reason = command.entry.reason
                    self._stir(followed)

        return observe

    # --- placing -------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Place what is due, and see to it that the next is placed in its time."""
        if self._closed:
            return
        now = self._loop.time()
        for call in self._dispatch.due(now, self.room):
            self._keep(spawn(self._follow(call), name=f"outbound-{call.id}"))
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._dispatch.deadline(now)
        if deadline is not None and deadline <= now:
            deadline = now + _ROOM_AGAIN_S  # There was no room: nobody tells when there is.
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._pump)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _follow(self, call: OutboundCall) -> None:
        """Place a call, and wait for its end. One that the carrier does not take goes back to the queue."""
        try:
            if not await self._place(call):
                return
            if call.cancel_wanted:
                await self._let_go(call, call.reason)
            await self._await_end(call)
        except Exception:
            log.exception("outbound_call_lost", call=call.id)
            self._end(call, "failed", "internal", "something went wrong in the bridge; its log says what")

    async def _await_end(self, call: OutboundCall) -> None:
        """Wait until a call is over; ask the carrier about it when nothing is told of it for too long."""
        stirred = self._stirred[call.id] = asyncio.Event()
        try:
            while not call.over:
                stirred.clear()
                ringing_s = 0 if call.answered else call.order.ring_seconds
                try:
                    async with asyncio.timeout(ringing_s + self._silent_s):
                        await stirred.wait()
                except TimeoutError:
                    await self._ask_after(call)
        finally:
            del self._stirred[call.id]

    async def _place(self, call: OutboundCall) -> bool:
        """Ask the carrier to place a call. Returns whether there is something to follow."""
        assert self._rest is not None  # noqa: S101  `place` takes no orders without.
        if not await self._may_place(call):
            return False
        try:
            sid = await self._rest.create_call(self._new_call(call))
        except NotTakenError as error:
            if call.cancel_wanted:
                self._end(call, "canceled", call.reason)
            elif not self._closed and self._dispatch.put_off(call, self._loop.time()):
                log.warning("outbound_call_put_off", call=call.id, code=error.code, error=error.message)
                await self._note(call, waits=True)
                self._pump()
            else:
                self._end(call, "failed", error.code, error.message)
            return False
        except BridgeError as error:
            # That no answer came says nothing; but where the carrier has told of the call, there is one.
            if not call.sid:
                self._end(call, "failed", error.code, error.message)
                return False
            log.warning("outbound_call_placed_without_answer", call=call.id, code=error.code)
        else:
            call.sid = sid
        await self._note(call)
        return not call.over

    async def _may_place(self, call: OutboundCall) -> bool:
        """Say where all see it that the carrier is asked for this call now. False: it is not to be asked."""
        adding = self._adding.get(call.id)
        if self._book is None or adding is None or not await adding:
            return True  # Nobody else knows of it.
        told = False
        while not call.cancel_wanted:
            try:
                mine = await self._book.begin(call)
            except StoreError as error:
                # Another node may have it by now: as long as that is not known, nobody is called.
                if not told:
                    log.warning("outbound_call_held_back", call=call.id, error=error.message)
                told = True
                await asyncio.sleep(_STORE_AGAIN_S)
            else:
                if not mine:
                    self._end(call, "canceled", "moved", "another node has taken this order over, and places it")
                return mine
        self._end(call, "canceled", call.reason)
        return False

    async def _note(self, call: OutboundCall, *, waits: bool = False) -> None:
        """Let it be known that an order waits again, or waits no more. That it stays unknown does no harm."""
        adding = self._adding.get(call.id) if waits else self._adding.pop(call.id, None)
        if self._book is None or adding is None or not await adding:
            return
        try:
            await (self._book.back(call) if waits else self._book.forget(call))
        except StoreError as error:
            log.warning("order_not_noted", call=call.id, error=error.message)

    def _new_call(self, call: OutboundCall) -> NewCall:
        order, origin = call.order, self._callbacks()
        detection = ""
        if order.detect_machines != "off":
            # A message is for behind the greeting; without one there is nothing to wait for.
            detection = "DetectMessageEnd" if order.voicemail else "Enable"
        return NewCall(
            to=order.to,
            from_number=order.from_number,
            url=f"{origin}/twilio/voice?call={call.id}",
            status_url=f"{origin}/twilio/status?call={call.id}",
            ring_seconds=order.ring_seconds,
            machine_detection=detection,
            verdict_url=f"{origin}/twilio/amd?call={call.id}" if order.detect_machines == "async" else "",
        )

    async def _ask_after(self, call: OutboundCall) -> None:
        """The carrier tells nothing of a call: ask what became of it, so that it holds no place for ever."""
        if call.sid in self._registry.live or self._rest is None:
            return
        try:
            status = await self._rest.call_status(call.sid)
        except CallOverError:
            status = "completed" if call.answered else "failed"
        except CarrierError as error:
            log.warning("outbound_call_silent", call=call.id, sid=call.sid, code=error.code, error=error.message)
            return
        log.info("outbound_call_asked_after", call=call.id, sid=call.sid, status=status)
        self._heard(call, call.hear(call.sid, status))

    # --- the end -------------------------------------------------------------------------------------------

    def _end(self, call: OutboundCall, status: Status, reason: str, detail: str = "") -> None:
        self._heard(call, call.end(status, reason, detail))

    def _heard(self, call: OutboundCall, changed: bool) -> None:
        """Act on a change of a call's status."""
        if not changed:
            return
        log.info("outbound_call", call=call.id, sid=call.sid, status=call.status)
        self._stir(call)
        if call.over and self._dispatch.settle(call):
            self._tell_over(call)
            self._pump()

    def _tell_over(self, call: OutboundCall) -> None:
        level = log.warning if call.status == "failed" else log.info
        level(
            "outbound_call_over",
            call=call.id,
            sid=call.sid,
            status=call.status,
            reason=call.reason,
            detail=call.detail,
        )
        self._on_over(call.status)
        if call.id in self._adding:
            spawn(self._note(call), name=f"forget-order-{call.id}")
        self.no_room_wanted(call)

    def _stir(self, call: OutboundCall) -> None:
        if (stirred := self._stirred.get(call.id)) is not None:
            stirred.set()


async def _kept() -> bool:
    return True
