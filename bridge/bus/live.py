"""What the nodes tell each other of their live calls, and what each keeps of the others'.

A node tells what happens in its calls as it happens, and twice a second that it is there. What it tells is
numbered: whoever has missed something asks to be told anew how all its calls stand. A node that says nothing for
some seconds is not there any more, nor are its calls; while there is no bus nobody can tell, and all stays as it
was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from bridge.bus.connection import Bus
from bridge.live.elsewhere import Elsewhere
from bridge.live.events import News
from bridge.live.feed import Feed
from bridge.tasks import spawn

BEAT_S: Final = 0.5
GONE_AFTER_S: Final = 3.0
"""A node from which nothing came for so long is not there any more."""
_GATHER_S: Final = 0.02
"""How long what happens is gathered before it is told."""
_LONGEST: Final = 400_000
"""Bytes of one message: servers take a million, where nobody has set less."""
_LINES: Final = 20
"""Lines of talk of a call that is too long to be told as a whole."""
_UNTOLD: Final = 20_000
"""What may wait to be told. Where there is more, it is dropped, and how the calls stand is told anew."""

log = structlog.get_logger()


class Told(msgspec.Struct):
    """One message."""

    node: str
    run: str
    """Tells the runs of one node apart."""
    number: int
    """Of the messages of this run, from 1 on."""
    fine: bool
    """Whether somebody there wants to know of every word."""
    items: list[list[Any]]
    """What is told, each with its kind before it: `all`, `call`, `news`, `over`, `bye`."""


class _Node:
    """Another node, as far as it has told of itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = -1
        """Of its last message; -1: it has not told yet how all its calls stand."""
        self.seen = 0.0
        self.asked = 0.0
        self.fine = False


class LiveNodes:
    """This node among the others: tells, and is told. A `bridge.live.calls.Teller`."""

    def __init__(self, bus: Bus, subject: str, run: str, feed: Feed, name: Callable[[], str]) -> None:
        """`feed` is told of this node's and of all others' calls; `name` returns what this node is called."""
        self._bus = bus
        self._subject, self._run, self._name = subject, run, name
        self._feed = feed
        self._own: Callable[[], list[dict[str, Any]]] = list
        self.elsewhere = Elsewhere(feed)
        self._nodes: dict[str, _Node] = {}
        self._untold: list[bytes] = []
        self._number = 0
        self._announced: set[str] = set()
        self._wake = asyncio.Event()
        self._tell_all = True
        self._fine = False
        self.not_understood = 0
        """How much of what others told was of no kind that is known here."""
        self.on_fine: Callable[[bool], None] = lambda _: None
        """Is told when somebody anywhere begins to want every word, and when nobody does any more."""
        self.on_call: Callable[[dict[str, Any]], None] = lambda _: None
        """Is told of a call that another node holds."""

    # --- this node's calls ---------------------------------------------------------------------------------

    @property
    def fine(self) -> bool:
        """Tell whether anybody anywhere wants to know of every word."""
        return self._feed.fine or any(node.fine for node in self._nodes.values())

    def publish(self, news: News) -> None:
        """Tell everybody here and elsewhere. Never waits and never raises."""
        self._feed.publish(news)
        if news.call not in self._announced:
            call = next((call for call in self._own() if call["id"] == news.call), None)
            if call is None:
                return
            self._announce(call)
        self._tell("news", news.type, news.call, news.data)

    def _announce(self, call: dict[str, Any]) -> None:
        self._announced.add(call["id"])
        if len(line := _line("call", call)) > _LONGEST:
            line = _line("call", {**call, "talk": call["talk"][-_LINES:]})
        if len(line) > _LONGEST:
            line = _line("call", {**call, "talk": [], "words": {}, "saying": None})
        self._tell_line(line)

    def _tell(self, *item: Any) -> None:
        self._tell_line(_line(*item))

    def _tell_line(self, line: bytes) -> None:
        if len(self._untold) > _UNTOLD:
            self._untold.clear()
            self._tell_all = True
        self._untold.append(line)
        self._wake.set()

    # --- telling -------------------------------------------------------------------------------------------

    async def run(self, own: Callable[[], list[dict[str, Any]]]) -> None:
        """Tell and be told until cancelled. `own` returns how this node's calls stand."""
        self._own = own
        self._bus.on_up = self._begin_anew
        self._bus.listen(f"{self._subject}.live.*", self._take)
        self._bus.listen(f"{self._subject}.tell", self._asked)
        next_beat = 0.0
        while True:
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + BEAT_S
                self._look(now)
                await self._flush(beat=True)
            elif self._wake.is_set():
                await self._flush()
            await asyncio.sleep(_GATHER_S)  # What happens meanwhile goes in one message.
            try:
                async with asyncio.timeout(max(0.0, next_beat - time.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def last_words(self) -> None:
        """Tell that this node is going."""
        self._tell("bye")
        await self._flush()

    def _begin_anew(self) -> None:
        """The bus is back: tell how everything stands, and ask for it."""
        self._tell_all = True
        for node in self._nodes.values():
            node.number = -1
        self._wake.set()
        spawn(self._bus.publish(f"{self._subject}.tell", b""), name="ask-nodes")

    async def _flush(self, *, beat: bool = False) -> None:
        """Tell what waits, and in any case something at a beat."""
        self._wake.clear()
        if not self._bus.up:
            self._untold.clear()
            self._tell_all = True
            return
        if self._tell_all:
            self._tell_all = False
            calls = self._own()
            self._tell("all", [call["id"] for call in calls])
            self._announced.clear()
            for call in calls:
                self._announce(call)
            self._wake.clear()
        if beat and not self._untold:
            self._untold.append(b"")
        while self._untold:
            size, count = 0, 0
            for line in self._untold:
                size += len(line)
                if count and size > _LONGEST:
                    break
                count += 1
            lines, self._untold = self._untold[:count], self._untold[count:]
            await self._send([line for line in lines if line])

    async def _send(self, lines: list[bytes]) -> None:
        self._number += 1
        head = msgspec.json.encode(
            {"node": self._name(), "run": self._run, "number": self._number, "fine": self._feed.fine}
        )
        body = head[:-1] + b',"items":[' + b",".join(lines) + b"]}"
        if not await self._bus.publish(f"{self._subject}.live.{self._run}", body):
            self._tell_all = True

    def _look(self, now: float) -> None:
        """See which calls are over, and who is not there any more."""
        there = {call["id"] for call in self._own()} if self._announced else set()
        for over in self._announced - there:
            self._announced.discard(over)
            self._tell("over", over)
        if self._bus.up and now > self._bus.up_since + GONE_AFTER_S:
            for run, node in [*self._nodes.items()]:
                if now > node.seen + GONE_AFTER_S:
                    log.warning("node_lost", node=node.name)
                    self._gone(run)
        self.look_whether_fine()

    def look_whether_fine(self) -> None:
        """Tell who wants to know whether every word is wanted now, if that has changed."""
        if self.fine != self._fine:
            self._fine = not self._fine
            self.on_fine(self._fine)

    # --- being told ----------------------------------------------------------------------------------------

    def nodes(self) -> list[str]:
        """Return the names of the other nodes that are there."""
        return sorted(node.name for node in self._nodes.values())

    def node_of(self, call: str) -> str | None:
        """Return the name of the node that a call, by either of its ids, was last told to be at."""
        run = self.elsewhere.where(call)
        node = None if run is None else self._nodes.get(str(run))
        return None if node is None else node.name

    async def _asked(self, message: Any) -> None:
        """Somebody asks to be told how everything stands, of all or of this node."""
        if bytes(message.data) in {b"", self._run.encode()}:
            self._tell_all = True
            self._wake.set()

    async def _take(self, message: Any) -> None:
        try:
            told = msgspec.json.decode(message.data, type=Told)
        except msgspec.MsgspecError as error:
            self._unknown("", str(error))
            return
        if told.run != self._run:
            await self._heard(told)

    async def _heard(self, told: Told) -> None:
        node = self._nodes.get(told.run)
        if node is None:
            self._came(told)
            node = self._nodes[told.run]
        node.seen, node.fine = time.monotonic(), told.fine
        self.look_whether_fine()
        if told.number != node.number + 1 and not any(item[:1] == ["all"] for item in told.items):
            if node.seen > node.asked + BEAT_S:
                node.asked = node.seen
                node.number = -1
                await self._bus.publish(f"{self._subject}.tell", told.run.encode())
            return
        node.number = told.number
        for item in told.items:
            try:
                self._item(told.run, node, item)
            except (KeyError, TypeError, AttributeError) as error:
                self._unknown(node.name, str(error))

    def _came(self, told: Told) -> None:
        for run in [run for run, node in self._nodes.items() if node.name == told.node]:
            self._gone(run)  # It was started anew.
        self._nodes[told.run] = _Node(told.node)
        log.info("node_came", node=told.node)

    def _gone(self, run: str) -> None:
        del self._nodes[run]
        self.elsewhere.gone(run)

    def _item(self, run: str, node: _Node, item: list[Any]) -> None:
        match item:
            case ["news", str(kind), str(call), dict(data)]:
                self.elsewhere.news(run, kind, call, data)
            case ["call", dict(call)]:
                self.elsewhere.call(run, {**call, "node": node.name})
                self.on_call(call)
            case ["over", str(call)]:
                self.elsewhere.over(run, call)
            case ["all", list(ids)]:
                self.elsewhere.only(run, ids)
            case ["bye"]:
                log.info("node_left", node=node.name)
                self._gone(run)
            case _:
                self._unknown(node.name, "its kind")

    def _unknown(self, node: str, why: str) -> None:
        """Survive what a node of another version says, and log the first of it."""
        self.not_understood += 1
        if self.not_understood == 1:
            log.warning("node_message_unknown", node=node, why=why)


def _line(*item: Any) -> bytes:
    return msgspec.json.encode(item, enc_hook=str)
