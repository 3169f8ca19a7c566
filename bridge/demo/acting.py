"""The demo's caller: says its lines, and goes by what it hears of the agent, as a person does."""

from __future__ import annotations

import asyncio
from typing import Final

from bridge.demo.lines import COUGH, GOODBYE, INTERRUPTION, MESSAGE, MESSAGE_WISH, NAME_AND_NUMBER, QUESTION, Line
from bridge.demo.sounds import Sounds
from bridge.demo.story import Story
from bridge.errors import BridgeError
from bridge.simulator.caller import CallError, SimulatedCall
from bridge.simulator.voice import Utterance

_ANSWER_WITHIN_S: Final = 20.0
"""How long the caller waits for the agent to speak, or to come to an end. Generous: a busy machine is slow."""
_DONE_S: Final = 0.7
"""Silence after which the caller takes the agent to be done; its pauses between sentences are shorter."""
_HANGS_UP_WITHIN_S: Final = 2.5
"""An agent that is silent for longer has not understood that this was the end."""
_COUGH_AFTER_S: Final = 4.4
_INTERRUPT_AFTER_S: Final = 1.8


class WentWrongError(BridgeError):
    """The call did not go as it should: the message says what was missing."""

    def __init__(self, what: str) -> None:
        super().__init__(what, code="demo_call")


async def hold(call: SimulatedCall, sounds: Sounds, story: Story) -> None:
    """Hold the whole conversation; returns when the call is over.

    Raises `WentWrongError` as soon as the agent does not do what the caller waits for; the call goes on then, and
    also when cancelled: hang up.
    """
    caller = Caller(call, sounds, story)
    try:
        await caller.cough_into_the_greeting()
        await caller.say(QUESTION)
        await caller.interrupt()
        for line in (MESSAGE_WISH, NAME_AND_NUMBER, MESSAGE):
            await caller.say(line)
            await caller.hear_answer(line)
        await caller.say(GOODBYE)
        if not await caller.heard_out():
            await caller.say(GOODBYE)  # A machine mishears a "no" now and then; a person says it once more.
        await caller.wait_for_the_end()
    except CallError as error:
        raise WentWrongError(error.message) from error


def moment(call: SimulatedCall, at_s: float) -> float:
    """A time of a call that goes on, as a moment of the event loop's clock."""
    return asyncio.get_running_loop().time() - call.now + at_s


class Caller:
    """Says lines and presses keys, and waits for the agent between them."""

    def __init__(self, call: SimulatedCall, sounds: Sounds, story: Story) -> None:
        self._call = call
        self._sounds = sounds
        self._story = story
        self._last_word = 0.0

    async def say(self, line: Line, at: float | None = None) -> Utterance:
        """Say a line, not before `at` (call time); returns when it was said. Raises `CallError`."""
        self._story.saying(line)
        said = await self._call.say(self._sounds[line], at, label=line.text)
        self._last_word = said.speech_end_s or self._call.now
        return said

    async def press(self, keys: str, at: float | None = None) -> None:
        """Press keys, not before `at` (call time). Raises `CallError`."""
        if at is not None:
            await self._call.pause(at - self._call.now)
        self._last_word = self._call.now
        await self._call.digits(keys)

    async def hear_begin(self, otherwise: str) -> float:
        """Wait until the agent begins to answer; returns when that was. Raises `WentWrongError`."""
        self._story.said(moment(self._call, self._last_word))
        return await self.agent_speaks(otherwise)

    async def hear_whole(self, otherwise: str) -> None:
        """Wait until the agent has answered. Raises `WentWrongError`."""
        await self.hear_begin(otherwise)
        await self.agent_is_done()
        self._last_word = self._call.now

    async def cough_into_the_greeting(self) -> None:
        """The agent is to fall silent, and then to speak on: that is a new beginning of its voice."""
        began = await self.agent_speaks("the agent did not greet")
        await self.say(COUGH, began + _COUGH_AFTER_S)
        resumed = await self._call.wait_agent_speaking(_ANSWER_WITHIN_S, after=self._last_word + 0.3)
        if resumed is None:
            raise WentWrongError("the agent did not fall silent at the cough and speak on after it")
        await self.agent_is_done()

    async def interrupt(self) -> None:
        """Cut into the long answer; the agent is to fall silent, and then to answer that."""
        self._story.said(moment(self._call, self._last_word))
        began = await self.agent_speaks("the agent did not answer the question")
        await self.say(INTERRUPTION, began + _INTERRUPT_AFTER_S)
        await self.hear_answer(INTERRUPTION)

    async def hear_answer(self, line: Line) -> None:
        """Wait until a line was answered. Raises `WentWrongError`."""
        self._story.said(moment(self._call, self._last_word))
        await self.agent_speaks(f'the agent did not answer "{line.text}"')
        await self.agent_is_done()

    async def heard_out(self) -> bool:
        """Whether the agent hung up behind its answer; else it waits for the caller again."""
        self._story.said(moment(self._call, self._last_word))
        await self._call.wait_for_agent(_ANSWER_WITHIN_S, silence_s=_HANGS_UP_WITHIN_S, after=self._last_word)
        return not self._call.live

    async def wait_for_the_end(self) -> None:
        """Wait until the agent has hung up. Raises `WentWrongError`."""
        self._story.said(moment(self._call, self._last_word))
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await self._call.ended()
        except TimeoutError:
            raise WentWrongError("the agent did not hang up after the good-bye") from None

    async def agent_speaks(self, otherwise: str) -> float:
        """Wait until the agent speaks; returns since when. Raises `WentWrongError`."""
        began = await self._call.wait_agent_speaking(_ANSWER_WITHIN_S, after=self._last_word)
        if began is None:
            raise WentWrongError(otherwise)
        return began

    async def agent_is_done(self) -> None:
        """Wait until the agent is silent. Raises `WentWrongError`."""
        if not await self._call.wait_until_agent_silent(_DONE_S, _ANSWER_WITHIN_S):
            raise WentWrongError("the agent did not come to an end")
