"""Acts `<Dial>`: rings somebody up and connects the caller, or takes the caller into a conference."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bridge.simulator.conferences import confer
from bridge.simulator.exchange import Exchange
from bridge.simulator.legs import Legs
from bridge.simulator.line import Line
from bridge.simulator.party import Party
from bridge.simulator.ringing import Progress, ring
from bridge.simulator.rooms import Member, Room
from bridge.simulator.verbs import Conference, Dial, Target
from bridge.simulator.waiting import any_of
from bridge.tasks import spawn


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a `<Dial>` has gone."""

    to: str
    """What was dialled, as written; of several the one that answered, once one did."""
    status: str
    """`DialCallStatus`: `completed` or, for a conference, `answered`; else why nobody could be reached."""
    child_sid: str = ""
    """The leg of the one that answered, or of the last that was rung."""
    bridged: bool = False
    """Whether the two were connected: one that answers may go before that, in a whisper."""
    seconds: int = 0
    """From the answer to the end; 0 until then."""

    @property
    def form(self) -> dict[str, str]:
        """The fields of the `<Dial>`'s action request."""
        fields = {"DialCallStatus": self.status, "DialBridged": str(self.bridged).lower()}
        if self.child_sid:
            fields["DialCallSid"] = self.child_sid
        if self.status == "completed":
            fields["DialCallDuration"] = str(self.seconds)
        return fields


class DialledLeg(Protocol):
    """A leg that a `<Dial>` makes; a `SimulatedCall` is one."""

    status: str
    """As `CallStatus` tells it."""

    @property
    def call_sid(self) -> str:
        """CA and 32 hex digits."""

    @property
    def legs(self) -> Legs:
        """What belongs to it."""

    @property
    def cancelled(self) -> asyncio.Event:
        """Set when it must not ring any longer."""

    @property
    def redirected(self) -> bool:
        """Whether REST has given it another document."""

    def answer(self, *, url: str = "", method: str = "POST", room: Room) -> asyncio.Task[None]:
        """Follow `url` if there is one, and then be in the room until that or the leg is over."""

    def enact(self, party: Party) -> None:
        """Let the party do what it does, beside everything else."""

    async def complete(self) -> None:
        """The carrier ends it; returns when it is over."""

    async def discard(self) -> None:
        """It was never talked to: the leg is over."""


@dataclass(eq=False, slots=True)
class _Rung:
    """Somebody who is being rung."""

    target: Target
    leg: DialledLeg
    progress: Progress

    @property
    def answered(self) -> bool:
        return self.progress.status == "in-progress"


class Dialler:
    """The `<Dial>`s of one leg."""

    def __init__(
        self, legs: Legs, exchange: Exchange, over: asyncio.Event, new_leg: Callable[[Line], DialledLeg]
    ) -> None:
        """`over` is set when the leg ends or is redirected; `new_leg` makes a leg from its line."""
        self._legs = legs
        self._exchange = exchange
        self._over = over
        self._new_leg = new_leg

    async def dial(self, verb: Dial, base: str, connected: Callable[[Transfer], None]) -> Transfer:
        """Carry the verb out; returns when caller and callee part, or when nobody can be reached.

        `connected` is told at the moment in which the two begin to hear each other.
        """
        for party in verb.parties:
            if isinstance(party, Conference):
                connected(Transfer(party.name, "answered", bridged=True))
                seconds = await confer(party, base, self._legs, self._exchange, self._over, verb.time_limit_s)
                return Transfer(party.name, "answered", bridged=True, seconds=seconds)
        targets = [party for party in verb.parties if isinstance(party, Target)]
        self._legs.record.report(self._legs.clock(), "dialling", ", ".join(verb.targets))
        result = Transfer(", ".join(verb.targets), "failed")
        for group in [[one] for one in targets] if verb.sequential else [targets]:
            result = await self._ring_all(group, verb, base, connected)
            if self._over.is_set() or result.status == "completed":
                break
        return result

    async def _ring_all(
        self, targets: Sequence[Target], verb: Dial, base: str, connected: Callable[[Transfer], None]
    ) -> Transfer:
        """Ring all at once: the first that answers is talked to, and the others ring no longer."""
        rung = [self._rung(target, verb, base) for target in targets]
        tasks = [spawn(self._ring(one, verb), name="simulated_ring") for one in rung]
        over = spawn(self._over.wait(), name="simulated_dial_over")
        waiting = set(tasks)
        while waiting and not over.done() and not any(one.answered for one in rung):
            done, _ = await asyncio.wait({*waiting, over}, return_when=asyncio.FIRST_COMPLETED)
            waiting -= done
        over.cancel()
        answered = next((one for one in rung if one.answered), None)
        for one in rung:
            if one is not answered:
                one.leg.cancelled.set()
        await asyncio.wait(tasks)
        for one in rung:
            if one is not answered:
                await self._drop(one)
        if answered is None:
            return Transfer(", ".join(verb.targets), rung[-1].progress.status, rung[-1].leg.call_sid)
        return await self._talk(answered, verb, base, connected)

    def _rung(self, target: Target, verb: Dial, base: str) -> _Rung:
        own = self._legs.line
        line = replace(own, caller=verb.caller_id or own.caller, called=target.to, direction="outbound-dial")
        leg = self._new_leg(line)
        url = leg.legs.webhooks.absolute(target.status_callback, base) if target.status_callback else ""
        method, events = target.status_callback_method, target.status_callback_events
        progress = Progress(url, method, events, form=leg.legs.form, callback=leg.legs.callback)
        return _Rung(target, leg, progress)

    async def _ring(self, one: _Rung, verb: Dial) -> None:
        one.leg.status = "ringing"
        party = one.leg.legs.line.party(one.target.to)
        one.leg.status = await ring(party, verb.timeout_s, one.progress, one.leg.cancelled)
        await one.progress.reach(one.leg.status)

    async def _drop(self, one: _Rung) -> None:
        if one.answered:  # in the same moment as another one
            one.leg.status = "completed"
            await one.progress.reach("completed")
        await one.leg.discard()

    async def _talk(self, one: _Rung, verb: Dial, base: str, connected: Callable[[Transfer], None]) -> Transfer:
        """From the answer to the end: keys, whisper, and then the talk."""
        target, leg = one.target, one.leg
        joined, parted = asyncio.Event(), asyncio.Event()

        def happened(what: str, member: Member | None) -> None:
            if member is not None and member.call_sid == leg.call_sid:
                (joined if what == "join" else parted).set()

        room = Room(target.to, on_event=happened)
        url = leg.legs.webhooks.absolute(target.url, base) if target.url else ""
        if target.send_digits:
            played = asyncio.Event()
            leg.legs.sound.play_tones(target.send_digits, played.set)
            await any_of(played, self._over)
        task = leg.answer(url=url, method=target.method, room=room)
        leg.enact(leg.legs.line.party(target.to))
        await any_of(joined, self._over, task=task)
        bridged = joined.is_set() and not self._over.is_set()
        if bridged:
            self._legs.sound.enter(room, Member(self._legs.call_sid))
            connected(Transfer(target.to, "completed", leg.call_sid, bridged=True))
            await any_of(parted, self._over, timeout_s=verb.time_limit_s)
            self._legs.sound.leave()
        seconds = one.progress.seconds
        if leg.redirected:  # it has left for a document of its own, and goes on
            self._exchange.acquire()
            spawn(self._see_out_later(one, task), name="simulated_see_out")
        else:
            await leg.complete()
            await self._see_out(one, task)
        return Transfer(target.to, "completed", leg.call_sid, bridged=bridged, seconds=seconds)

    async def _see_out(self, one: _Rung, task: asyncio.Task[None]) -> None:
        await asyncio.wait({task})
        await one.progress.reach("completed")

    async def _see_out_later(self, one: _Rung, task: asyncio.Task[None]) -> None:
        try:
            await self._see_out(one, task)
            await one.leg.legs.called_back()
        finally:
            await self._exchange.release()
