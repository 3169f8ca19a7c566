"""Sends one question to an agent as the bridge does, or a little otherwise on purpose, and measures the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from bridge.agents.action_json import Piece, Refused
from bridge.agents.base import Question
from bridge.agents.webhook.answers import AnswerReader
from bridge.agents.webhook.wire import delivery_headers, encode_question, question_id, signing_key
from bridge.conversation.actions import Action, Say
from bridge.errors import AgentError, system_reason

VERSION = "check"
CONNECT_S = 3.0
SLOW_PARTS, SLOW_PAUSE_S = 4, 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class Answer:
    """What came back, and when."""

    status: int = 0
    """HTTP status; 0: none came."""
    content_type: str = ""
    location: str = ""
    body: bytes = b""
    pieces: list[Piece] = field(default_factory=list)
    first_ms: int | None = None
    """When the first piece was there, in ms after the request."""
    whole_ms: int = 0
    error: str = ""
    """Why there is no answer, or not a whole one; empty: there is."""
    error_code: str = ""
    """`unreachable`, `timeout`, or a code of AgentError."""

    @property
    def actions(self) -> list[Action]:
        """What the agent wants done."""
        return [piece for piece in self.pieces if not isinstance(piece, Refused)]

    @property
    def refused(self) -> list[Refused]:
        """What it wants and cannot have."""
        return [piece for piece in self.pieces if isinstance(piece, Refused)]

    @property
    def text(self) -> str:
        """What is spoken."""
        return "".join(action.text for action in self.actions if isinstance(action, Say))


class Probe:
    """Asks one agent. `secret` as in the settings; empty: unsigned. Times in seconds. Used as a context manager."""

    def __init__(self, url: str, *, secret: str = "", timeout_s: float = 10.0, whole_s: float = 60.0) -> None:
        self.url = url
        self.secret = secret
        self.timeout_s = timeout_s
        self.whole_s = whole_s
        self.connections = 0
        """TCP connections opened so far."""
        self.unanswered = 0
        """Questions in a row to which nothing came at all."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Probe:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        self._session = aiohttp.ClientSession(
            trace_configs=[trace],
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def _connected(self, *_: object) -> None:
        self.connections += 1

    def request(
        self,
        question: Question,
        *,
        body: bytes | None = None,
        secret: str | None = None,
        age_s: float = 0.0,
        message_id: str = "",
    ) -> Request:
        """Write a question as the bridge does; its body, secret, age of the signature or id may be others."""
        body = encode_question(question) if body is None else body
        key = signing_key(self.secret if secret is None else secret)
        headers = delivery_headers(
            message_id or question_id(question),
            question.call.id,
            body,
            key=key,
            now=time.time() - age_s,
            version=VERSION,
        )
        return Request(body, headers)

    async def ask(self, question: Question) -> Answer:
        """Ask as the bridge does, and take the whole answer."""
        return await self.send(self.request(question))

    async def send(self, request: Request, *, slowly: bool = False, most_pieces: int | None = None) -> Answer:
        """Send a request and take the answer; what goes wrong stands in it, nothing is raised.

        `slowly` sends the body in parts, with pauses. After `most_pieces` pieces the connection is closed, as for
        a caller who cuts in; None: the answer is taken to its end.
        """
        answer, started = Answer(), time.monotonic()
        try:
            async with asyncio.timeout(self.whole_s):
                await self._exchange(request, answer, slowly=slowly, most_pieces=most_pieces, started=started)
        except aiohttp.ConnectionTimeoutError:
            answer.error = f"it could not be connected to within {CONNECT_S:g} s"
            answer.error_code = "unreachable"
        except TimeoutError:
            waited = time.monotonic() - started
            answer.error_code = "timeout"
            whole = waited >= self.whole_s
            answer.error = (
                f"the answer was not complete after {self.whole_s:g} s" if whole else _nothing(self.timeout_s)
            )
        except AgentError as error:
            answer.error, answer.error_code = error.message, error.code
        except (aiohttp.ClientError, OSError) as error:
            answer.error, answer.error_code = _plain(error), "unreachable"
        answer.whole_ms = _ms(started)
        self.unanswered = 0 if answer.status else self.unanswered + 1
        return answer

    async def cancel(self, request: Request, after_s: float) -> None:
        """Send a request and close the connection after a time, whatever came until then."""
        try:
            async with asyncio.timeout(after_s):
                await self.send(request)
        except TimeoutError:
            pass

    async def _exchange(
        self, request: Request, answer: Answer, *, slowly: bool, most_pieces: int | None, started: float
    ) -> None:
        session = self._session
        if session is None:
            raise RuntimeError("a Probe is used as a context manager")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=self.timeout_s)
        data: Any = _in_parts(request.body) if slowly else request.body
        headers = {**request.headers, "content-length": str(len(request.body))} if slowly else request.headers
        async with session.post(
            self.url, data=data, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            answer.status = response.status
            answer.content_type = response.headers.get("content-type", "")
            answer.location = response.headers.get("location", "")
            try:
                await self._read(response, answer, most_pieces, started)
            finally:
                if not response.content.at_eof():
                    response.close()

    async def _read(
        self, response: aiohttp.ClientResponse, answer: Answer, most_pieces: int | None, started: float
    ) -> None:
        if not 200 <= answer.status < 300:
            answer.body = await response.content.read(2_000)
            return
        reader = AnswerReader(answer.content_type)
        while not reader.done and (data := await response.content.readany()):
            answer.body += data
            self._take(answer, reader.feed(data), started)
            if most_pieces is not None and len(answer.pieces) >= most_pieces:
                return
        self._take(answer, reader.finish(), started)

    def _take(self, answer: Answer, pieces: list[Piece], started: float) -> None:
        if pieces and answer.first_ms is None:
            answer.first_ms = _ms(started)
        answer.pieces += pieces


def later(question: Question, **changes: Any) -> Question:
    """Return the question with other fields, as one about the next reply of its call."""
    return replace(question, reply=question.reply + 1, **changes)


async def _in_parts(body: bytes) -> AsyncIterator[bytes]:
    size = max(1, len(body) // SLOW_PARTS)
    for start in range(0, len(body), size):
        yield body[start : start + size]
        await asyncio.sleep(SLOW_PAUSE_S)


def _plain(error: Exception) -> str:
    match error:
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "it broke its answer off"
        case aiohttp.ClientResponseError():
            return "it did not answer in HTTP"
        case aiohttp.InvalidURL():
            return "this is no URL that can be asked"
        case OSError():
            return f"it cannot be reached: {system_reason(error)}"
        case _:
            return f"it cannot be reached: {type(error).__name__}"


def _nothing(seconds: float) -> str:
    return f"nothing came for {seconds:g} s"


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
