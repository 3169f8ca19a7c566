"""Puts the questions of one call to its agent, and hands the pieces of the answers back as events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from bridge.agents.base import Agent, CallInfo, Question
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.errors import AgentError
from bridge.tasks import spawn

_FAREWELL_S = 20.0
"""How long the agent may take to be told that the call is over."""
_SETTLED_WITHIN_S = 0.25
"""How long a question may wait until what it is about is recorded: the caller waits for the answer."""


class Asking:
    """The questions of one call that are open. Each is a task, which hands its pieces to `take` as they come."""

    def __init__(
        self,
        agent: Agent,
        info: CallInfo,
        take: Callable[[on.AgentEvent], None],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        """`settled` waits until what was recorded of the call so far outlives this process."""
        self._settled = settled
        self._unsettled = False
        self._agent = agent
        self._info = info
        self._take = take
        self._log = structlog.get_logger().bind(call=info.id, sid=info.sid)
        self._answers: dict[int, asyncio.Task[None]] = {}
        self._told: asyncio.Task[None] | None = None

    def carry_out(self, command: do.AskAgent | do.CancelReply | do.TellAgentEnded) -> None:
        """Ask, stop asking, or tell that the call is over. Never waits."""
        match command:
            case do.AskAgent():
                self._ask(command)
            case do.CancelReply(reply):
                if (answer := self._answers.pop(reply, None)) is not None:
                    answer.cancel()
            case do.TellAgentEnded():
                self._told = spawn(self._tell(self._end(command)), name=f"farewell-{self._info.id}")

    def cancel(self) -> None:
        """Stop asking all that is still asked."""
        for answer in [*self._answers.values()]:
            answer.cancel()

    async def told(self) -> None:
        """Wait until the agent was told that the call is over, if it is being told."""
        if self._told is not None:
            await asyncio.wait([self._told])

    def _ask(self, command: do.AskAgent) -> None:
        question = Question(
            occasion=command.occasion,
            call=self._info,
            reply=command.reply,
            turn=command.turn,
            transcript=command.transcript,
            speculative=command.speculative,
            interrupted=command.interrupted,
            digits=command.digits,
            over_speech=command.over_speech,
            transfer=command.transfer,
            messages=command.messages,
            state=command.state,
            repeats=command.repeats,
        )
        task = spawn(self._answer(question), name=f"reply-{self._info.id}-{command.reply}")
        self._answers[command.reply] = task
        task.add_done_callback(lambda _: self._answers.pop(question.reply, None))

    def _end(self, command: do.TellAgentEnded) -> Question:
        outcome: dict[str, Any] = {"reason": command.reason, "duration_ms": command.duration_ms}
        if command.transfer is not None:
            outcome["transfer"] = msgspec.structs.asdict(command.transfer)
        return Question(
            occasion="call.ended",
            call=self._info,
            reply=command.reply,
            messages=command.messages,
            state=command.state,
            outcome=outcome,
        )

    async def _answer(self, question: Question) -> None:
        """Ask, and hand each piece on as it comes. Cancelling closes the agent's request."""
        if question.occasion != "call.started":  # before that, nobody has said anything
            await self._settle()
        try:
            async with contextlib.aclosing(_generator(self._agent, question)) as pieces:
                async for action in pieces:
                    self._take(on.AgentActed(question.reply, action))
        except AgentError as error:
            self._take(on.AgentFailed(question.reply, error.code, error.message))
        else:
            self._take(on.AgentFinished(question.reply))

    async def _settle(self) -> None:
        """Wait until the turn that is asked about is recorded, but not for long: a slow disk must not be heard."""
        try:
            async with asyncio.timeout(_SETTLED_WITHIN_S):
                await self._settled()
        except TimeoutError:
            if not self._unsettled:
                self._unsettled = True
                self._log.warning("question_before_record", waited_s=_SETTLED_WITHIN_S)

    async def _tell(self, question: Question) -> None:
        """Tell the agent something to which there is no answer."""
        try:
            async with asyncio.timeout(_FAREWELL_S):
                async for _ in self._agent.ask(question):
                    pass
        except (AgentError, TimeoutError) as error:
            self._log.warning("agent_not_told", occasion=question.occasion, error=str(error))


async def _generator(agent: Agent, question: Question) -> Any:
    """Iterate over the agent's answer as a generator that can be closed, whatever kind of iterator it is."""
    pieces = agent.ask(question)
    try:
        async for action in pieces:
            yield action
    finally:
        close: Callable[[], Any] | None = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
