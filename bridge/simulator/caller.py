"""A simulated phone call: acts as Twilio and as the caller, over real sockets, against any bridge."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import aiohttp

from bridge.simulator.following import Document, Ending, Follower, Outcome
from bridge.simulator.legs import Legs
from bridge.simulator.line import CallError, Line
from bridge.simulator.listening import Listener
from bridge.simulator.phone import Clearing, PassedMark, Phone, Stretch
from bridge.simulator.record import CallEvent, CallRecord, Problem
from bridge.simulator.stream import CallStream, StreamEnd
from bridge.simulator.twiml_reader import Stream
from bridge.simulator.voice import CallerVoice, Utterance
from bridge.simulator.webhooks import Webhooks
from bridge.tasks import spawn

__all__ = ["CallError", "CallEvent", "Line", "Problem", "SimulatedCall"]

_LOOK_S: Final = 0.02
_FLASH_S: Final = 0.5
"""What a `w` among digits waits."""


class SimulatedCall:
    """One call. Use it as an async context manager, or `place` it and hang up yourself.

    All times it takes and gives are call times: seconds since the first media stream began. While no stream is open
    (between two streams of one call) the caller is patient: what is said waits for the next.
    """

    def __init__(
        self,
        line: Line,
        *,
        session: aiohttp.ClientSession | None = None,
        on_event: Callable[[CallEvent], None] | None = None,
    ) -> None:
        """`session` is shared by many calls (its connector must allow that many connections); None opens an own."""
        self.line = line
        self.call_sid = f"CA{uuid.uuid4().hex}"
        self.ending: Ending | None = None
        """How the call ended; None while it goes on."""
        self._record = CallRecord(on_event)
        self._voice = CallerVoice()
        self._shared_session = session
        self._follower: Follower | None = None
        self._stream: CallStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self._error: CallError | None = None
        self._zero_s: float | None = None
        self._length_s: float | None = None

    # --- its life ---

    async def place(self) -> None:
        """Ask the bridge for TwiML and follow it; returns when the first stream is open, or the call is over.

        Raises `CallError`, one clear line, if the bridge cannot be reached, refuses, or answers what no carrier
        could follow. Cancelling leaves the call going on: hang up.
        """
        session = self._shared_session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        webhooks = Webhooks(self.line, session)
        legs = Legs(self.line, self.call_sid, webhooks, self._voice, self._record, lambda: self.now)
        self._follower = Follower(
            self.line,
            self.call_sid,
            webhooks,
            stream=lambda wanted, base: self._run_stream(legs, wanted, base),
            report=self._report,
            problem=lambda text: self._record.problem(self.now, "not_acted", text),
        )
        self._task = spawn(self._live(self._follower, legs, session), name="simulated_call")
        answered = spawn(self._answered.wait(), name="simulated_call_answered")
        try:
            await asyncio.wait({self._task, answered}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answered.cancel()
        if self._error is not None and not self._answered.is_set():
            raise self._error

    async def hang_up(self) -> None:
        """The caller hangs up; returns when the call is over, at once if it is already."""
        await self._finish(Ending("caller_hung_up"))

    async def complete(self) -> None:
        """End the call as `Status=completed` by REST does; returns when it is over."""
        await self._finish(Ending("bridge_hung_up", "by REST"))

    def redirect(self, *, url: str = "", twiml: str = "") -> None:
        """Go on with another document, as `Url=` or `Twiml=` by REST does: the stream ends, the document runs.

        Raises `ProtocolError` if `twiml` is no TwiML, and `CallError` once the call is over.
        """
        self._check_live()
        if self._follower is not None:
            self._follower.redirect(url=url, twiml=twiml)
        if self._stream is not None:
            self._stream.stop()

    def drop_stream(self) -> None:
        """Cut the stream's connection as a broken network does: no `stop`, no close. The TwiML goes on."""
        if self._stream is not None:
            self._stream.drop()

    async def ended(self) -> Outcome:
        """Wait until the call is over; says how it ended. Cancelling leaves the call going on."""
        if self._task is not None:
            await asyncio.wait({self._task})
        return self.outcome or "failed"

    async def __aenter__(self) -> Self:
        await self.place()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    # --- what the caller does ---

    async def say(self, audio: bytes, at: float | None = None, *, label: str = "") -> Utterance:
        """Say mu-law audio behind what is being said, not before `at`. Returns when all was sent, with its times.

        `label` names it in reports. Cancelling says no more of it. Raises `CallError` (`call_over`) if the call
        ends before all was said.
        """
        task = self._check_live()
        said = asyncio.Event()
        utterance = Utterance(audio, label, at, on_said=said.set)
        self._voice.say(utterance)
        waiting = spawn(said.wait(), name="simulated_call_say")
        try:
            await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            self._voice.drop(utterance)
        if not said.is_set():
            raise CallError("the call ended before all was said", code="call_over")
        self._report("caller_said", label)
        return utterance

    async def pause(self, seconds: float) -> None:
        """Say nothing for so long. Returns early, without an error, when the call ends."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)

    async def digits(self, keys: str) -> None:
        """Press keys, 100 ms apart; `w` waits for half a second more. Raises `CallError` once the call is over."""
        self._report("digits", keys)
        for key in keys:
            self._check_live()
            if key == "w":
                await self.pause(_FLASH_S)
            elif self._stream is not None:
                self._stream.press(key)
                await self.pause(0.1)

    # --- waiting for the agent: 20 ms of patience a look, which is a frame ---

    async def wait_agent_speaking(self, timeout_s: float, *, after: float | None = None) -> float | None:
        """Wait until the agent is heard; gives the time at which that began, None if it did not in `timeout_s`.

        With `after`, talk that began before does not count; without, talk that is under way does.
        """
        begin = self.now

        def began(now: float) -> float | None:
            if after is not None:
                return self.agent.first_after(after)
            talking = self.agent.spurts[-1].start_s if self.agent.talking(now) else None
            return talking if talking is not None else self.agent.first_after(begin)

        await self._until(lambda now: began(now) is not None, timeout_s)
        return began(self.now)

    async def wait_until_agent_silent(self, silence_s: float, timeout_s: float) -> bool:
        """Wait until nothing was heard of the agent for `silence_s`; False if that did not come in `timeout_s`.

        If nothing was heard of it in the whole call, the silence counts from now.
        """
        begin = self.now
        return await self._until(lambda now: min(self.agent.quiet_for(now), now - begin) >= silence_s, timeout_s)

    async def wait_for_agent(self, timeout_s: float, *, silence_s: float = 1.2, after: float | None = None) -> bool:
        """Wait until the agent has said something after `after` (None: now), and was then silent for `silence_s`.

        False if that did not come in `timeout_s`, or before the end of the call.
        """
        begin = self.now if after is None else after

        return await self._until(
            lambda now: self.agent.heard_after(begin) and self.agent.quiet_for(now) >= silence_s, timeout_s
        )

    # --- what there is to see ---

    @property
    def now(self) -> float:
        """Call time; 0 before the first stream, and standing still once the call is over."""
        if self._zero_s is None or self._length_s is not None:
            return self._length_s or 0.0
        return asyncio.get_running_loop().time() - self._zero_s

    @property
    def live(self) -> bool:
        """Whether the call goes on."""
        return self._task is not None and not self._task.done()

    @property
    def outcome(self) -> Outcome | None:
        """How the call ended; None while it goes on."""
        return None if self.ending is None else self.ending.outcome

    @property
    def agent(self) -> Listener:
        """Hears when the agent talks."""
        return self._record.agent

    @property
    def heard(self) -> list[Stretch]:
        """What the caller has heard."""
        return self._record.heard(self.now)

    @property
    def sent(self) -> list[Stretch]:
        """What the caller's side has sent, silence included."""
        return self._record.sent

    @property
    def said(self) -> list[Utterance]:
        """What the caller has said or begun to say."""
        return self._voice.said

    @property
    def marks(self) -> list[PassedMark]:
        """Marks that have gone back to the bridge."""
        return self._record.marks

    @property
    def clears(self) -> list[Clearing]:
        """Every clear that took effect."""
        return self._record.clears

    @property
    def phones(self) -> list[Phone]:
        """The playback of each stream of the call."""
        return self._record.phones

    @property
    def problems(self) -> list[Problem]:
        """What the bridge did that Twilio would refuse."""
        return self._record.problems

    @property
    def twiml(self) -> list[Document]:
        """Every document of the call, in order."""
        return [] if self._follower is None else self._follower.documents

    def recording(self) -> bytes:
        """A stereo WAV file (mu-law): left what the caller sent, right what the caller heard, at true times."""
        return self._record.recording(self.now)

    # --- inside ---

    async def _live(self, follower: Follower, legs: Legs, session: aiohttp.ClientSession) -> None:
        begin = asyncio.get_running_loop().time()
        try:
            self.ending = await follower.run()
            if self.line.report_status:
                status = "busy" if self.outcome == "rejected" else "completed"
                await legs.tell_completed(status, asyncio.get_running_loop().time() - begin)
        except CallError as error:
            self._error = error
            self.ending = Ending("failed", error.message)
            self._record.problem(self.now, error.code, error.message)
        finally:
            if session is not self._shared_session:
                await session.close()
        self._length_s = self.now
        self._record.tick(float("inf"))
        self._report("call_ended", f"{self.ending.outcome} {self.ending.detail}".strip())

    async def _run_stream(self, legs: Legs, wanted: Stream, base: str) -> StreamEnd:
        try:
            stream = await legs.open(wanted, base)
        except CallError as error:
            if not self._answered.is_set():
                raise
            self._record.problem(self.now, "31920", error.message)
            return "closed_by_bridge"
        if self._zero_s is None:
            self._zero_s = asyncio.get_running_loop().time()
        self._stream = stream
        self._answered.set()
        self._report("stream_started", stream.messages.stream_sid)
        if self._follower is not None and self._follower.over:  # hung up while the stream was being opened
            stream.stop()
        tell = spawn(
            legs.tell(wanted, stream.messages.stream_sid, "stream-started"), name="simulated_stream_status"
        )
        try:
            end = await stream.run()
        finally:
            self._stream = None
        self._report("stream_ended", end)
        await tell
        await legs.tell(wanted, stream.messages.stream_sid, "stream-stopped")
        return end

    async def _finish(self, ending: Ending) -> None:
        if self._task is None or self._follower is None or self._task.done():
            return
        self._follower.finish(ending)
        if self._stream is not None:
            self._stream.stop()
        await asyncio.wait({self._task})

    def _check_live(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            raise CallError("the call is over" if self._task else "the call was not placed", code="call_over")
        return self._task

    def _report(self, kind: str, detail: str = "") -> None:
        self._record.report(self.now, kind, detail)

    async def _until(self, check: Callable[[float], bool], timeout_s: float) -> bool:
        """Whether `check` of the call time came true before the time was up or the call over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while not check(self.now):
            if not self.live or loop.time() >= end:
                return False
            await asyncio.sleep(_LOOK_S)
        return True
