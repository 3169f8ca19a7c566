"""An agent that answers at once: a webhook, and a chat model, whose own time is none of the system's.

Which call a question is from stands in the caller's words, or else in the call's id.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from bridge.bench.figures import SYNTHESIZE
from bridge.bench.load_call import LoadCall
from bridge.bench.names import AGENT_PATH, CHAT_PATH
from bridge.bench.peer_server import Answer, Routes
from bridge.bench.speech import Find, line_of

_SID: Final = re.compile(r"CA0*(\d+)")
_WORDS: Final = 30


class _Call(msgspec.Struct):
    sid: str = ""


class _Turn(msgspec.Struct):
    number: int = 0
    transcript: str = ""


class _Question(msgspec.Struct):
    """What of a webhook's body counts here."""

    type: str = "turn.ended"
    call: _Call = msgspec.field(default_factory=_Call)
    turn: _Turn = msgspec.field(default_factory=_Turn)


class _Message(msgspec.Struct):
    role: str
    content: Any = ""


class _Chat(msgspec.Struct):
    """What of a chat request counts here."""

    messages: list[_Message]
    stream: bool = False
    model: str = "bench"


_question = msgspec.json.Decoder(_Question)
_chat = msgspec.json.Decoder(_Chat)


def answer(number: int, turn: int) -> str:
    """What the agent of a call says: as many words as the speech has chunks, and among them the call's number."""
    words = f"This is line {number} with answer {turn}".split()
    return " ".join([*words, *["and"] * (_WORDS - len(words) - 1), "on."])


class InstantAgent:
    """Answers each question with one sentence; `find` gives the call of a number."""

    def __init__(self, find: Find) -> None:
        self._find = find

    def add_to(self, routes: Routes) -> None:
        """Serve the webhook under `AGENT_PATH` and the model under `CHAT_PATH`."""
        routes.posts[AGENT_PATH] = self._ask
        routes.posts[CHAT_PATH] = self._complete

    def _ask(self, at: float, body: bytes) -> Answer:
        question = _question.decode(body)
        number = line_of(question.turn.transcript)
        if number is None and (found := _SID.fullmatch(question.call.sid)) is not None:
            number = int(found[1])
        call = None if number is None else self._find(number)
        if call is None or question.type not in {"turn.ended", "call.started"}:
            return Answer(status="204 No Content")
        if question.type == "turn.ended":
            call.talk.asked(at)
        said = answer(call.number, question.turn.number)
        return Answer(msgspec.json.encode({"say": said}), sending=lambda: _answering(call))

    def _complete(self, at: float, body: bytes) -> Answer:
        asked = _chat.decode(body)
        # The last message is the caller's; its content may be a list of parts.
        number = line_of(str(asked.messages[-1].content)) if asked.messages else None
        call = None if number is None else self._find(number)
        said = "Hello."
        if call is not None:
            call.talk.asked(at)
            said = answer(call.number, call.talk.turns + 1)
        head = {"id": "bench", "created": 0, "model": asked.model}
        if not asked.stream:
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            text = msgspec.json.encode({**head, "object": "chat.completion", "choices": [choice]})
            return Answer(text, sending=lambda: _answering(call))
        head["object"] = "chat.completion.chunk"
        first = {"index": 0, "delta": {"role": "assistant", "content": said}, "finish_reason": None}
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        events = [msgspec.json.encode({**head, "choices": [choice]}) for choice in (first, last)]
        text = b"".join(b"data: " + event + b"\n\n" for event in (*events, b"[DONE]"))
        return Answer(text, "text/event-stream", sending=lambda: _answering(call))


def _answering(call: LoadCall | None) -> None:
    # Head and body are written at once: this is the first byte of the answer.
    if call is not None:
        call.talk.begin(SYNTHESIZE)
