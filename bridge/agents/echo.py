"""The two agents that need nothing: `echo` says back what it heard, `none` says nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from bridge.agents.base import Question
from bridge.conversation.actions import Action, Say


class EchoAgent:
    """Says back what the caller said, without the white space around it. For tests and first tries."""

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:
        """Answer `turn.ended` with its transcript and everything else with nothing."""
        if question.occasion == "turn.ended" and (heard := question.transcript.strip()):
            yield Say(heard)

    async def close(self) -> None:
        """Nothing is held."""


class SilentAgent:
    """Answers nothing: the call is only transcribed."""

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:  # noqa: ARG002 - part of the contract
        """Answer with nothing."""
        nothing: tuple[Action, ...] = ()
        for action in nothing:
            yield action

    async def close(self) -> None:
        """Nothing is held."""
