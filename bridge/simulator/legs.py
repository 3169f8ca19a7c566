"""What belongs to one leg of a simulated call, and how its media streams are opened and reported."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import aiohttp

from bridge.simulator.keypad import Keypad
from bridge.simulator.line import CallError, Line
from bridge.simulator.phone import Phone
from bridge.simulator.record import CallRecord
from bridge.simulator.recordings import Recordings
from bridge.simulator.sound import LineSound
from bridge.simulator.stream import CallStream, StreamObserver
from bridge.simulator.tap import Tap
from bridge.simulator.verbs import TRACKS, Stream
from bridge.simulator.voice import CallerVoice
from bridge.simulator.webhooks import Webhooks
from bridge.tasks import spawn
from bridge.twilio.media_stream import CarrierStream

_MOST_TRACKS: Final = 4
_STOP_S: Final = 4.0


def rfc2822_now() -> str:
    """The time as call status callbacks have it."""
    return f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S +0000}"


@dataclass(frozen=True, slots=True)
class Legs:
    """One leg: what its verbs and streams need."""

    line: Line
    call_sid: str
    webhooks: Webhooks
    voice: CallerVoice
    record: CallRecord
    clock: Callable[[], float]
    """Call time."""
    sound: LineSound
    keypad: Keypad
    recordings: Recordings
    parent_sid: str = ""
    """Of a leg that a `<Dial>` made."""
    taps: dict[str, tuple[Tap, asyncio.Task[None]]] = field(default_factory=dict)
    """Streams that only listen, by their SID."""
    callbacks: set[asyncio.Task[None]] = field(default_factory=set)
    """Status callbacks that are still to be made."""

    # --- two-way streams ---

    async def open(self, wanted: Stream, base: str) -> CallStream:
        """Connect a stream and send its first messages. Raises `CallError`, after the `stream-error` callback."""
        socket, messages = await self._connect(wanted, base, ("inbound",))
        phone = Phone(self.line.phone, on_sound=self.sound.stream_sounded, on_cut=self.record.agent.cut)
        stream = CallStream(
            socket, messages, phone=phone, voice=self.voice, clock=self.clock, observer=self._observer()
        )
        self.record.phones.append(phone)
        await stream.start(dict(wanted.parameters))
        return stream

    # --- streams that only listen ---

    async def listen(self, wanted: Stream, base: str) -> Tap | None:
        """Start a stream that only listens, and go on; None, with the problem noted, if that cannot be."""
        tracks = TRACKS[wanted.track]
        in_use = sum(len(TRACKS[tap.wanted.track]) for tap, _ in self.taps.values())
        if in_use + len(tracks) > _MOST_TRACKS:
            self.record.problem(self.clock(), "tracks", f"more than {_MOST_TRACKS} tracks of a call are streamed")
            return None
        try:
            socket, messages = await self._connect(wanted, base, tracks)
        except CallError as error:
            self.record.problem(self.clock(), "31920", error.message)
            return None
        tap = Tap(socket, messages, wanted, self.record)
        self.sound.run()
        self.sound.taps.append(tap)
        self.taps[tap.stream_sid] = (tap, spawn(self._run_tap(tap), name="simulated_tap"))
        self.record.report(self.clock(), "listening_started", tap.name)
        return tap

    def tap(self, name: str) -> Tap | None:
        """The stream that only listens, by its name or SID."""
        return next((tap for tap, _ in self.taps.values() if name in {tap.name, tap.stream_sid}), None)

    async def stop_listening(self, tap: Tap) -> None:
        """End it as a carrier does; returns when it is over."""
        if tap.stream_sid not in self.taps:
            return
        _, task = self.taps[tap.stream_sid]
        if tap in self.sound.taps:
            self.sound.taps.remove(tap)
        tap.stop()
        await asyncio.wait({task}, timeout=_STOP_S)
        task.cancel()

    async def _run_tap(self, tap: Tap) -> None:
        await self.tell(tap.wanted, tap.stream_sid, "stream-started")
        try:
            await tap.run()
        finally:
            if tap in self.sound.taps:
                self.sound.taps.remove(tap)
            self.taps.pop(tap.stream_sid, None)
        self.record.report(self.clock(), "listening_ended", tap.name)
        await self.tell(tap.wanted, tap.stream_sid, "stream-stopped")

    # --- callbacks ---

    async def tell(self, wanted: Stream, stream_sid: str, event: str, **more: str) -> None:
        """Make a stream status callback, if the TwiML asks for them ("Media Streams: status callback")."""
        if not wanted.status_callback:
            return
        fields = {
            "AccountSid": self.line.account_sid,
            "CallSid": self.call_sid,
            "StreamSid": stream_sid,
            "StreamName": wanted.name or stream_sid,
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **more,
        }
        await self.callback(wanted.status_callback, wanted.status_callback_method, [*fields.items()])

    async def tell_completed(self, status: str, seconds: float) -> None:
        """Make the call's own status callback ("Voice: status callback")."""
        form = self.form(
            status,
            CallDuration=str(round(seconds)),
            Timestamp=rfc2822_now(),
            CallbackSource="call-progress-events",
            SequenceNumber="0",
        )
        await self.callback(self.line.origin + self.line.status_path, "POST", form)

    def form(self, status: str, **more: str) -> list[tuple[str, str]]:
        """The fields of every request about this leg."""
        parent = {"ParentCallSid": self.parent_sid} if self.parent_sid else {}
        return self.line.form(self.call_sid, status, **parent, **more)

    async def callback(self, url: str, method: str, form: list[tuple[str, str]]) -> None:
        """Make a status callback: now, or as late as the line has it, and then beside what goes on."""
        if not self.line.callback_delay_s:
            await self._call_back(url, method, form)
            return
        task = spawn(self._call_back(url, method, form), name="simulated_callback")
        self.callbacks.add(task)
        task.add_done_callback(self.callbacks.discard)

    async def _call_back(self, url: str, method: str, form: list[tuple[str, str]]) -> None:
        await asyncio.sleep(self.line.callback_delay_s)
        for _ in range(2 if self.line.repeat_requests else 1):
            if (wrong := await self.webhooks.tell(url, method, form)) is not None:
                self.record.problem(self.clock(), "status_callback", wrong)

    async def close(self) -> None:
        """The leg is over: end what listens, fall silent, and make the callbacks that are still to come."""
        await asyncio.gather(*(self.stop_listening(tap) for tap, _ in list(self.taps.values())))
        await self.sound.stop()
        await self.called_back()

    async def called_back(self) -> None:
        """Wait until the callbacks that are still to come were made."""
        while self.callbacks:
            await asyncio.wait(self.callbacks)

    # --- inside ---

    async def _connect(
        self, wanted: Stream, base: str, tracks: tuple[str, ...]
    ) -> tuple[aiohttp.ClientWebSocketResponse, CarrierStream]:
        stream_sid = f"MZ{uuid.uuid4().hex}"
        try:
            socket = await self.webhooks.upgrade(self.webhooks.absolute(wanted.url, base))
        except CallError as error:
            await self.tell(wanted, stream_sid, "stream-error", StreamError=error.message)
            raise
        messages = CarrierStream(
            stream_sid=stream_sid, call_sid=self.call_sid, account_sid=self.line.account_sid, tracks=tracks
        )
        return socket, messages

    def _observer(self) -> StreamObserver:
        record, clock = self.record, self.clock
        return StreamObserver(
            sent=self.sound.sent,
            mark=lambda mark: record.mark_returned(clock(), mark),
            clear=lambda: record.report(clock(), "clear"),
            problem=lambda code, text: record.problem(clock(), code, text),
            tick=record.tick,
        )
