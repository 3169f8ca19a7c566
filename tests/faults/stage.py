"""The world of one cell: a bridge of its own, its peers, and how each of them is made to fail."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from bridge.app import Bridge, running
from bridge.settings.source import load_settings
from bridge.simulator.caller import CallEvent, Line, SimulatedCall
from bridge.simulator.party import Party
from bridge.simulator.rest import FakeTwilioRest, Fault
from bridge.twilio import media_stream
from tests.faults import catalogue
from tests.faults.agent import DESK, FaultyAgent
from tests.faults.catalogue import BEFORE, COLD, Cell
from tests.faults.speech import FaultySpeech
from tests.faults.wire import Disk, Lock, Network
from tests.nats_server import Bus
from tests.scripted_speech import Peer

TOKEN: Final = "0123456789abcdef0123456789abcdef"
ACCOUNT: Final = "AC" + "1" * 32
CALLER: Final = "+15550100001"
OURS: Final = "+15550100002"

IMPATIENT: Final = {
    "BRIDGE_AGENT__TIMEOUT_SECONDS": "3",
    "BRIDGE_AGENT__CONNECT_SECONDS": "1",
    "BRIDGE_TURNS__FILLER_SECONDS": "1",
    "BRIDGE_TURNS__SILENCE_SECONDS": "4",
    "BRIDGE_TURNS__OUTAGE_SECONDS": "2",
}
"""Shorter times than a bridge has, so that a table takes minutes; all else is as it is without settings."""


@dataclass
class Stage:
    """All that takes part in one call."""

    cell: Cell
    folder: Path
    speech: FaultySpeech
    agent: FaultyAgent
    up: Bridge
    call: SimulatedCall
    events: list[CallEvent]
    disk: Disk | None = None
    lock: Lock | None = None
    bus: Bus | None = None
    network: Network | None = None
    rest: FakeTwilioRest | None = None
    spare: FaultySpeech | None = None
    """The speech service that stands by, which never fails."""
    mended: bool = False
    """What keeps calls is there again: nothing is started twice."""
    broken_at: float | None = None
    """The loop's time at which the fault began."""

    @property
    def ear(self) -> Peer | None:
        """The speech-to-text socket that works now; None: there is none."""
        return self.speech.ear or (None if self.spare is None else self.spare.ear)

    async def fail(self) -> None:
        """Let the fault begin."""
        self.broken_at = asyncio.get_running_loop().time()
        way = self.cell.way
        match self.cell.dependency:
            case "speech to text" | catalogue.STT_STANDBY:
                await self.speech.fail("stt", way)
            case "text to speech" | catalogue.TTS_STANDBY:
                await self.speech.fail("tts", way)
            case catalogue.VOICEMAIL:
                await self.speech.fail("stt", way)
                await self.speech.fail("tts", way)
            case "agent":
                await self.agent.fail(way)
            case "stream":
                await self._fail_stream(way)
            case "carrier's REST":
                await self._fail_rest(way)
            case _:
                await self._fail_keeping(way)

    async def mend(self) -> None:
        """Bring back what keeps calls, as somebody would in the end."""
        if self.disk is not None:
            await self.disk.clear()
        if self.lock is not None:
            await self.lock.give_back()
        if self.bus is not None and self.cell.way == "away" and not self.mended:
            await self.bus.start()
        self.mended = True

    async def _fail_keeping(self, way: str) -> None:
        if self.disk is not None:
            await self.disk.fill()
        if self.lock is not None:
            await self.lock.take()
        if self.bus is not None:
            await self.bus.stop()
            if way == "restarts":
                await asyncio.sleep(0.3)
                await self.bus.start()

    async def _fail_rest(self, way: str) -> None:
        assert self.rest is not None
        if way == "away":
            await self.rest.stop()
        else:
            self.rest.faults.append(Fault(int(way), times=1000))

    async def _fail_stream(self, way: str) -> None:
        assert self.network is not None
        match way:
            case "drops":
                self.call.drop_stream()
            case "duplicate":
                await self._open_another()
            case _:
                self.network.freeze("half-open" if way == "late stop" else way)

    async def _open_another(self) -> None:
        """Somebody opens a second stream with the token that the call's own stream was opened with."""
        text = self.call.twiml[0].text
        (token,) = re.findall(r'name="token" value="([^"]+)"', text)
        (url,) = re.findall(r'<Stream[^>]* url="([^"]+)"', text)
        other = media_stream.CarrierStream(stream_sid="MZ9", call_sid=self.call.call_sid, account_sid=ACCOUNT)
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.send_str(other.connected())
            await socket.send_str(other.start({"token": token}))
            with contextlib.suppress(TimeoutError):
                await socket.receive(timeout=2)


@contextlib.asynccontextmanager
async def stage(cell: Cell, folder: Path, database: Path) -> AsyncIterator[Stage]:
    """Set up the world of a cell. `database` is an empty one, whose making need not be repeated.

    Raises OSError where this machine cannot play the cell.
    """
    async with contextlib.AsyncExitStack() as stack:
        kept = folder / "calls"
        disk = await stack.enter_async_context(Disk(kept).running()) if cell.dependency == "disk" else None
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(database, kept / "calls.db")
        speech = await stack.enter_async_context(FaultySpeech().running())
        agent = await stack.enter_async_context(FaultyAgent().running())
        environment = {
            **IMPATIENT,
            "BRIDGE_SERVER__PORT": "0",
            "BRIDGE_SPEECH__BASE_URL": speech.url,
            "BRIDGE_SPEECH__API_KEY": "sk_test",
            "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
            "BRIDGE_STORE__RECORDINGS": str(kept),
            "BRIDGE_AGENT__KIND": "webhook",
            "BRIDGE_AGENT__URL": agent.url,
            "BRIDGE_AGENT__UNDELIVERED": str(folder / "undelivered"),
        }
        bus = rest = network = spare = None
        if cell.dependency in {catalogue.STT_STANDBY, catalogue.TTS_STANDBY}:
            spare = await stack.enter_async_context(FaultySpeech().running())
            environment |= {"BRIDGE_SPEECH__STANDBY": spare.url}
        if cell.dependency == catalogue.VOICEMAIL:
            environment |= {"BRIDGE_VOICEMAIL__AFTER_FAILURE": "true", "BRIDGE_VOICEMAIL__SILENCE_SECONDS": "2"}
        if cell.dependency == "bus":
            bus = Bus()
            await bus.start()
            stack.push_async_callback(bus.stop)
            environment |= {"BRIDGE_BUS__URL": bus.url, "BRIDGE_SINKS__NATS_SUBJECT": "calls"}
        if cell.dependency == "carrier's REST":
            rest = await stack.enter_async_context(FakeTwilioRest(ACCOUNT, TOKEN))
            environment |= {"BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT, "BRIDGE_TWILIO__API_URL": rest.url}
            agent.transfer |= {"summary": "Somebody with a broken bike."}
        parts: dict[str, Any] = {
            "disk": disk,
            "lock": Lock(kept / "calls.db") if cell.dependency == "database" else None,
            "bus": bus,
            "rest": rest,
            "spare": spare,
        }
        cold = _Cold(cell, speech, agent, **parts)
        if cell.state == COLD:
            await cold.fail()
        up = await stack.enter_async_context(running(load_settings(environment=environment, files=())))
        if cell.state == BEFORE:
            await warm(up)
        if cell.dependency == "stream":
            port = urlsplit(up.url).port or 0
            network = await stack.enter_async_context(Network(port, b"/twilio/media").running())
        events: list[CallEvent] = []
        line = Line(
            up.url,
            TOKEN,
            account_sid=ACCOUNT,
            caller=CALLER,
            called=OURS,
            parties={DESK: Party("busy", after_s=1.0)},
            report_status=True,
        )
        if network is not None:
            line = replace(line, url=network.url, public_url=up.url)
        if rest is not None:
            rest.line = line
        call = SimulatedCall(line, on_event=events.append, exchange=None if rest is None else rest.exchange)
        there = Stage(cell, kept, speech, agent, up, call, events, network=network, **parts)
        there.broken_at = cold.broken_at
        stack.push_async_callback(there.mend)
        yield there


class _Cold(Stage):
    """What fails before there is a bridge."""

    def __init__(self, cell: Cell, speech: FaultySpeech, agent: FaultyAgent, **parts: Any) -> None:
        self.cell, self.speech, self.agent = cell, speech, agent
        self.broken_at = None
        for name, part in parts.items():
            setattr(self, name, part)


async def warm(up: Bridge) -> None:
    """Wait until the bridge's own sentences are spoken and kept."""
    async with asyncio.timeout(10):
        for synthesizer in up.profiles._synthesizers.all:
            while getattr(synthesizer, "missing", 0):  # noqa: ASYNC110  Nobody is told.
                await asyncio.sleep(0.02)
