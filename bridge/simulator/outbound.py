"""Places a call as REST asks for it: rings, detects a machine if that is wanted, and follows the bridge's TwiML."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.following import Beginning
from bridge.simulator.party import Party
from bridge.simulator.ringing import Progress, ring
from bridge.simulator.waiting import any_of
from bridge.tasks import spawn

_RING_S: Final = 60.0
_TIME_LIMIT_S: Final = 14_400.0


@dataclass(frozen=True, slots=True)
class Order:
    """What a `calls.create` asks for ("Twilio REST: Calls")."""

    url: str = ""
    method: str = "POST"
    twiml: str = ""
    status_callback: str = ""
    status_callback_method: str = "POST"
    status_callback_events: tuple[str, ...] = ("completed",)
    timeout_s: float = _RING_S
    time_limit_s: float = _TIME_LIMIT_S
    send_digits: str = ""
    detection: str = ""
    """`Enable` or `DetectMessageEnd`; empty: nobody wants to know who answered."""
    async_detection: bool = False
    async_callback: str = ""
    async_callback_method: str = "POST"

    @classmethod
    def read(cls, form: Mapping[str, list[str]]) -> Order:
        """From the form fields of the request. Raises `ValueError` where a number is none."""

        def one(name: str, default: str = "") -> str:
            return form.get(name, [default])[0] or default

        digits = one("SendDigits")
        return cls(
            url=one("Url"),
            method=one("Method", "POST"),
            twiml="" if one("Url") else one("Twiml"),
            status_callback=one("StatusCallback"),
            status_callback_method=one("StatusCallbackMethod", "POST"),
            # The client sends one field for each, people also write several into one.
            status_callback_events=tuple(" ".join(form.get("StatusCallbackEvent", ["completed"])).split()),
            timeout_s=float(one("Timeout", str(_RING_S))),
            time_limit_s=float(one("TimeLimit", str(_TIME_LIMIT_S))),
            send_digits=digits,
            detection="" if digits else one("MachineDetection"),
            async_detection=one("AsyncAmd").lower() == "true",
            async_callback=one("AsyncAmdStatusCallback"),
            async_callback_method=one("AsyncAmdStatusCallbackMethod", "POST"),
        )


async def place(leg: SimulatedCall, order: Order, party: Party) -> None:
    """Ring the party and, if it answers, hold the call; returns when it is over."""
    leg.exchange.acquire()  # the last callback comes after the leg's end
    try:
        await _place(leg, order, party)
        await leg.legs.called_back()
    finally:
        await leg.exchange.release()


async def _place(leg: SimulatedCall, order: Order, party: Party) -> None:
    legs = leg.legs
    progress = Progress(
        order.status_callback,
        order.status_callback_method,
        order.status_callback_events,
        form=legs.form,
        callback=legs.callback,
    )
    leg.status = "ringing"
    leg.status = await ring(party, order.timeout_s, progress, leg.cancelled)
    await progress.reach(leg.status)
    if leg.status != "in-progress":
        await leg.discard()
        return
    fields = await _detect(leg, order, party)
    if order.send_digits:
        played = asyncio.Event()
        legs.sound.play_tones(order.send_digits, played.set)
        await any_of(played, leg.cancelled)
    if leg.cancelled.is_set():  # by REST, before there was a document
        leg.status = "completed"
        await progress.reach("completed")
        await leg.discard()
        return
    task = leg.begin(Beginning(order.url, order.method, fields=fields, twiml=order.twiml))
    leg.enact(party)
    await asyncio.wait({task}, timeout=order.time_limit_s)
    await leg.complete()
    await progress.reach("completed")


async def _detect(leg: SimulatedCall, order: Order, party: Party) -> dict[str, str]:
    """Who has answered: told with the TwiML request, or else later to the callback."""
    if not order.detection:
        return {}
    verdict = {
        "AnsweredBy": party.answered_by,
        "MachineDetectionDuration": str(round(party.detection_s * 1000)),
    }
    if not order.async_detection:
        await any_of(leg.cancelled, timeout_s=party.detection_s)
        leg.answered_by = party.answered_by
        return verdict
    spawn(_tell_later(leg, order, party.detection_s, verdict), name="simulated_detection")
    return {}


async def _tell_later(leg: SimulatedCall, order: Order, after_s: float, verdict: dict[str, str]) -> None:
    await leg.pause(after_s)
    if not leg.live:
        return
    leg.answered_by = verdict["AnsweredBy"]
    if order.async_callback:
        form = {"CallSid": leg.call_sid, "AccountSid": leg.line.account_sid, **verdict}
        await leg.legs.callback(order.async_callback, order.async_callback_method, [*form.items()])
