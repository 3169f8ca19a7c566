"""The way to the phone: order, overtaking, and streams that are dead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.call import carrier as module
from bridge.call.carrier import SILENT_S, STALLED_S, Carrier
from tests.call.peers import Clock, ScriptedSocket, settle


@pytest.fixture
async def socket() -> ScriptedSocket:
    return ScriptedSocket()


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def carrier(socket: ScriptedSocket) -> AsyncIterator[Carrier]:
    stream = Carrier(socket, "MZ1", socket.abort)
    yield stream
    stream.abandon()


def messages(socket: ScriptedSocket) -> list[Any]:
    return [json.loads(text) for text in socket.sent]


def kinds(socket: ScriptedSocket) -> list[str]:
    return [message["event"] for message in messages(socket)]


class Deaths:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


class TestWriting:
    async def test_there_is_a_task_only_while_something_waits(
        self, carrier: Carrier, socket: ScriptedSocket
    ) -> None:
        idle = len(asyncio.all_tasks())
        for name in ("m1", "m2"):
            carrier.send_mark(name)
            assert len(asyncio.all_tasks()) == idle + 1
            await settle()
            assert len(asyncio.all_tasks()) == idle
        assert kinds(socket) == ["mark", "mark"]

    async def test_audio_marks_and_clears_go_out_in_their_order(
        self, carrier: Carrier, socket: ScriptedSocket
    ) -> None:
        carrier.send_audio(b"\x01\x02\x03")
        carrier.send_mark("m1")
        await settle()
        carrier.clear()
        carrier.send_audio(b"\x04\x05\x06")
        await settle()
        assert messages(socket) == [
            {"event": "media", "streamSid": "MZ1", "media": {"payload": "AQID"}},
            {"event": "mark", "streamSid": "MZ1", "mark": {"name": "m1"}},
            {"event": "clear", "streamSid": "MZ1"},
            {"event": "media", "streamSid": "MZ1", "media": {"payload": "BAUG"}},
        ]

    async def test_a_clear_overtakes_what_a_slow_peer_has_not_taken(
        self, carrier: Carrier, socket: ScriptedSocket
    ) -> None:
        socket.reads.clear()
        carrier.send_mark("on its way")
        await settle()
        carrier.send_audio(b"\x01" * 800)
        carrier.send_mark("behind")
        carrier.clear()
        socket.reads.set()
        await settle()
        assert kinds(socket) == ["mark", "clear"]

    async def test_closing_waits_for_what_is_queued(self, carrier: Carrier, socket: ScriptedSocket) -> None:
        socket.reads.clear()
        carrier.send_mark("last")
        carrier.close()
        await settle()
        assert not socket.closed.is_set()
        socket.reads.set()
        await settle()
        assert kinds(socket) == ["mark"]
        assert socket.closed.is_set()

    async def test_an_idle_stream_is_closed_at_once(self, carrier: Carrier, socket: ScriptedSocket) -> None:
        await settle()
        carrier.close()
        await settle()
        assert socket.closed.is_set()

    async def test_what_is_abandoned_sends_nothing_more(self, carrier: Carrier, socket: ScriptedSocket) -> None:
        socket.reads.clear()
        carrier.send_mark("on its way")
        await settle()
        carrier.send_mark("queued")
        carrier.abandon()
        socket.reads.set()
        carrier.send_mark("late")
        carrier.clear()
        await settle()
        assert socket.sent == []
        assert (carrier._queued, len(carrier._queue)) == (0, 0)
        assert not socket.closed.is_set()
        assert socket.cut == 0

    @pytest.mark.parametrize("error", [ConnectionResetError(), RuntimeError("closed")])
    async def test_a_peer_that_has_gone_is_no_failure(
        self, carrier: Carrier, socket: ScriptedSocket, error: Exception
    ) -> None:
        socket.broken = error
        with capture_logs() as logs:
            carrier.send_mark("one")
            carrier.send_mark("two")
            await settle()
            carrier.send_mark("three")
        assert logs == []
        assert len(carrier._queue) == 0


class TestDeadStreams:
    async def test_one_that_brings_no_audio_for_a_minute_is_cut(
        self, carrier: Carrier, socket: ScriptedSocket, clock: Clock
    ) -> None:
        deaths = Deaths()
        carrier.watch(deaths)
        await clock.forward(SILENT_S - 5)
        assert (deaths.count, socket.cut) == (0, 0)
        with capture_logs() as logs:
            await clock.forward(7)
        assert (deaths.count, socket.cut) == (1, 1)
        assert [(line["event"], line["reason"]) for line in logs] == [("stream_dead", "silent")]
        await clock.forward(2 * SILENT_S)
        assert deaths.count == 1

    async def test_a_frame_now_and_then_keeps_it_alive(
        self, carrier: Carrier, socket: ScriptedSocket, clock: Clock
    ) -> None:
        deaths = Deaths()
        carrier.watch(deaths)
        for _ in range(5):
            await clock.forward(SILENT_S - 15)
            carrier.heard()
        assert deaths.count == 0
        await clock.forward(SILENT_S + 15)
        assert deaths.count == 1

    async def test_silence_counts_from_when_it_is_watched(self, carrier: Carrier, clock: Clock) -> None:
        await clock.forward(SILENT_S)
        deaths = Deaths()
        carrier.watch(deaths)
        await clock.forward(SILENT_S - 5)
        assert deaths.count == 0

    async def test_one_that_takes_nothing_is_cut(
        self, carrier: Carrier, socket: ScriptedSocket, clock: Clock
    ) -> None:
        deaths = Deaths()
        carrier.watch(deaths)
        socket.reads.clear()
        carrier.send_mark("stuck")
        for _ in range(int(STALLED_S) - 2):
            await clock.forward(1)
            carrier.heard()
        assert (deaths.count, socket.cut) == (0, 0)
        with capture_logs() as logs:
            for _ in range(13):
                await clock.forward(1)
                carrier.heard()
        assert (deaths.count, socket.cut) == (1, 1)
        assert [line["reason"] for line in logs] == ["stalled"]

    async def test_each_message_has_the_whole_time(
        self, carrier: Carrier, socket: ScriptedSocket, clock: Clock
    ) -> None:
        deaths = Deaths()
        carrier.watch(deaths)
        for _ in range(4):
            socket.reads.clear()
            carrier.send_mark("slow")
            await clock.forward(STALLED_S - 12)
            carrier.heard()
            socket.reads.set()
            await settle()
        assert deaths.count == 0
        await clock.forward(STALLED_S + 10)
        assert deaths.count == 0, "nothing is being sent"

    async def test_one_that_cannot_be_closed_is_cut(
        self, carrier: Carrier, socket: ScriptedSocket, clock: Clock
    ) -> None:
        deaths = Deaths()
        carrier.watch(deaths)
        socket.reads.clear()
        carrier.close()
        await clock.forward(STALLED_S + 11)
        assert (deaths.count, socket.cut) == (1, 1)

    async def test_more_than_a_stream_can_owe_is_not_kept(
        self, carrier: Carrier, socket: ScriptedSocket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_MAX_QUEUED_CHARACTERS", 2000)
        deaths = Deaths()
        carrier.watch(deaths)
        socket.reads.clear()
        for _ in range(9):  # A message of 150 bytes of sound has about 250 characters.
            await settle()
            carrier.send_audio(b"\x01" * 150)
            carrier.clear()
        assert deaths.count == 0, "what was cleared is not owed"
        for _ in range(9):
            carrier.send_audio(b"\x01" * 150)
        assert (deaths.count, socket.cut) == (1, 1)
        assert len(carrier._queue) == 0

    async def test_what_was_sent_is_not_owed(
        self, carrier: Carrier, socket: ScriptedSocket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_MAX_QUEUED_CHARACTERS", 2000)
        deaths = Deaths()
        carrier.watch(deaths)
        for _ in range(30):
            carrier.send_audio(b"\x01" * 150)
            await settle()
        assert deaths.count == 0
        assert len(socket.sent) == 30

    async def test_an_abandoned_one_is_not_looked_at(
        self, carrier: Carrier, socket: ScriptedSocket, clock: Clock
    ) -> None:
        deaths = Deaths()
        carrier.watch(deaths)
        carrier.abandon()
        await clock.forward(2 * SILENT_S)
        assert (deaths.count, socket.cut) == (0, 0)
