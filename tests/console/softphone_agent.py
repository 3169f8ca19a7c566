"""The agent that the softphone's browser talks with: its answers depend on a word of what was said."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from bridge.agents.base import Question
from bridge.conversation.actions import Transfer

GREETING = "Hello."
STORY = " ".join(
    f"This is sentence {n} of a story that nobody has asked for." for n in ("one", "two", "three", "four", "five")
)
THANKS = "I see. Thank you."
DESK = "+15550100009"


async def answer(question: Question) -> AsyncGenerator[object, None]:
    """Greet, tell a long story about despair, and thank for everything else; keys are named, 9 is passed on."""
    match question.occasion:
        case "call.started":
            yield GREETING
        case "turn.ended" if "despair" in question.transcript.lower():
            yield STORY
        case "turn.ended":
            yield THANKS
        case "digits" if question.digits == "9":
            yield Transfer(DESK)
        case "digits":
            yield f"You pressed {question.digits}."
