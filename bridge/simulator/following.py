"""Does what TwiML says, as a carrier: opens streams, asks action URLs, dials, gathers, pauses and hangs up."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar

from bridge.simulator.dialling import Dialler, Transfer
from bridge.simulator.gathering import Taking, gather
from bridge.simulator.legs import Legs
from bridge.simulator.line import CallError
from bridge.simulator.stream import StreamEnd
from bridge.simulator.twiml_reader import read_twiml
from bridge.simulator.verbs import (
    Connect,
    Dial,
    Gather,
    Hangup,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    Start,
    Stop,
    Stream,
    UnknownVerb,
    Verb,
)
from bridge.simulator.waiting import any_of
from bridge.tasks import spawn

T = TypeVar("T")
Outcome: TypeAlias = Literal["caller_hung_up", "bridge_hung_up", "transferred", "rejected", "failed"]
_MOST_DOCUMENTS: Final = 50
"""A call that runs through more is going round in circles."""


@dataclass(frozen=True, slots=True)
class Document:
    """A TwiML document of the call, in the order they were followed."""

    url: str
    """Where it came from; empty for one that came by REST."""
    text: str
    verbs: tuple[Verb, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended."""

    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a leg's TwiML comes from."""

    url: str = ""
    """Absolute."""
    method: str = "POST"
    status: str = "in-progress"
    """`CallStatus` of that request."""
    fields: dict[str, str] = field(default_factory=dict)
    """What else it tells, such as `AnsweredBy`."""
    twiml: str = ""
    """The document itself, where there is no `url`."""
    then: Callable[[], Awaitable[None]] | None = None
    """What comes behind the last verb."""


class Follower:
    """One leg's way through its TwiML. `run` lasts as long as the leg."""

    def __init__(
        self,
        legs: Legs,
        *,
        stream: Callable[[Stream, str], Awaitable[StreamEnd]],
        answered: Callable[[], None],
        dialler: Callable[[asyncio.Event], Dialler],
    ) -> None:
        """`stream` runs a two-way media stream to its end, given the URL of its document.

        `answered` is told when a verb has begun that lets the caller do something; `dialler` makes what carries
        `<Dial>` out, given the event that a leg is over or redirected.
        """
        self.documents: list[Document] = []
        self.transfers: list[Transfer] = []
        self._line = legs.line
        self._legs = legs
        self._stream = stream
        self._answered = answered
        self._over = asyncio.Event()
        self._dialler = dialler(self._over)
        self._ending: Ending | None = None
        self._redirect: Document | tuple[str, str] | None = None
        self._transferred: str | None = None  # to whom, unless the caller came back

    @property
    def over(self) -> bool:
        """Whether the call has been ended or redirected from outside, so that no stream should go on."""
        return self._over.is_set()

    @property
    def over_event(self) -> asyncio.Event:
        """Set when that happens."""
        return self._over

    def finish(self, ending: Ending) -> None:
        """The call ends now, whatever its TwiML says; the stream is the caller's to stop."""
        self._ending = self._ending or ending
        self._over.set()

    def redirect(self, *, url: str = "", twiml: str = "", method: str = "POST") -> None:
        """Go on with another document. Raises `ProtocolError` if `twiml` is none."""
        self._redirect = (url, method) if url else Document("", twiml, tuple(read_twiml(twiml)))
        self._over.set()

    async def run(self, begin: Beginning) -> Ending:
        """Ask for the first document and follow it to the call's end. Raises `CallError`, one clear line."""
        document: Document | None = None
        if begin.url:
            document = await self._ask(begin.url, begin.method, begin.status, **begin.fields)
        elif begin.twiml:
            document = self._take(begin.twiml)
        then = begin.then
        while True:
            following = await self._follow(document) if document is not None else None
            if following is None and then is not None and self._ending is None and not self.over:
                await then()
                then = None
                following = await self._after()
            if following is None:
                break
            if len(self.documents) >= _MOST_DOCUMENTS:
                raise CallError(f"the call went through {_MOST_DOCUMENTS} TwiML documents", code="bridge_answer")
            document = following
        ending = self._ending or Ending("bridge_hung_up", "the TwiML has ended")
        if ending.outcome == "bridge_hung_up" and self._transferred is not None:
            return Ending("transferred", self._transferred)
        return ending

    # --- documents ---

    async def _ask(self, url: str, method: str, status: str = "in-progress", **more: str) -> Document:
        text, verbs = await self._legs.webhooks.ask(url, method, self._legs.form(status, **more))
        return self._followed(Document(url, text, tuple(verbs)))

    async def _ask_action(self, action: str, base: str, method: str, **more: str) -> Document:
        """Ask what comes next: the verb's own address or, without one, that of its document."""
        url = self._legs.webhooks.absolute(action, base) if action else base
        document = await self._ask(url, method, **more)
        if self._line.repeat_requests:  # as after an answer that was lost; this one is not followed
            await self._legs.webhooks.tell(url, method, self._legs.form("in-progress", **more))
        return document

    def _take(self, twiml: str) -> Document:
        return self._followed(Document("", twiml, tuple(read_twiml(twiml))))

    def _followed(self, document: Document) -> Document:
        self.documents.append(document)
        self._report("twiml", document.text)
        return document

    async def _follow(self, document: Document) -> Document | None:
        for verb in document.verbs:
            if self.over:
                break
            then = await self._act(verb, document.url)
            if then is not None:
                return then
            if self._ending is not None:
                return None
        return await self._after()

    async def _after(self) -> Document | None:
        """What REST wants to go on with."""
        to, self._redirect = self._redirect, None
        if to is None or self._ending is not None:
            return None
        self._over.clear()
        return self._followed(to) if isinstance(to, Document) else await self._ask(*to)

    # --- verbs ---

    async def _act(self, verb: Verb, base: str) -> Document | None:
        """Carry a verb out; a document it leads to is followed next."""
        match verb:
            case Connect():
                return await self._connect(verb, base)
            case Dial():
                return await self._dial(verb, base)
            case Gather():
                return await self._gather(verb, base)
            case Record():
                return await self._record(verb, base)
            case Redirect(url, method):
                return await self._ask(self._legs.webhooks.absolute(url, base), method)
            case Start(stream):
                if await self._legs.listen(stream, base) is not None:
                    self._answered()
            case Stop(name):
                await self._stop(name)
            case Say() | Play() | Pause():
                await self._sound(verb)
            case _:
                self._do(verb)
        return None

    def _do(self, verb: Verb) -> None:
        """The verbs that take no time here."""
        match verb:
            case Hangup():
                self._ending = Ending("bridge_hung_up", "<Hangup/>")
            case Reject(reason):
                self._ending = Ending("rejected", reason)
            case UnknownVerb(name):
                self._problem(f"<{name}> was passed over: the simulator does not act it")
            case _:
                raise AssertionError(verb)

    async def _sound(self, verb: Say | Play | Pause) -> None:
        match verb:
            case Say(text):
                self._report("carrier_says", text)
            case Play(source, ""):
                self._report("carrier_plays", source)
            case Play(_, digits):
                self._report("carrier_plays", f"digits {digits}")
                self._answered()
                played = asyncio.Event()
                playing = self._legs.sound.play_tones(digits, played.set)
                try:
                    await any_of(played, self._over)
                finally:
                    self._legs.sound.silence(playing)
            case Pause(seconds):
                if seconds:
                    self._answered()
                await any_of(self._over, timeout_s=seconds)

    async def _stop(self, name: str) -> None:
        tap = self._legs.tap(name)
        if tap is None:
            self._problem(f"<Stop><Stream name={name!r}>: no stream of that name is listening")
        else:
            await self._legs.stop_listening(tap)

    async def _connect(self, verb: Connect, base: str) -> Document | None:
        self._transferred = None
        await self._stream(verb.stream, base)
        if self.over or not verb.action:
            return None
        return await self._ask_action(verb.action, base, verb.method)

    async def _dial(self, verb: Dial, base: str) -> Document | None:
        self._answered()
        result = await self._dialler.dial(verb, base, self._connected)
        if not result.bridged:
            self._report("transfer", f"{result.to} ({result.status})")
            self.transfers.append(result)
        else:  # which has been known since the two were connected
            self.transfers[-1] = result
        self._transferred = result.to if result.bridged else None
        if self.over or not verb.action:
            return None
        return await self._ask_action(verb.action, base, verb.method, **result.form)

    def _connected(self, transfer: Transfer) -> None:
        self.transfers.append(transfer)
        self._report("transfer", f"{transfer.to} ({transfer.status})")

    async def _gather(self, verb: Gather, base: str) -> Document | None:
        if "dtmf" not in verb.input.split():
            self._problem(f"<Gather input={verb.input!r}>: the simulator gathers keys only")
        self._answered()
        self._report("gather")

        async def nested() -> None:
            for one in verb.nested:
                await self._sound(one)

        digits = await self._while_live(gather(verb, self._legs, nested()))
        if digits is None:
            return None
        self._report("gathered", digits)
        if not digits and not verb.action_on_empty_result:
            return None
        return await self._ask_action(verb.action, base, verb.method, Digits=digits)

    async def _record(self, verb: Record, base: str) -> Document | None:
        self._answered()
        taking = Taking(verb, self._legs)
        await self._while_live(taking.run())
        hung_up = self._ending is not None and self._ending.outcome == "caller_hung_up"
        if not taking.seconds or (self.over and not hung_up):
            return None  # nothing was said: the next verb
        self._report("recorded", f"{taking.seconds:.1f} s")
        sid = f"RE{uuid.uuid4().hex}"
        fields = {
            "RecordingSid": sid,
            "RecordingUrl": self._legs.recordings.keep(self._line.account_sid, sid, taking.audio),
            "RecordingDuration": str(max(1, round(taking.seconds))),
        }
        url = self._legs.webhooks.absolute(verb.action, base) if verb.action else base
        if hung_up:
            form = self._legs.form("completed", **fields, Digits="hangup")
            await self._legs.webhooks.tell(url, verb.method, form)
            await self._tell_recorded(verb, base, fields)
            return None
        document = await self._ask_action(verb.action, base, verb.method, **fields, Digits=taking.key)
        await self._tell_recorded(verb, base, fields)
        return document

    async def _tell_recorded(self, verb: Record, base: str, fields: dict[str, str]) -> None:
        """Tell that a recording can be fetched ("Recording: callback fields")."""
        if not verb.status_callback:
            return
        form = {
            "AccountSid": self._line.account_sid,
            "CallSid": self._legs.call_sid,
            **fields,
            "RecordingStatus": "completed",
            "RecordingChannels": "1",
            "RecordingSource": "RecordVerb",
            "RecordingTrack": "inbound",
        }
        url = self._legs.webhooks.absolute(verb.status_callback, base)
        await self._legs.callback(url, verb.status_callback_method, [*form.items()])

    async def _while_live(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Its result; None, and it is cancelled, if the leg ends or is redirected before."""
        task = spawn(work, name="simulated_verb")
        try:
            await any_of(self._over, task=task)
            return None if self.over else task.result()
        finally:
            task.cancel()
            await asyncio.wait({task})

    def _report(self, kind: str, detail: str = "") -> None:
        self._legs.record.report(self._legs.clock(), kind, detail)

    def _problem(self, text: str) -> None:
        self._legs.record.problem(self._legs.clock(), "not_acted", text)
