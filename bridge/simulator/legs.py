"""Opens the media streams of a simulated call and makes their status callbacks."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.simulator.line import CallError, Line
from bridge.simulator.phone import Phone
from bridge.simulator.record import CallRecord
from bridge.simulator.stream import CallStream, StreamObserver
from bridge.simulator.twiml_reader import Stream
from bridge.simulator.voice import CallerVoice
from bridge.simulator.webhooks import Webhooks
from bridge.twilio.media_stream import CarrierStream


@dataclass(frozen=True, slots=True)
class Legs:
    """What every stream of one call needs."""

    line: Line
    call_sid: str
    webhooks: Webhooks
    voice: CallerVoice
    record: CallRecord
    clock: Callable[[], float]
    """Call time."""

    async def open(self, wanted: Stream, base: str) -> CallStream:
        """Connect a stream and send its first messages. Raises `CallError`, after the `stream-error` callback."""
        stream_sid = f"MZ{uuid.uuid4().hex}"
        try:
            socket = await self.webhooks.upgrade(self.webhooks.absolute(wanted.url, base))
        except CallError as error:
            await self.tell(wanted, stream_sid, "stream-error", StreamError=error.message)
            raise
        phone = Phone(self.line.phone, on_sound=self.record.agent.feed, on_cut=self.record.agent.cut)
        messages = CarrierStream(stream_sid=stream_sid, call_sid=self.call_sid, account_sid=self.line.account_sid)
        stream = CallStream(
            socket, messages, phone=phone, voice=self.voice, clock=self.clock, observer=self._observer()
        )
        self.record.phones.append(phone)
        await stream.start(dict(wanted.parameters))
        return stream

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
        await self._callback(wanted.status_callback, wanted.status_callback_method, [*fields.items()])

    async def tell_completed(self, status: str, seconds: float) -> None:
        """Make the call's own status callback ("Voice: status callback")."""
        form = self.line.form(
            self.call_sid,
            status,
            CallDuration=str(round(seconds)),
            Timestamp=f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S +0000}",
            CallbackSource="call-progress-events",
            SequenceNumber="0",
        )
        await self._callback(self.line.origin + self.line.status_path, "POST", form)

    async def _callback(self, url: str, method: str, form: list[tuple[str, str]]) -> None:
        if (wrong := await self.webhooks.tell(url, method, form)) is not None:
            self.record.problem(self.clock(), "status_callback", wrong)

    def _observer(self) -> StreamObserver:
        record, clock = self.record, self.clock
        return StreamObserver(
            sent=record.add_sent,
            mark=lambda mark: record.mark_returned(clock(), mark),
            clear=lambda: record.report(clock(), "clear"),
            problem=lambda code, text: record.problem(clock(), code, text),
            tick=record.tick,
        )
