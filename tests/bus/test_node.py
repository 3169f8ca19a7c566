"""A node among others: whom it takes a call to be at that has left it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bridge.bus.live import Told
from bridge.bus.node import Node
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
