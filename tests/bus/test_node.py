"""A node among others: whom it takes a call to be at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from bridge.api.problems import Problem
from bridge.bus.connection import Bus, BusError
from bridge.bus.live import Told
from bridge.bus.node import Node
from bridge.bus.sound import NOT_HERE, Begun
from bridge.live.calls import LiveCalls
from bridge.metrics import Metrics
from bridge.settings.source import load_settings
from bridge.workers.alone import Alone

CALL = {
    "id": "one",
    "sid": "CA1",
    "talk": [],
    "words": {},
    "state": "listening",
    "at_ms": 0,
    "saying": None,
    "recording": "off",
}


@pytest.mark.parametrize("name", ["one", "CA1"])
async def test_a_call_that_has_come_to_another_node_is_on_its_way_no_more(name: str) -> None:
    node = Node(load_settings(environment={"BRIDGE_BUS__URL": "nats://127.0.0.1:9"}, files=()), Alone())
    left = SimpleNamespace(
        info=SimpleNamespace(id="one", sid="CA1"), over_for_carrier=False, abandon=lambda given: None
    )
    registry: Any = SimpleNamespace(live={"CA1": left}, watchers=[], logs=SimpleNamespace(watchers=[]))
    node._registry = registry
    node.show(LiveCalls(registry), lambda _: "", Metrics())
    node._abandon("one")
    assert node._moves(name), "nobody can tell where it is"

    live = cast("Any", node._live)
    await live._heard(Told("other", "run", 1, False, [["all", ["one"]], ["call", CALL]]))
    assert not node._moves(name)
    await live._heard(Told("other", "run", 2, False, [["over", "one"]]))
    assert not node._moves(name), "it is over: what is kept of it can be asked for at once"


class NobodyAtNames:
    """A bus on which nodes listen at their own names, and at those of no call yet."""

    def __init__(self, answer: bytes) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self._answer = answer

    async def ask(self, subject: str, data: bytes, within_s: float) -> bytes:
        del within_s
        self.asked.append((subject, data))
        if ".node." in subject:
            return self._answer
        raise BusError("nobody listens there", code="bus_nobody")


async def test_a_node_that_is_known_to_hold_a_call_is_asked_for_its_sound_where_nobody_is_at_its_name() -> None:
    node = Node(load_settings(environment={"BRIDGE_BUS__URL": "nats://127.0.0.1:9"}, files=()), Alone())
    registry: Any = SimpleNamespace(live={}, watchers=[], logs=SimpleNamespace(watchers=[]))
    node.show(LiveCalls(registry), lambda _: "", Metrics())
    found = msgspec.msgpack.encode(Begun("one"))
    bus = NobodyAtNames(found)
    node.bus = cast("Bus", bus)
    assert await node._ask_for_sound("CA1", b"listen inbox") is None, "nobody is known to hold it"
    assert len(bus.asked) == 1

    await cast("Any", node._live)._heard(Told("other", "run", 1, False, [["all", ["one"]], ["call", CALL]]))
    assert await node._ask_for_sound("CA1", b"listen inbox") == found
    assert bus.asked[-1] == (node._node("other"), b"listen inbox CA1")

    node.bus = cast("Bus", NobodyAtNames(NOT_HERE))
    with pytest.raises(Problem) as told:
        await node._ask_for_sound("CA1", b"listen inbox")
    assert told.value.code == "node_away"
