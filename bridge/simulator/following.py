"""Does what TwiML says, as a carrier: opens streams, asks action URLs, dials, pauses and hangs up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bridge.simulator.line import CallError, Line
from bridge.simulator.stream import StreamEnd
from bridge.simulator.twiml_reader import (
    Connect,
    Dial,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Start,
    Stream,
    UnknownVerb,
    Verb,
    read_twiml,
)
from bridge.simulator.webhooks import Webhooks

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


class Follower:
    """One call's way through its TwiML. `run` lasts as long as the call."""

    def __init__(
        self,
        line: Line,
        call_sid: str,
        webhooks: Webhooks,
        *,
        stream: Callable[[Stream, str], Awaitable[StreamEnd]],
        report: Callable[[str, str], None],
        problem: Callable[[str], None],
    ) -> None:
        """`stream` runs a media stream to its end, given the URL of its document; the others tell what happens."""
        self.documents: list[Document] = []
        self._line = line
        self._call_sid = call_sid
        self._webhooks = webhooks
        self._stream = stream
        self._report = report
        self._problem = problem
        self._over = asyncio.Event()
        self._ending: Ending | None = None
        self._redirect: Document | str | None = None
        self._transferred: str | None = None  # to whom, unless the caller came back

    @property
    def over(self) -> bool:
        """Whether the call has been ended or redirected from outside, so that no stream should go on."""
        return self._over.is_set()

    def finish(self, ending: Ending) -> None:
        """The call ends now, whatever its TwiML says; the stream is the caller's to stop."""
        self._ending = self._ending or ending
        self._over.set()

    def redirect(self, *, url: str = "", twiml: str = "") -> None:
        """Go on with another document. Raises `ProtocolError` if `twiml` is none."""
        self._redirect = url or Document("", twiml, tuple(read_twiml(twiml)))
        self._over.set()

    async def run(self) -> Ending:
        """Ask for the first document and follow it to the call's end. Raises `CallError`, one clear line."""
        url = self._line.origin + self._line.voice_path
        document = await self._ask(url, "POST", "ringing")
        while (then := await self._follow(document)) is not None:
            if len(self.documents) >= _MOST_DOCUMENTS:
                raise CallError(f"the call went through {_MOST_DOCUMENTS} TwiML documents", code="bridge_answer")
            document = then
        ending = self._ending or Ending("bridge_hung_up", "the TwiML has ended")
        if ending.outcome == "bridge_hung_up" and self._transferred is not None:
            return Ending("transferred", self._transferred)
        return ending

    async def _ask(self, url: str, method: str, status: str = "in-progress", **more: str) -> Document:
        form = self._line.form(self._call_sid, status, **more)
        text, verbs = await self._webhooks.ask(url, method, form)
        document = Document(url, text, tuple(verbs))
        self.documents.append(document)
        self._report("twiml", text)
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
        return await self._redirected() if self._redirect is not None and self._ending is None else None

    async def _redirected(self) -> Document:
        to, self._redirect = self._redirect, None
        self._over.clear()
        if isinstance(to, Document):
            self.documents.append(to)
            self._report("twiml", to.text)
            return to
        return await self._ask(to or "", "POST")

    async def _act(self, verb: Verb, base: str) -> Document | None:
        """Carry a verb out; a document it leads to is followed next."""
        match verb:
            case Connect():
                return await self._connect(verb, base)
            case Dial():
                return await self._dial(verb, base)
            case Redirect(url, method):
                return await self._ask(self._webhooks.absolute(url, base), method)
            case Pause(seconds):
                await self._pass(seconds)
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
            case Say(text):
                self._report("carrier_says", text)
            case Play(source, digits):
                self._report("carrier_plays", source or f"digits {digits}")
            case Start(stream):
                self._problem(f"<Start><Stream url={stream.url!r}> was passed over: two-way streams only")
            case UnknownVerb(name):
                self._problem(f"<{name}> was passed over: the simulator does not act it")

    async def _connect(self, verb: Connect, base: str) -> Document | None:
        self._transferred = None
        await self._stream(verb.stream, base)
        if self.over or not verb.action:
            return None
        return await self._ask(self._webhooks.absolute(verb.action, base), verb.method)

    async def _dial(self, verb: Dial, base: str) -> Document | None:
        targets, status = ", ".join(verb.targets), self._line.dial_status
        self._report("transfer", f"{targets} ({status})")
        self._transferred = targets if status == "completed" else None
        if not verb.action:
            return None
        return await self._ask(self._webhooks.absolute(verb.action, base), verb.method, DialCallStatus=status)

    async def _pass(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
