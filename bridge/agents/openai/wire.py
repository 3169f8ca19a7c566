"""The chat-completions protocol, as OpenAI defined it and others speak it: requests, and answers as they stream.

Pure. An answer is a stream of events, each a `chat.completion.chunk` with a `delta`, closed by `[DONE]`; a server
that does not stream sends one `chat.completion` with a `message`. Both are read here, with what servers are known
to do differently: tool calls without an index or with the same one, arguments that are objects, contents in parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

from bridge.agents.server_sent import EventStream

ChatMessage: TypeAlias = dict[str, Any]
"""A message as the protocol has it: `role`, `content`, and `tool_calls` or `tool_call_id`."""
LimitName: TypeAlias = Literal["max_tokens", "max_completion_tokens"]
"""What the longest answer is called: OpenAI's newer models refuse the first, others do not know the second."""

MAX_CALLS = 16
"""Tool calls in one answer; what goes beyond is passed over."""
LONGEST_COMPLAINT = 300
"""Characters of a server's own words in a log line."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a function called."""

    id: str
    name: str
    arguments: str
    """JSON, or what the model took for it."""


@dataclass(frozen=True, slots=True)
class ServerFault:
    """The server gave up in the middle of an answer, and said so."""

    status: int
    """The HTTP status that it would have been."""
    said: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event that is no part of an answer. The others count."""

    reason: str


Part: TypeAlias = str | ServerFault | Unreadable
"""A piece of an answer: text to speak, or what went wrong."""


def encode_request(
    model: str,
    messages: Sequence[ChatMessage],
    tools: Sequence[Mapping[str, Any]],
    *,
    limit: tuple[LimitName, int],
    temperature: float | None = None,
    speak: bool = False,
) -> bytes:
    """Write the body of a request. `speak`: the model may call no function, although it knows of them."""
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": True, limit[0]: limit[1]}
    if temperature is not None:
        body["temperature"] = temperature
    if tools:
        body["tools"] = tools
        if speak:
            body["tool_choice"] = "none"
    return msgspec.json.encode(body)


def assistant_calls(said: str, calls: Sequence[ToolCall]) -> ChatMessage:
    """Write what the model did as the message that the tools' results have to follow."""
    wire = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    return {"role": "assistant", "content": said or None, "tool_calls": wire}


def tool_result(call: ToolCall, result: str) -> ChatMessage:
    """Write what a tool gave back."""
    return {"role": "tool", "tool_call_id": call.id, "content": result}


def complaint(body: bytes) -> str:
    """Find what a server says of the reason in the body of an answer with a bad status; empty: nothing readable."""
    try:
        said = msgspec.json.decode(body)
    except _UNREADABLE:
        text = body.decode(errors="replace").strip()
        return "" if text.startswith("<") else _short(text)
    return _words_of(said)


def other_limit(used: LimitName, status: int, said: str) -> LimitName | None:
    """Return the other name of the limit, if a server has refused a request because of the one that was used."""
    if status not in {400, 422} or used not in said:
        return None
    return "max_tokens" if used == "max_completion_tokens" else "max_completion_tokens"


def _words_of(said: Any) -> str:
    """The sentence in an error object, whose forms differ: `error.message`, `error`, `message`, `detail`."""
    for _ in range(3):
        if isinstance(said, Mapping):
            said = next((said[key] for key in ("error", "message", "detail", "msg") if said.get(key)), "")
        elif isinstance(said, list):
            said = said[0] if said else ""
    return _short(said) if isinstance(said, str) else ""


def _short(text: str) -> str:
    return " ".join(text.split())[:LONGEST_COMPLAINT]


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None
    object: Any = None
    type: Any = None


@dataclass(slots=True)
class _Growing:
    """A tool call whose arguments still come."""

    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ChatReader:
    """Reads one answer as it comes."""

    def __init__(self) -> None:
        self.finish_reason = ""
        """Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`, or what else the server says."""
        self.understood = False
        """True: at least one event made sense."""
        self._worded = False
        self._events: EventStream | None = EventStream()
        self._body = bytearray()
        self._calls: list[_Growing] = []
        self._by_index: dict[int, _Growing] = {}

    @property
    def done(self) -> bool:
        """True: nothing that still comes matters."""
        return self._events is not None and self._events.done

    @property
    def complete(self) -> bool:
        """True: the answer has come to its end, and was not only broken off."""
        return self.done or bool(self.finish_reason)

    @property
    def lacking(self) -> bool:
        """True, now that the connection has ended as it should: what came is no whole answer.

        Some servers send neither a reason nor `[DONE]`. Words are an answer then; a function call may be half.
        """
        return not self.complete and (not self._worded or bool(self._calls))

    @property
    def calls(self) -> list[ToolCall]:
        """The functions to call; whole only when the answer is complete."""
        return [ToolCall(call.id, call.name, "".join(call.arguments) or "{}") for call in self._calls]

    def take_whole(self) -> None:
        """Expect one JSON object in place of events: the server does not stream."""
        self._events = None

    def feed(self, data: bytes) -> list[Part]:
        """Take the next bytes, cut anywhere, and return what they complete."""
        if self._events is None:
            self._body += data
            return []
        return [part for event in self._events.feed(data) for part in self._read(event.encode())]

    def finish(self) -> list[Part]:
        """Return what was still waiting when the answer ended."""
        if self._events is None:
            return self._read(bytes(self._body))
        return [part for event in self._events.finish() for part in self._read(event.encode())]

    def _read(self, event: bytes) -> list[Part]:
        try:
            chunk = msgspec.json.decode(event, type=_Chunk)
        except _UNREADABLE as error:
            return [Unreadable(_short(str(error)))]
        if chunk.error or "error" in (chunk.object, chunk.type):
            self.understood = True
            return [_fault(msgspec.json.decode(event))]
        if chunk.choices is None:
            return [Unreadable("an event without `choices`")]
        self.understood = True
        return [part for choice in chunk.choices if choice.index == 0 for part in self._chosen(choice)]

    def _chosen(self, choice: _Choice) -> list[Part]:
        self.finish_reason = choice.finish_reason or self.finish_reason
        delta = choice.delta or choice.message
        if delta is None:
            return []
        for call in delta.tool_calls or ():
            self._grow(call)
        # A refusal is what the model says in place of an answer: the caller is to hear it.
        texts = [text for text in (_text(delta.content), delta.refusal) if text]
        self._worded = self._worded or any(text.strip() for text in texts)
        return texts

    def _grow(self, wire: _Call) -> None:
        call = self._find(wire)
        if call is None:
            if len(self._calls) >= MAX_CALLS:
                return
            call = _Growing(wire.id or f"call_{len(self._calls) + 1}")
            self._calls.append(call)
        if wire.index is not None:
            self._by_index[wire.index] = call
        if wire.function is None:
            return
        call.name = call.name or wire.function.name or ""
        arguments = wire.function.arguments
        if isinstance(arguments, str):
            call.arguments.append(arguments)
        elif arguments is not None:
            call.arguments.append(msgspec.json.encode(arguments).decode())

    def _find(self, wire: _Call) -> _Growing | None:
        """The call that a fragment belongs to. A new id begins a new call, whatever the index says."""
        if wire.index is not None:
            known = self._by_index.get(wire.index)
        else:
            known = self._calls[-1] if self._calls else None
        if known is not None and wire.id and known.id != wire.id:
            return next((call for call in self._calls if call.id == wire.id), None)
        return known


def _text(content: Any) -> str:
    """The text of a content, which may come in parts; what a model thinks to itself is none."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _fault(event: Any) -> ServerFault:
    error = event.get("error") if isinstance(event, Mapping) else None
    told = error if isinstance(error, Mapping) else event
    code, kind = told.get("code"), str(told.get("type", ""))
    if isinstance(code, int) and 400 <= code <= 599:
        status = code
    else:
        status = 429 if "rate_limit" in kind or "rate_limit" in str(code) else 500
    return ServerFault(status, _words_of(event))
