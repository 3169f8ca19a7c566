from collections.abc import AsyncIterator

from bridge.agents.base import Question
from bridge.conversation.actions import Action, Remember


async def agent(question: Question) -> AsyncIterator[str | Action]:
    turns = question.state.get("turns", 0)
    if question.occasion == "call.started":
        yield "Hello, say something."
    elif question.occasion == "call.resumed":  # after a crash, where nothing else is to be answered
        yield f"You have said {turns} things so far. Go on, please."
    elif question.occasion == "turn.ended":
        yield f"That was number {turns + 1}."
        yield Remember({"turns": turns + 1})
