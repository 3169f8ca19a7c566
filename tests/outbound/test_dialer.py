"""Calls of ours from their order to their answer, with a REST API that only counts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from bridge.call.outgoing import CarrierReport
from bridge.outbound.dialer import Dialer
from bridge.outbound.dispatch import Limits
from bridge.outbound.order import Order


class Rest:
    """Takes every call."""

    def __init__(self) -> None:
        self.placed = asyncio.Event()
        self.calls: list[Any] = []

    async def create_call(self, call: Any) -> str:
        self.calls.append(call)
        self.placed.set()
        return f"CA{len(self.calls)}"

    async def cancel_call(self, sid: str) -> str:
        return "canceled"


async def test_another_call_with_the_id_of_an_order_is_neither_taken_nor_believed() -> None:
    rest = Rest()
    registry = SimpleNamespace(draining=False, live={})
    dialer = Dialer(Limits(), cast("Any", registry), cast("Any", rest), lambda: "https://bridge.example.com")
    call, _ = dialer.place(Order("+15550100001", "+15550100002"))
    await rest.placed.wait()
    dialer.report(call.id, CarrierReport("CA1", "ringing", 1))
    assert dialer.answered(call.id, "CA9") is None
    dialer.report(call.id, CarrierReport("CA9", "no-answer", 7))
    assert (call.sid, call.status) == ("CA1", "ringing")
    assert dialer.answered(call.id, "CA1") is not None
    assert (call.status, len(rest.calls)) == ("in-progress", 1)
    await dialer.close()
