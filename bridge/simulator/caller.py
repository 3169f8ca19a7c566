"""A simulated phone call: acts as Twilio and as the caller, over real sockets, against any bridge."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import aiohttp

from bridge.audio import dtmf
from bridge.simulator.dialling import Dialler, Transfer
from bridge.simulator.exchange import Exchange
from bridge.simulator.following import Beginning, Document, Ending, Follower, Outcome
from bridge.simulator.keypad import Keypad
from bridge.simulator.legs import Legs
from bridge.simulator.line import CallError, Line
from bridge.simulator.listening import Listener
from bridge.simulator.party import Party
from bridge.simulator.party_acting import play_party
from bridge.simulator.phone import Clearing, PassedMark, Phone, Stretch
from bridge.simulator.record import CallEvent, CallRecord, Problem
from bridge.simulator.rooms import Member, Room
from bridge.simulator.sound import LineSound
from bridge.simulator.stream import CallStream, StreamEnd
from bridge.simulator.verbs import Stream
from bridge.simulator.voice import CallerVoice, Utterance
from bridge.simulator.waiting import any_of
from bridge.simulator.webhooks import Webhooks
from bridge.tasks import spawn

__all__ = ["CallError", "CallEvent", "Line", "Party", "Problem", "SimulatedCall", "Transfer"]

_LOOK_S: Final = 0.02
_FLASH_S: Final = 0.5
"""What a `w` among digits waits."""


class SimulatedCall:
    """One call. Use it as an async context manager, or `place` it and hang up yourself.

    All times it takes and gives are call times: seconds since the first media stream or other verb that takes time
    began. While nothing listens (between two streams of one call, say) the caller is patient: what is said waits.
    """

    def __init__(
        self,
        line: Line,
        *,
        session: aiohttp.ClientSession | None = None,
        on_event: Callable[[CallEvent], None] | None = None,
        exchange: Exchange | None = None,
        parent_sid: str = "",
    ) -> None:
        """`session` is shared by many calls (its connector must allow that many connections); None opens an own.

        Calls of one `exchange` can meet in conferences. `parent_sid` is the leg that dialled this one.
        """
        self.line = line
        self.call_sid = f"CA{uuid.uuid4().hex}"
        self.exchange = exchange or Exchange()
        self.parent_sid = parent_sid
        self.ending: Ending | None = None
        """How the call ended; None while it goes on."""
        self.status = "ringing" if line.direction == "inbound" else "queued"
        """As `CallStatus` tells it."""
        self.answered_by: str | None = None
        """The verdict of answering-machine detection, once there is one."""
        self.children: list[SimulatedCall] = []
        """Legs that a `<Dial>` of this one made."""
        self.pressed_s: tuple[float, float] | None = None
        """When the first and the last key were pressed of those that were pressed last."""
        self.cancelled = asyncio.Event()
        """Set when the leg must not ring any longer."""
        self.over = asyncio.Event()
        """Set when the leg has ended, or was never answered."""
        self.redirected = False
        """Whether REST has given it another document."""
        self._record = CallRecord(on_event)
        self._voice = CallerVoice()
        self._keypad = Keypad()
        self._sound = LineSound(self._voice, self._record, lambda: self.now, on_run=self._start_clock)
        self._session = session
        self._legs: Legs | None = None
        self._follower: Follower | None = None
        self._stream: CallStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._party: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self._error: CallError | None = None
        self._zero_s: float | None = None
        self._length_s: float | None = None
        self.exchange.calls[self.call_sid] = self

    # --- its life ---

    async def place(self) -> None:
        """Ask the bridge for TwiML and follow it; returns when the caller can do something, or the call is over.

        That is when a stream is open, or a verb is acted that takes time: `<Dial>`, `<Gather>`, `<Pause>`…
        Raises `CallError`, one clear line, if the bridge cannot be reached, refuses, or answers what no carrier
        could follow. Cancelling leaves the call going on: hang up.
        """
        task = self.begin(Beginning(self.line.origin + self.line.voice_path, status="ringing"))
        await any_of(self._answered, task=task)
        if self._error is not None and not self._answered.is_set():
            raise self._error

    def begin(self, beginning: Beginning) -> asyncio.Task[None]:
        """The leg has been answered, or is to be: follow its TwiML from here on. The task ends with the leg."""
        self.status = "in-progress"
        self._task = spawn(self._live(beginning), name="simulated_call")
        return self._task

    def answer(self, *, url: str = "", method: str = "POST", room: Room) -> asyncio.Task[None]:
        """A leg of a `<Dial>` has been answered: follow `url` if there is one, and then be in the room."""

        async def join() -> None:
            gone = asyncio.Event()
            self.legs.sound.enter(room, Member(self.call_sid, on_removed=gone.set))
            if self._follower is not None:
                await any_of(gone, self._follower.over_event)
            self.legs.sound.leave()

        return self.begin(Beginning(url, method, then=join))

    def enact(self, party: Party) -> None:
        """Let somebody do what the script says on this leg, beside everything else, until the leg is over."""
        self._party = spawn(play_party(self, party), name="simulated_party")

    async def discard(self) -> None:
        """The leg was never talked to: it is over."""
        self.ending = Ending("failed", self.status)
        await self.legs.close()
        await self.exchange.release()
        self._length_s = self.now
        self.over.set()

    @property
    def legs(self) -> Legs:
        """What belongs to this leg, made when it is first needed; `discard` it if the leg never begins."""
        if self._legs is None:
            session = self.exchange.acquire()
            webhooks = Webhooks(self.line, self._session or session)
            self._legs = Legs(
                self.line,
                self.call_sid,
                webhooks,
                self._voice,
                self._record,
                lambda: self.now,
                self._sound,
                self._keypad,
                self.exchange.recordings,
                self.parent_sid,
            )
        return self._legs

    async def hang_up(self) -> None:
        """The caller hangs up; returns when the call is over, at once if it is already."""
        await self._finish(Ending("caller_hung_up"))

    async def complete(self) -> None:
        """End the call as `Status=completed` by REST does; returns when it is over."""
        await self._finish(Ending("bridge_hung_up", "by REST"))

    def redirect(self, *, url: str = "", twiml: str = "", method: str = "POST") -> None:
        """Go on with another document, as `Url=` or `Twiml=` by REST does: the stream ends, the document runs.

        Raises `ProtocolError` if `twiml` is no TwiML, and `CallError` once the call is over.
        """
        self._check_live()
        if self._follower is not None:
            self._follower.redirect(url=url, twiml=twiml, method=method)
            self.redirected = True
        if self._stream is not None:
            self._stream.stop()

    def drop_stream(self) -> None:
        """Cut the stream's connection as a broken network does: no `stop`, no close. The TwiML goes on."""
        if self._stream is not None:
            self._stream.drop()

    async def ended(self) -> Outcome:
        """Wait until the call is over; says how it ended. Cancelling leaves the call going on."""
        if self._task is not None or self.line.direction != "inbound":
            await self.over.wait()
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
        """Press keys, 100 ms apart; `w` waits for half a second more. Raises `CallError` once the call is over.

        They go to the two-way stream or the `<Gather>` there is, or are heard by whoever the caller is connected
        with; else they wait for the next stream or `<Gather>`.
        """
        self._report("digits", keys)
        begin = self.now
        for key in keys:
            self.pressed_s = (begin, self.now)
            self._check_live()
            if key == "w":
                await self.pause(_FLASH_S)
                continue
            if self._stream is not None:
                self._stream.press(key)
            elif self._sound.in_room:
                self._voice.say(Utterance(dtmf.tones(key), f"key {key}"))
            else:
                self._keypad.press(key)
            await self.pause(0.1)

    async def connected(self) -> bool:
        """Wait until somebody hears this leg: a two-way stream, or another leg. False if it ends before."""
        await any_of(self._sound.connected, self.over)
        return self._sound.connected.is_set() and self.live

    async def asked_for_keys(self) -> bool:
        """Wait until keys are asked for, or the leg is connected with somebody. False if it ends before."""
        await any_of(self._sound.connected, self._keypad.asked, self.over)
        return self.live

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
        return self._task is not None and not self.over.is_set()

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
        """What the bridge did that Twilio would refuse, on this leg and on those it dialled."""
        return [*self._record.problems, *(problem for leg in self.children for problem in leg.problems)]

    @property
    def twiml(self) -> list[Document]:
        """Every document of the call, in order."""
        return [] if self._follower is None else self._follower.documents

    @property
    def transfers(self) -> list[Transfer]:
        """How each `<Dial>` of the call has gone; known once somebody is connected, or nobody can be reached."""
        return [] if self._follower is None else self._follower.transfers

    def recording(self) -> bytes:
        """A stereo WAV file (mu-law): left what the caller sent, right what the caller heard, at true times."""
        return self._record.recording(self.now)

    # --- inside ---

    async def _live(self, beginning: Beginning) -> None:
        begin = asyncio.get_running_loop().time()
        legs = self.legs
        self._follower = Follower(
            legs,
            stream=self._run_stream,
            answered=self._set_answered,
            dialler=lambda over: Dialler(legs, self.exchange, over, self._new_leg),
        )
        try:
            self.ending = await self._follower.run(beginning)
            if self.line.report_status and self.line.direction == "inbound":
                status = "busy" if self.outcome == "rejected" else "completed"
                await legs.tell_completed(status, asyncio.get_running_loop().time() - begin)
        except CallError as error:
            self._error = error
            self.ending = Ending("failed", error.message)
            self._record.problem(self.now, error.code, error.message)
        finally:
            self.status = "completed"
            if self._party is not None:
                self._party.cancel()
            await legs.close()
            await self.exchange.release()
            self._length_s = self.now
            self.over.set()
        self._record.tick(float("inf"))
        self._report("call_ended", f"{self.ending.outcome} {self.ending.detail}".strip())

    async def _run_stream(self, wanted: Stream, base: str) -> StreamEnd:
        legs = self.legs
        try:
            stream = await legs.open(wanted, base)
        except CallError as error:
            if not self._answered.is_set():
                raise
            self._record.problem(self.now, "31920", error.message)
            return "closed_by_bridge"
        self._stream = stream
        self._set_answered()
        stream.press(self._keypad.waiting())
        self._report("stream_started", stream.messages.stream_sid)
        if self._follower is not None and self._follower.over:  # hung up while the stream was being opened
            stream.stop()
        tell = spawn(
            legs.tell(wanted, stream.messages.stream_sid, "stream-started"), name="simulated_stream_status"
        )
        self._sound.streaming(begins=True)
        try:
            end = await stream.run()
        finally:
            self._stream = None
            self._sound.streaming(begins=False)
        self._report("stream_ended", end)
        await tell
        await legs.tell(wanted, stream.messages.stream_sid, "stream-stopped")
        return end

    def _set_answered(self) -> None:
        self._start_clock()
        self._answered.set()

    def _start_clock(self) -> None:
        if self._zero_s is None:
            self._zero_s = asyncio.get_running_loop().time()

    def _new_leg(self, line: Line) -> SimulatedCall:
        leg = SimulatedCall(line, session=self._session, exchange=self.exchange, parent_sid=self.call_sid)
        self.children.append(leg)
        return leg

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
