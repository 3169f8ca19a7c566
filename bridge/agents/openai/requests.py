"""The requests of an `openai` agent: a completion as it streams, and the HTTP tools that a model asks for."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import structlog

from bridge.agents.http_exchange import (
    VERSION,
    AgentGoneError,
    AgentStatusError,
    HttpClient,
    HttpLimits,
    HttpRequest,
    checked_url,
)
from bridge.agents.openai.tools import HttpCall
from bridge.agents.openai.wire import (
    ChatMessage,
    ChatReader,
    LimitName,
    Part,
    ServerFault,
    complaint,
    encode_request,
    other_limit,
)
from bridge.errors import AgentError

KEEP_ALIVE_SECONDS = 30.0
"""How long an idle connection to a model is kept. A completion that finds it closed is asked for again: nothing
comes of a completion that nobody read."""
MAX_RESULT_BYTES = 16_384
"""How much of a tool's answer a model is given."""
MIN_ANSWER_BYTES = 1_000_000
BYTES_PER_TOKEN = 2000
"""An event holds one token and a few hundred bytes around it; a stream of more is none of an answer."""

_NEWER_LIMIT_HOSTS = ("api.openai.com",)

_log = structlog.get_logger()


class Completions:
    """Asks one chat-completions endpoint. Holds the connections to it.

    `url` is the base of the API, such as `https://api.openai.com/v1`, or the whole address. Raises SettingsError
    for a URL that cannot work.
    """

    def __init__(self, url: str, *, api_key: str, model: str, max_tokens: int, allow_private: bool) -> None:
        base = checked_url(url, "https://api.openai.com/v1")
        whole = base.path.rstrip("/").endswith("/chat/completions")
        self._url = base if whole else (base / "chat" / "completions").with_query(base.query)
        self._model = model
        self._max_tokens = max_tokens
        self._limit: LimitName = "max_completion_tokens" if base.host in _NEWER_LIMIT_HOSTS else "max_tokens"
        self._client = HttpClient(allow_private=allow_private, keep_alive_s=KEEP_ALIVE_SECONDS)
        self._headers = {
            "content-type": "application/json",
            "accept": "text/event-stream, application/json;q=0.9",
            # A compressing proxy holds text back until its window is full: speech has to come as it is made.
            "accept-encoding": "identity",
            "user-agent": f"phone-bridge/{VERSION}",
        }
        if api_key and base.user is None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._key = api_key
        self.shown = self._request(b"").shown
        """The address as a log may show it."""

    async def stream(
        self,
        reader: ChatReader,
        messages: Sequence[ChatMessage],
        tools: Sequence[dict[str, object]],
        limits: HttpLimits,
        *,
        temperature: float | None,
        speak: bool,
    ) -> AsyncGenerator[list[Part], None]:
        """Ask, and yield the parts of the answer as `reader` makes them out; at first none, once it begins.

        Stopping or cancelling closes the connection, if the answer is not complete. Raises AgentError:
        `agent_unreachable`, `agent_timeout`, `agent_status`, `agent_answer` or `agent_target`.
        """
        begun = False
        tried: set[object] = set()
        while True:
            limit = self._limit
            body = encode_request(
                self._model,
                messages,
                tools,
                limit=(limit, self._max_tokens),
                temperature=temperature,
                speak=speak,
            )
            try:
                async with aclosing(self._answered(reader, body, limits)) as parts:
                    async for some in parts:
                        begun = True
                        yield some
            except AgentGoneError:
                if begun or "gone" in tried:
                    raise
                tried.add("gone")  # An idle connection was closed in the very moment.
            except AgentStatusError as error:
                other = other_limit(limit, error.status, error.said)
                if begun or other is None or other in tried:
                    raise
                tried |= {limit, other}
                self._limit = other  # Also for the completions to come.
            else:
                return

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _request(self, body: bytes) -> HttpRequest:
        return HttpRequest(self._url, self._headers, body, who="model", explain=self._complaint)

    def _complaint(self, body: bytes) -> str:
        said = complaint(body)
        return said.replace(self._key, "********") if self._key else said

    async def _answered(
        self, reader: ChatReader, body: bytes, limits: HttpLimits
    ) -> AsyncGenerator[list[Part], None]:
        request = self._request(body)
        left = max(MIN_ANSWER_BYTES, BYTES_PER_TOKEN * self._max_tokens)
        async with self._client.ask(request, limits) as answer:
            media_type = answer.content_type.partition(";")[0].strip().lower()
            if media_type not in {"text/event-stream", "application/json"}:
                named = media_type[:60] or "(none)"
                raise request.failed(
                    "agent_answer", f"answered with content type {named}; see that agent.url is right"
                )
            if media_type == "application/json":
                reader.take_whole()
            yield []
            while not reader.done and (data := await answer.next()):
                left -= len(data)
                if left < 0:
                    raise request.failed("agent_answer", "sends an answer without end")
                parts = reader.feed(data)
                yield parts
                self._check(parts, request)
            parts = reader.finish()
            yield parts
            self._check(parts, request)
            if not reader.understood:
                raise request.failed("agent_answer", "sent an answer that was not understood")
            if reader.lacking:
                raise request.failed("agent_unreachable", "broke its answer off")
            await answer.settle()

    def _check(self, parts: list[Part], request: HttpRequest) -> None:
        """Raise what the server said of itself, once the words before it were handed on."""
        for part in parts:
            if isinstance(part, ServerFault):
                said = self._complaint(part.said.encode())
                what = f"the model at {request.shown} gave up in the middle of its answer: {said or part.status}"
                raise AgentStatusError(part.status, what, said=said)


class HttpTools:
    """Carries out the HTTP tools. Holds the connections to them."""

    def __init__(self, *, connect_seconds: float, allow_private: bool) -> None:
        self._connect_s = connect_seconds
        self._client = HttpClient(allow_private=allow_private)

    async def run(self, call: HttpCall, *, call_id: str, seconds: float) -> str:
        """Send the request, and return what the model is to know of its answer.

        Takes `seconds` at most, or less where the tool's own limit is. Never raises: a failure is a result, too.
        Cancelling closes the connection.
        """
        started = time.monotonic()
        seconds = max(0.05, min(seconds, call.tool.timeout_seconds))
        try:
            result, outcome = await self._asked(call, seconds), "ok"
        except AgentStatusError as error:
            result, outcome = f"error: status {error.status}. {error.said}".strip(), str(error.status)
        except AgentError as error:
            # Without the address, which has arguments in it.
            result = "error: " + ("it took too long" if error.code == "agent_timeout" else "it cannot be reached")
            outcome = error.code
        _log.info(
            "agent_tool_called",
            call=call_id,
            tool=call.tool.name,
            outcome=outcome,
            ms=round((time.monotonic() - started) * 1000),
        )
        return result

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _asked(self, call: HttpCall, seconds: float) -> str:
        headers = {"accept": "application/json, text/*;q=0.9", "user-agent": f"phone-bridge/{VERSION}"}
        if call.body is not None:
            headers["content-type"] = "application/json"
        headers.update({name.lower(): value for name, value in call.tool.headers.items()})
        request = HttpRequest(call.url, headers, call.body, call.tool.method, who="tool", explain=_readable)
        limits = HttpLimits(min(self._connect_s, seconds), seconds, seconds)
        found = bytearray()
        async with self._client.ask(request, limits) as answer:
            while len(found) <= MAX_RESULT_BYTES and (data := await answer.next()):
                found += data
        return _readable(bytes(found)) or "(done; the answer is empty)"


def _readable(body: bytes) -> str:
    """The text of a tool's answer, bounded."""
    text = body[:MAX_RESULT_BYTES].decode(errors="replace").strip()
    if "\x00" in text:
        return "(the answer is no text)"
    return text + (" … (cut off)" if len(body) > MAX_RESULT_BYTES else "")
