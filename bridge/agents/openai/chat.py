"""The `openai` agent: a language model behind any chat-completions endpoint answers the caller.

`history` (what the model is told) → `requests` (the completion, as it streams) → here, where text is handed on word
by word and functions become actions (`tools`) or HTTP requests, whose results the model gets in a further
completion. `asking` decides whether the model is asked at all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import structlog

from bridge.agents.action_json import MALFORMED, TOO_MANY, Refused
from bridge.agents.asking import Asking, OnBreaker, OnRefused
from bridge.agents.base import Question
from bridge.agents.http_exchange import HttpLimits
from bridge.agents.openai.history import CallMemory, conversation, system_message, what_happened
from bridge.agents.openai.options import OpenAIOptions
from bridge.agents.openai.requests import Completions, HttpTools
from bridge.agents.openai.tools import HttpCall, Toolbox
from bridge.agents.openai.wire import (
    ChatMessage,
    ChatReader,
    Part,
    ToolCall,
    Unreadable,
    assistant_calls,
    tool_result,
)
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HangUp,
    Note,
    RecordMessage,
    Say,
    Set,
    Transfer,
)
from bridge.errors import AgentError

MAX_ROUNDS = 4
"""Completions for one answer. In the last one the model may only speak."""
MAX_CALLS_REMEMBERED = 10_000
"""Calls of which something is remembered. Each is forgotten when it ends; this bounds what never was told to."""

ANSWERED = frozenset({"call.started", "turn.ended", "digits", "transfer.ended", "message"})
"""What a model is asked about. Silence is left to the bridge, which asks whether the caller is still there."""
_TOLD_LATER = frozenset({"digits", "transfer.ended", "message"})
"""What the words of a call do not show, and the model has to be reminded of with each later question."""

_LATER = "It will be done as soon as the caller has heard what you say. "
_BROKEN_OFF = "error: it was broken off when the caller spoke on. It is not known whether it was done."

_log = structlog.get_logger()


class OpenAIAgent:
    """Asks a model. One per process and endpoint; holds the connections to it and to the HTTP tools.

    `timeout_seconds` bounds the wait for the first piece of an answer and for each further one, whatever happens
    in between. Raises SettingsError for a URL, actions or tools that cannot work.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        on_refused: OnRefused | None = None,
        on_breaker: OnBreaker | None = None,
        options: OpenAIOptions | None = None,
    ) -> None:
        options = options or OpenAIOptions()
        self._options = options
        self._timeout_s = timeout_seconds
        self._toolbox = Toolbox(options.actions, options.targets, options.tools)
        self._model = Completions(
            url,
            api_key=options.api_key,
            model=options.model,
            max_tokens=options.max_tokens,
            allow_private=options.allow_private,
        )
        self._tools = HttpTools(connect_seconds=options.connect_seconds, allow_private=options.allow_private)
        self._asking = Asking(self._model.shown, options.breaker, on_refused=on_refused, on_breaker=on_breaker)
        self._memories: OrderedDict[str, CallMemory] = OrderedDict()

    @property
    def acts_at_once(self) -> bool:
        """Whether some HTTP tool changes something: an answer must not be asked for on suspicion then."""
        return self._toolbox.acts

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:
        """Ask the model, and yield its text as it comes, and what it does with the call.

        Actions that end the model's part (hang up, transfer, gather digits, record a message) come behind all text.
        Cancelling closes the connection at once, also that of a tool. Raises AgentError: `agent_unreachable`,
        `agent_timeout`, `agent_status`, `agent_answer`, `agent_target`, `agent_breaker_open`, or `agent_held` when
        a speculative answer needs a tool that changes something: that is not run before the turn is over.
        """
        if question.occasion == "call.ended":
            self._memories.pop(question.call.id, None)
            return
        if question.occasion not in ANSWERED or (question.occasion == "call.started" and not self._options.greets):
            return
        memory = self._memory(question)
        messages = [
            system_message(self._options.instructions, question.call),
            *conversation(question, memory.entries, self._options.history_messages),
        ]
        if question.occasion in _TOLD_LATER and not memory.masked:
            memory.keep(question, {"role": "user", "content": what_happened(question)})
        memory.masked = False
        reply = _Reply(question, messages, memory, self._timeout_s, self._options.answer_seconds)
        with self._asking.admitted() as verdict:
            async with aclosing(self._rounds(reply)) as actions:
                async for action in actions:
                    yield action
                    reply.handed_on()
            verdict.complete = True

    async def close(self) -> None:
        """Close the connections."""
        await self._model.close()
        await self._tools.close()

    def _memory(self, question: Question) -> CallMemory:
        memory = self._memories.setdefault(question.call.id, CallMemory())
        self._memories.move_to_end(question.call.id)
        if len(self._memories) > MAX_CALLS_REMEMBERED:
            self._memories.popitem(last=False)
        memory.begin(question)
        return memory

    async def _rounds(self, reply: _Reply) -> AsyncGenerator[Action, None]:
        """Completion after completion, for as long as the model has to learn what became of its functions."""
        for number in range(1, MAX_ROUNDS + 1):
            reader, said = ChatReader(), ""
            async with aclosing(self._spoken(reply, reader, last=number == MAX_ROUNDS)) as texts:
                async for text in texts:
                    # A further completion begins a sentence of its own, and pieces are joined as they come.
                    apart = " " if not said and reply.ends_with_a_word and not text[0].isspace() else ""
                    said += text
                    reply.ends_with_a_word = not text[-1].isspace()
                    yield Say(apart + text)
            self._check_end(reply, reader)
            calls = reader.calls
            if calls and number == MAX_ROUNDS:
                self._refuse(
                    reply, Refused(TOO_MANY, f"{calls[0].name}: after {MAX_ROUNDS} completions in one answer")
                )
                break
            if not calls:
                break
            for action in await self._carried_out(reply, said, calls):
                yield action
            if not reply.goes_on:
                break
        for action in reply.last:
            yield action

    async def _spoken(self, reply: _Reply, reader: ChatReader, *, last: bool) -> AsyncGenerator[str, None]:
        """The text of one completion, as it comes."""
        parts = self._model.stream(
            reader,
            reply.messages,
            self._toolbox.functions,
            HttpLimits(self._options.connect_seconds, reply.seconds_left, reply.whole_left),
            temperature=self._options.temperature,
            speak=last,
        )
        async with aclosing(parts):
            while (some := await self._next(reply, parts)) is not None:
                for part in some:
                    if isinstance(part, str):
                        reply.sounded = reply.sounded or bool(part.strip())
                        yield part
                    elif isinstance(part, Unreadable):
                        self._refuse(reply, Refused(MALFORMED, part.reason))

    async def _next(self, reply: _Reply, parts: AsyncGenerator[list[Part], None]) -> list[Part] | None:
        """The next parts; None: there are no more. What is not to be handed on does not extend the wait."""
        scope = asyncio.timeout_at(reply.due)
        try:
            async with scope:
                return await anext(parts, None)
        except TimeoutError:
            if scope.expired():
                raise self._failed("agent_timeout", f"gave nothing to say for {self._timeout_s:g} s") from None
            raise

    def _check_end(self, reply: _Reply, reader: ChatReader) -> None:
        """Log an answer that was cut off, and raise where nothing is left of it."""
        reason = reader.finish_reason
        if reason not in {"length", "content_filter"}:
            return
        if not reply.sounded:
            remedy = "; raise openai.max_tokens" if reason == "length" else ""
            raise self._failed("agent_answer", f"ended its answer with {reason} before a word of it{remedy}")
        question = reply.question
        _log.warning("agent_answer_cut_off", call=question.call.id, reply=question.reply, reason=reason)

    async def _carried_out(self, reply: _Reply, said: str, calls: list[ToolCall]) -> list[Action]:
        """Do what the model asks for, and note the results for it. Returns the actions that come at once."""
        results: dict[str, str] = {}
        actions: list[Action] = []
        requests: dict[str, HttpCall] = {}
        wrong = False
        for call in calls:
            wanted = self._toolbox.wanted(call)
            if isinstance(wanted, Refused):
                wrong = True
                self._refuse(reply, wanted)
                results[call.id] = f"error: {wanted.reason}"
            elif isinstance(wanted, HttpCall):
                requests[call.id] = wanted
            else:
                results[call.id] = self._taken(reply, wanted, actions)
        try:
            results |= await self._fetched(reply, requests)
        except asyncio.CancelledError:
            if any(request.tool.acts for request in requests.values()):
                # The caller spoke on. What was sent may have been carried out, and must not be done twice.
                reply.told(said, calls, dict.fromkeys(requests, _BROKEN_OFF) | results)
            raise
        reply.told(said, calls, results)
        tell = wrong and not reply.corrected
        reply.corrected = reply.corrected or wrong
        # Who has neither spoken nor done anything that stands for itself has more to say.
        reply.goes_on = bool(requests) or tell or not (reply.sounded or reply.settled)
        return actions

    def _taken(self, reply: _Reply, action: Action, actions: list[Action]) -> str:
        """Take an action; the result is what the model is told of it."""
        match action:
            case HangUp() | Transfer():
                reply.end_with(action)
                reply.settled = True
                return _LATER
            case GatherDigits() | RecordMessage():
                reply.end_with(action)
                reply.memory.masked = isinstance(action, GatherDigits) and action.masked
                return _LATER + "If you have not said what the caller is to do, say it now."
            case Note() | Set():
                actions.append(action)
                return "Done."
            case _:
                actions.append(action)
                reply.settled = True
                return "Done."

    async def _fetched(self, reply: _Reply, requests: Mapping[str, HttpCall]) -> dict[str, str]:
        """Carry HTTP tools out, side by side."""
        question = reply.question
        if question.speculative and any(request.tool.acts for request in requests.values()):
            raise self._failed(
                "agent_held", "wants to use a tool that has to wait for the end of the caller's turn"
            )
        seconds = min(reply.seconds_left, reply.whole_left)
        found = await asyncio.gather(
            *(self._tools.run(call, call_id=question.call.id, seconds=seconds) for call in requests.values())
        )
        return dict(zip(requests, found, strict=True))

    def _refuse(self, reply: _Reply, refused: Refused) -> None:
        self._asking.refuse(refused, reply.question, reply.logged)

    def _failed(self, code: str, what: str) -> AgentError:
        return AgentError(f"the model at {self._model.shown} {what}", code=code)


class _Reply:
    """One answer on its way: what is known of it between its completions."""

    def __init__(
        self, question: Question, messages: list[ChatMessage], memory: CallMemory, timeout_s: float, whole_s: float
    ) -> None:
        self.question = question
        self.messages = messages
        self.memory = memory
        self.sounded = False
        """The model has said something."""
        self.ends_with_a_word = False
        """What it said last is no white space."""
        self.settled = False
        """It did something that needs no words."""
        self.corrected = False
        """It was told once what was wrong with its arguments."""
        self.goes_on = False
        """It is to be asked again, with the results."""
        self.last: list[Action] = []
        """What comes behind all text."""
        self.logged: set[str] = set()
        self._timeout_s = timeout_s
        self._clock = asyncio.get_running_loop().time
        self._ends_at = self._clock() + whole_s
        self.due = self._clock() + timeout_s
        """When the next piece has to be there, by the loop's clock."""

    @property
    def seconds_left(self) -> float:
        """How long the next piece may still take."""
        return max(0.1, round(self.due - self._clock(), 1))

    @property
    def whole_left(self) -> float:
        """How long the rest of the answer may take."""
        return max(0.1, round(self._ends_at - self._clock(), 1))

    def handed_on(self) -> None:
        """A piece was handed on, and taken."""
        self.due = self._clock() + self._timeout_s

    def end_with(self, action: Action) -> None:
        """Keep an action for the end; another one of its kind takes its place."""
        self.last = [other for other in self.last if type(other) is not type(action)] + [action]

    def told(self, said: str, calls: list[ToolCall], results: Mapping[str, str]) -> None:
        """Write a round down: here with its words, and for later questions without; those tell what was heard."""
        tail = [tool_result(call, results[call.id]) for call in calls]
        self.messages += [assistant_calls(said, calls), *tail]
        self.memory.keep(self.question, assistant_calls("", calls), *tail)
