"""The `relay` agent: an app written for Twilio's ConversationRelay, with the bridge in Twilio's place.

`wire` (the messages) → `talk` (what the app says, in order) → `connection` (the WebSocket) → here,
where questions become prompts and what the app says becomes answers. Such an app is not asked: it is told what the
caller does, and speaks when it likes. What comes within an answer's time is the answer; what comes later is
volunteered, by `want_floor`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

import structlog

from bridge.agents.base import CallInfo, Question
from bridge.agents.relay import wire
from bridge.agents.relay.connection import RelayAddress, RelaySocket, SocketLimits
from bridge.agents.relay.talk import QUIET_S, AppTalk, Manners, Piece
from bridge.conversation.actions import Action, HandOff, Play, Say
from bridge.errors import AgentError

SPEAKER_EVENTS = "speaker-events"
TOKENS_PLAYED = "tokens-played"
MALFORMED = "malformed"
"""What `on_refused` is told of a message that cannot be read."""

_KEPT_SESSIONS = 1000
"""Sessions whose end is remembered, for their hand-off webhook."""
_NO_CONNECTION, _LOST_CONNECTION, _ENDED = "64102", "39001", "64105"
"""Twilio's error codes for a session that failed."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How an app is treated: the attributes of `<ConversationRelay>`, and what the bridge needs besides."""

    account_sid: str = ""
    sign: Callable[[str], str] | None = None
    """Makes the value of `X-Twilio-Signature` for the URL that is dialled; None: the handshake is unsigned."""
    manners: Manners = field(default_factory=Manners)
    events: tuple[str, ...] = ()
    """Which `info` messages the app is sent: `speaker-events`, `tokens-played`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """`customParameters` of every call; those that came with a call go before them."""
    language: str = "en"
    """What prompts are labelled with until the app changes it."""
    limits: SocketLimits = field(default_factory=SocketLimits)
    allow_private: bool = True
    """Whether the app's address may lie in a private network or on this machine."""
    when_lost: tuple[Action, ...] = (HandOff(),)
    """What is done with the caller when the app is gone for good, behind the apology."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What became of a session, as its hand-off webhook is told it."""

    id: str
    """`VX` and 32 hexadecimal digits."""
    status: Literal["ended", "completed", "failed"]
    """`ended`: the app has ended it; `completed`: the call was over first; `failed`: the app is gone."""
    duration_s: int
    error_code: str = ""
    """Twilio's code for what failed."""
    error_message: str = ""


class RelayAgent:
    """Carries calls to one ConversationRelay app. Raises SettingsError for a URL that cannot work.

    `timeout_seconds` is how long the app may take for the first words of an answer; an app that says nothing until
    then, or at all, has nothing to say. `on_refused` is told `malformed` for each message that cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        on_refused: Callable[[str], None] | None = None,
        options: RelayOptions = RelayOptions(),
    ) -> None:
        self.address = RelayAddress(url, sign=options.sign, allow_private=options.allow_private)
        self._timeout_s = timeout_seconds
        self._on_refused = on_refused or (lambda _kind: None)
        self._options = options
        self._calls: dict[str, RelayCall] = {}
        self._ended: OrderedDict[str, SessionFacts] = OrderedDict()

    def attend(self, call: CallInfo, want_floor: Callable[[], None]) -> RelayCall:
        """Open the call's session with the app: connecting goes on beside. Needs a running loop."""
        return self._open(call, want_floor)

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:
        """Tell the app, and yield what it says until its talk cycle is over or it pauses.

        Cancelling leaves the session as it is: it is the call's, and ends with `call.ended`.
        Raises AgentError `agent_unreachable`, `agent_status`, `agent_target` or `agent_answer` once when the app is
        gone for good; later questions are answered with `RelayOptions.when_lost`.
        """
        call = self._calls.get(question.call.id)
        if question.occasion == "call.ended":
            if call is not None:
                await self._end(call)
            return
        call = call or self._open(question.call, None)
        async with aclosing(call.answer(question)) as actions:
            async for action in actions:
                yield action

    async def close(self) -> None:
        """Close the connections; calls are over by then."""
        await asyncio.gather(*(self._end(call) for call in [*self._calls.values()]))

    def session(self, call_sid: str) -> SessionFacts | None:
        """Return how the session of a call (`CA…`) stands, or ended; None: there was none, or long ago."""
        live = next((call for call in self._calls.values() if call.info.sid == call_sid), None)
        return self._ended.get(call_sid) if live is None else live.facts()

    def _open(self, info: CallInfo, want_floor: Callable[[], None] | None) -> RelayCall:
        call = RelayCall(info, self.address, self._options, self._timeout_s, want_floor, self._refused)
        self._calls[info.id] = call
        return call

    def _refused(self) -> None:
        self._on_refused(MALFORMED)

    async def _end(self, call: RelayCall) -> None:
        self._calls.pop(call.info.id, None)
        self._ended[call.info.sid] = call.facts()
        if len(self._ended) > _KEPT_SESSIONS:
            self._ended.popitem(last=False)
        await call.close()


class RelayCall:
    """One call's session with the app; the call's `Attendant`."""

    def __init__(
        self,
        info: CallInfo,
        address: RelayAddress,
        options: RelayOptions,
        timeout_s: float,
        want_floor: Callable[[], None] | None,
        on_malformed: Callable[[], None],
    ) -> None:
        """`want_floor` None: nobody listens to what is volunteered, or tells of keys as they are pressed."""
        self.info = info
        self.talk = AppTalk(options.manners, language=options.language)
        self._options = options
        self._timeout_s = timeout_s
        self._want_floor = want_floor
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._news = asyncio.Event()
        self._readers = 0
        """Who takes what the app says; more than one for a moment, when an answer was given up for the next."""
        self._floor_wanted = False
        self._said = False
        """Words of the app were taken since its last prompt, and it was not told that they were cut off."""
        self._cut = False
        """It was told so, and of nothing to answer since then."""
        self._asked = False
        """A question came. If the first is not that the call begins, another process had the call before."""
        self._heard_turns = 0
        """Turns of the caller of which the app was told, or of which it was not to be told."""
        self._agent_speaks = False
        self._partial = ""
        self._complained = False
        """The loss of the app was raised as an error."""
        self._let_go = False
        """What ends the app's part was handed on."""
        self._closing = False
        self._connected = False
        self._socket = RelaySocket(
            address,
            _setup(info, options),
            options.limits,
            on_message=self._take,
            on_malformed=on_malformed,
            on_change=self._changed,
        )

    # --- questions -----------------------------------------------------------------------------------------

    async def answer(self, question: Question) -> AsyncGenerator[Action, None]:
        """Tell the app what the question is about, if it has not been told, and yield what it says."""
        self._readers += 1
        self._floor_wanted = False
        try:
            after, patience_s = self.talk.received, await self._put(question)
            async with aclosing(self._said_by_app(after, patience_s)) as actions:
                async for action in actions:
                    yield action
        finally:
            self._readers -= 1
            self._ask_for_floor()

    async def _put(self, question: Question) -> float:
        """Tell the app of a question. Returns how long it may take to say something, in seconds."""
        taken_up, self._asked = not self._asked and question.occasion != "call.started", True
        if taken_up:
            self._take_up(question)
        # Else they were told when they were pressed; but nobody knows what became of the answer to those of before.
        keys = question.digits if self._want_floor is None or taken_up else ""
        for digit in keys:
            self.key(digit, over_speech=question.over_speech)
        match question.occasion:
            case "call.started":
                while self._socket.state == "connecting":
                    await self._news_by(None)
                return QUIET_S
            case "turn.ended" if self._prompt(question):
                return self._timeout_s
            case _:
                return self._timeout_s if keys else 0.0

    def _take_up(self, question: Question) -> None:
        """The app was told all before this by a process that has died: it is told what is new since then.

        That is the question, which it may have answered; and what was heard of that answer.
        """
        turns = [message.content for message in question.messages if message.role == "user"]
        asked = question.transcript.split()
        whole = (n for n in range(1, len(turns) + 1) if " ".join(turns[-n:]).split() == asked)
        self._heard_turns = len(turns) - (next(whole, 1) if asked else 0)
        if question.interrupted is not None and question.interrupted.heard.strip():
            self._cut_off(question.interrupted.heard.strip(), 0)

    def _prompt(self, question: Question) -> bool:
        """Send the words of a turn as a prompt, once. Returns whether an answer is to be expected."""
        if self._over:
            return False
        turns = [message.content for message in question.messages if message.role == "user"]
        whole = question.transcript.strip()
        new = " ".join(filter(None, (text.strip() for text in turns[self._heard_turns :]))) if turns else whole
        self._heard_turns = max(len(turns), self._heard_turns)
        if question.over_speech and self.talk.manners.report not in {"any", "speech"}:
            return False
        again = "".join(whole.split()) != "".join(new.split())
        if again and self._said:
            # Its answer to the first half of this question was not heard: the caller went on too soon.
            self._cut_off("", 0)
        if not new and self._cut:
            new = whole  # It was cut off by what was no speech after all, and has to answer once more.
        if new:
            self._said, self._cut, self._partial = False, False, ""
            self._tell(wire.Prompt(new, lang=self.talk.language, last=True))
        return True

    async def _said_by_app(self, after: int, patience_s: float) -> AsyncGenerator[Action, None]:
        """Yield what the app says: until a talk cycle ends that began behind piece `after`, or until it pauses.

        `patience_s` is how long the first piece may take. Text that may be replaced ends the answer as well: what
        takes its place is volunteered.
        """
        deadline, replaceable = self._loop.time() + patience_s, 0
        try:
            while (piece := await self._next_by(deadline)) is not None and replaceable in {0, piece.cycle}:
                self.talk.pop()
                if piece.action is not None:
                    replaceable = self._note(piece)
                    yield piece.action
                    deadline = self._loop.time() + QUIET_S
                elif piece.number > after:
                    deadline = 0.0  # What is there already is said, and nothing more waited for.
            if piece is None and self._over:
                for action in self._last_actions():
                    yield action
        except (asyncio.CancelledError, GeneratorExit):
            if self._said:
                self.talk.interrupted(self._loop.time())  # Its beginning is lost, and the rest makes no sense.
            raise

    async def _next_by(self, deadline: float) -> Piece | None:
        """Return the next piece, and leave it there; None: the app says nothing in time, or nothing more at all."""
        while (piece := self.talk.peek()) is None:
            if self._over or not await self._news_by(deadline):
                return None
        return piece

    def _note(self, piece: Piece) -> int:
        """Keep in mind what is being handed on. Returns the talk cycle of what may be replaced; 0: it may not."""
        match piece.action:
            case Say() | Play() as heard:
                self._said = True
                return piece.cycle if heard.preemptible else 0
            case HandOff():
                self._let_go = True
        return 0

    async def _news_by(self, deadline: float | None) -> bool:
        """Wait until the app has said something, or its session has changed. False: not in time."""
        self._news.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    # --- the end -------------------------------------------------------------------------------------------

    @property
    def _over(self) -> bool:
        """Tell whether the app will say nothing more."""
        return self.talk.ending is not None or self._socket.state in {"failed", "done"}

    def _last_actions(self) -> tuple[Action, ...]:
        """Return what ends the app's part of the call. Raises AgentError the first time that its loss comes up."""
        error = self._socket.error
        if self.talk.ending is not None:
            actions: tuple[Action, ...] = () if self._let_go else (self.talk.ending,)
        elif error is None:
            actions = (HandOff(),)  # It closed the session without a word.
        elif self._complained:
            actions = self._options.when_lost
        else:
            self._complained = True
            raise AgentError(error.message, code=error.code)
        self._let_go = True
        return actions

    def facts(self) -> SessionFacts:
        """Return how the session stands."""
        name, seconds = wire.session_id(self.info.id), round(self._loop.time() - self._began)
        if self.talk.ending is None and (error := self._socket.error) is not None:
            code = _LOST_CONNECTION if self._connected else _NO_CONNECTION
            code = _ENDED if error.code == "agent_answer" else code
            return SessionFacts(name, "failed", seconds, code, error.message)
        ended = self.talk.ending is not None or (self._socket.state == "done" and not self._closing)
        return SessionFacts(name, "ended" if ended else "completed", seconds)

    async def close(self) -> None:
        """The call is over: close the socket."""
        self._closing = True
        if self.talk.dropped:
            _log.warning("relay_text_dropped", call=self.info.id, sid=self.info.sid, pieces=self.talk.dropped)
        await self._socket.close()

    # --- from the app --------------------------------------------------------------------------------------

    def _take(self, message: wire.FromApp) -> None:
        self.talk.take(message, self._loop.time())
        if self.talk.peek() is not None:
            self._news.set()
            self._ask_for_floor()

    def _changed(self) -> None:
        if self._socket.state == "up":
            if self._connected:
                self.talk.reconnected()
            self._connected = True
        self._news.set()
        self._ask_for_floor()

    def _ask_for_floor(self) -> None:
        """Ask for a question when there is something to say or to do, and nobody takes it."""
        if self._closing or self._readers or self._floor_wanted or self._want_floor is None:
            return
        if self.talk or (self._over and not self._let_go):
            self._floor_wanted = True
            self._want_floor()

    # --- the attendant -------------------------------------------------------------------------------------

    def partial(self, transcript: str) -> None:
        """Tell the app what the caller has said of this turn so far, if it wants to know."""
        manners, text = self.talk.manners, transcript.strip()
        if not manners.partials or not text or text == self._partial:
            return
        if self._agent_speaks and manners.report not in {"any", "speech"}:
            return
        self._partial = text
        if not self._over:
            self._socket.send(wire.Prompt(text, lang=self.talk.language, last=False))

    def key(self, digit: str, *, over_speech: bool) -> None:
        """Tell the app of a key, if it wants to know."""
        manners = self.talk.manners
        if manners.dtmf and (not over_speech or manners.report in {"any", "dtmf"}):
            self._tell(wire.Dtmf(digit))

    def interrupted(self, heard: str, duration_ms: int) -> None:
        """Tell the app at once, so that it comes before the caller's words; unless there was nothing to cut off."""
        if heard.strip() or self._said:
            self._cut_off(heard.strip(), duration_ms)
        self._let_go = False  # If the end of its part was on its way, it was cut off as well.
        self._ask_for_floor()

    def speaking(self, who: Literal["agent", "caller"], *, on: bool) -> None:
        """Tell the app who speaks, if it wants to know."""
        if who == "agent":
            self._agent_speaks = on
        if SPEAKER_EVENTS in self._options.events:
            name = "agentSpeaking" if who == "agent" else "clientSpeaking"
            self._inform(wire.Info(name, "on" if on else "off"))

    def played(self, text: str) -> None:
        """Tell the app what was heard of its text, if it wants to know."""
        if TOKENS_PLAYED in self._options.events and text:
            self._inform(wire.Info("tokensPlayed", text))

    def _cut_off(self, heard: str, duration_ms: int) -> None:
        self.talk.interrupted(self._loop.time())
        self._said, self._cut = False, True
        self._inform(wire.Interrupt(heard, duration_ms))

    def _tell(self, message: wire.Prompt | wire.Dtmf) -> None:
        """Tell the app something that it may answer."""
        self.talk.prompted()
        self._inform(message)

    def _inform(self, message: wire.ToApp) -> None:
        if not self._over:
            self._socket.send(message)


def _setup(info: CallInfo, options: RelayOptions) -> wire.Setup:
    """Return the first message of a call's session. What the bridge does not know stays an empty text."""
    return wire.Setup(
        session_id=wire.session_id(info.id),
        account_sid=options.account_sid,
        call_sid=info.sid,
        from_=info.caller,
        to=info.called,
        call_type=wire.call_type(info.caller),
        direction=info.direction,
        call_status="RINGING" if info.direction == "inbound" else "IN-PROGRESS",
        custom_parameters={**options.parameters, **info.parameters},
    )
