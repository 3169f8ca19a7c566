"""The sound of a call on its way to another node: what holds it up holds up nobody but who listens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from bridge.bus import sound
from bridge.bus.connection import Bus, BusError, Handler
from bridge.bus.sound import NOT_HERE, Begun, Sound, SoundAsked, SoundGiven, named
from bridge.live.ear import Ear, Frame
from bridge.live.listening import Listening, TooManyEarsError


@dataclass
class Message:
    data: bytes
    answers: list[bytes] = field(default_factory=list)

    async def respond(self, data: bytes) -> None:
        self.answers.append(data)


class Wire:
    """A bus between the two: what is asked reaches who listens there, unless it is `cut`, once it is `free`."""

    most_bytes = 1_000_000

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.free = asyncio.Event()
        self.free.set()
        self.cut = False
        self.messages = 0
        self.longest = 0

    async def listen_now(self, subject: str, handler: Handler) -> None:
        self.handlers[subject] = handler

    def leave(self, subject: str) -> None:
        self.handlers.pop(subject, None)

    async def ask(self, subject: str, data: bytes, within_s: float) -> bytes:
        del within_s
        await self.free.wait()
        self.messages += 1
        self.longest = max(self.longest, len(data))
        if self.cut or subject not in self.handlers:
            raise BusError("nobody listens there", code="bus_nobody")
        message = Message(data)
        await self.handlers[subject](message)
        return message.answers[0]


class Nodes:
    """One node that holds the call c1, and one that asks for its sound."""

    def __init__(self) -> None:
        self.wire = Wire()
        bus = cast("Bus", self.wire)
        self.ears: list[Ear] = []
        """Who listens at the node that holds the call."""
        self.left = 0
        self.full = False
        self.given = SoundGiven(bus)
        self.given.open = self._open
        self.asked = SoundAsked(bus, "calls.sound", self._holder)

    def _open(self, call: str) -> Listening | None:
        if self.full:
            raise TooManyEarsError
        if call != "CA1":
            return None
        self.ears.append(Ear())
        return Listening("c1", self.ears[-1], self._leave)

    def _leave(self) -> None:
        self.left += 1

    async def _holder(self, call: str, question: bytes) -> bytes | None:
        message = Message(question)
        await self.given.take(message, call)
        return message.answers[0]

    async def listening(self) -> tuple[Ear, Listening]:
        """Return the ear at the call, and who listens."""
        listening = await self.asked.open("CA1")
        assert listening is not None
        assert listening.call == "c1"
        return self.ears[-1], listening

    async def all_left(self) -> None:
        async with asyncio.timeout(3):
            while self.left < len(self.ears):  # noqa: ASYNC110  It is another task that leaves.
                await asyncio.sleep(0.01)


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    monkeypatch.setattr(sound, "_GATHER_S", 0.01)
    monkeypatch.setattr(sound, "_BEAT_S", 0.1)
    return Nodes()


def over(listening: Listening) -> str | None:
    """Why nothing more comes, at this moment."""
    return listening.ear.over


async def heard(listening: Listening) -> list[Frame]:
    async with asyncio.timeout(3):
        return [frame async for frame in listening.ear.frames()]


async def test_what_is_heard_comes_in_order_and_the_end_behind_it(up: Nodes) -> None:
    at_call, listening = await up.listening()
    at_call.hear(0, 20, b"{a")  # Sound may be anything.
    at_call.hear(1, 40, b"b" * 200_000)
    at_call.tell("clear", at_ms=60)
    at_call.end()
    assert await heard(listening) == [
        b"\0\0\0\0\x14{a",
        b"\1\0\0\0\x28" + b"b" * 200_000,
        '{"type":"clear","at_ms":60}',
    ]
    assert listening.ear.over == "ended"
    await up.all_left()


async def test_a_call_that_goes_away_says_why(up: Nodes) -> None:
    at_call, listening = await up.listening()
    at_call.end("moved")
    assert await heard(listening) == []
    assert listening.ear.over == "moved"


async def test_what_a_slow_bus_leaves_waits_at_the_call_and_is_bounded(up: Nodes) -> None:
    at_call, listening = await up.listening()
    up.wire.free.clear()
    before = up.wire.messages
    for number in range(100):
        at_call.hear(0, 20 * number, b"a" * 160)
        await asyncio.sleep(0)
    up.wire.free.set()
    at_call.end()
    assert len(await heard(listening)) == 100
    assert up.wire.messages - before <= 4  # All that waited went together.
    at_call, listening = await up.listening()
    up.wire.free.clear()
    for number in range(60_000):  # Twenty minutes.
        at_call.hear(0, 20 * number, b"a" * 160)
    assert at_call.too_slow
    up.wire.free.set()
    assert len(await heard(listening)) < 2_000
    assert listening.ear.too_slow
    await up.all_left()


async def test_one_who_takes_nothing_is_let_go_at_both_ends(up: Nodes) -> None:
    at_call, listening = await up.listening()
    async with asyncio.timeout(5):
        while not listening.ear.too_slow:
            at_call.hear(0, 20, b"a" * 1600)
            await asyncio.sleep(0)
    await up.all_left()
    assert up.wire.longest < 200_000


async def test_nothing_is_sent_any_more_for_one_who_has_gone(up: Nodes) -> None:
    at_call, listening = await up.listening()
    listening.leave()
    assert up.wire.handlers == {}
    await up.all_left()  # Though nothing was said: a beat finds nobody.
    messages = up.wire.messages
    at_call.hear(0, 20, b"a")
    await asyncio.sleep(0.3)
    assert up.wire.messages == messages


async def test_what_was_on_its_way_to_one_who_has_gone_is_not_taken(
    up: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound, "_SILENT_S", 0.05)
    _, listening = await up.listening()
    (take,) = up.wire.handlers.values()
    listening.leave()
    listening.leave()
    late: Any = Message(msgspec.msgpack.encode(Sound([b"\0\0\0\0\0a"])))
    await take(late)
    assert late.answers == [b"-"]
    assert listening.ear.empty
    await asyncio.sleep(0.1)
    assert over(listening) is None, "a clock runs for who has gone"


async def test_a_call_can_be_asked_for_where_the_subject_does_not_name_it(up: Nodes) -> None:
    question: Any = Message(named(b"listen inbox", "CA1"))
    await up.given.take(question, "6e6f6465")
    assert msgspec.msgpack.decode(question.answers[0], type=Begun).call == "c1"
    await up.all_left()
    question = Message(named(b"listen inbox", "CA2"))
    await up.given.take(question, "CA1")
    assert question.answers == [NOT_HERE]


async def test_a_node_of_which_nothing_is_heard_is_lost(up: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "_SILENT_S", 0.4)
    _, listening = await up.listening()
    await asyncio.sleep(0.6)
    assert not over(listening)  # It says that it is there.
    up.wire.cut = True
    assert await heard(listening) == []
    assert over(listening) == "lost"
    await up.all_left()


async def test_who_may_not_or_cannot_listen_leaves_nothing_behind(up: Nodes) -> None:
    assert await up.asked.open("CA2") is None
    up.full = True
    with pytest.raises(TooManyEarsError):
        await up.asked.open("CA1")
    assert up.wire.handlers == {}


async def test_one_that_stops_ends_it_at_both_ends(up: Nodes) -> None:
    _, listening = await up.listening()
    up.asked.close()
    assert await heard(listening) == []
    assert (listening.ear.over, up.asked.closed, up.wire.handlers) == ("lost", True, {})
    assert await up.asked.open("CA1") is None
    up.asked.closed = False
    await up.listening()
    await up.given.close()
    await up.all_left()


async def test_what_is_not_understood_is_survived(up: Nodes) -> None:
    _, listening = await up.listening()
    (take,) = up.wire.handlers.values()
    strange: Any = Message(b"\xc1")
    await take(strange)
    assert strange.answers == []
    assert listening.ear.over is None
    listening.leave()
