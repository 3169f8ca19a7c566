"""What a node owes others when it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from bridge.bus.asking import GIVE, Answering
from bridge.bus.connection import Bus


@dataclass
class Message:
    data: bytes
    subject: str = "calls.call.CA1"
    answers: list[bytes] = field(default_factory=list)

    async def respond(self, data: bytes) -> None:
        self.answers.append(data)


async def test_one_that_ends_first_hands_over_what_it_was_asked_for() -> None:
    recorded = asyncio.Event()

    async def give(call: str) -> bytes:
        await recorded.wait()
        return call.encode()

    bus: Any = SimpleNamespace(most_bytes=1_000_000)
    answering = Answering(cast("Bus", bus), lambda: "one", give, lambda *_: None)
    await answering.settled()  # Nothing is owed.
    message = Message(GIVE)
    await answering.take(message)
    asyncio.get_running_loop().call_later(0.02, recorded.set)
    await answering.settled()
    assert message.answers == [b"CA1"]
