"""One request to a webhook agent: the connections, the time-outs, and what goes wrong in them as AgentError.

Everything here is bytes and pieces; what an answer means for a call is decided in `webhook`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

import aiohttp
from yarl import URL

from bridge.agents.action_json import Piece
from bridge.agents.base import Question
from bridge.agents.targets import TargetRefusedError, check_url, open_session, refusal
from bridge.agents.webhook_answers import AnswerReader
from bridge.agents.webhook_wire import delivery_headers, encode_question, question_id, signing_key
from bridge.errors import AgentError, SettingsError

T = TypeVar("T")

KEEP_ALIVE_SECONDS = 4.0
"""How long an idle connection is kept. Node and uvicorn close theirs after 5 s: a question sent in the same moment
would be lost, and a question about a turn is never sent twice."""
SETTLE_SECONDS = 0.02
"""How long the end of an answer may lie behind its `[DONE]`. It comes in the same moment, or not at all."""

_REPEATABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

try:
    VERSION = version("phone-bridge")
except PackageNotFoundError:  # the source tree on the path without an installation
    VERSION = "0"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long an agent may take, in seconds."""

    connect_s: float = 3.0
    """Name look-up, TCP and TLS together."""
    quiet_s: float = 10.0
    """To the first byte of the answer, and from any byte to the next."""
    whole_s: float = 60.0
    """The whole answer, counted from the request, however it trickles."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is posted: a question as it goes over the wire. The signature is made when it is sent."""

    message_id: str
    """`webhook-id`: the same each time that this is posted."""
    call_id: str
    body: bytes

    @classmethod
    def of(cls, question: Question) -> Letter:
        """Write a question."""
        return cls(question_id(question), question.call.id, encode_question(question))


class AgentStatusError(AgentError):
    """The agent answered with an HTTP status that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, code="agent_status")
        self.status = status


def is_passing(error: AgentError) -> bool:
    """Whether the failure is one of the moment: not there, too slow, or a status that says so."""
    if isinstance(error, AgentStatusError):
        return error.status in _REPEATABLE_STATUSES
    return error.code in {"agent_unreachable", "agent_timeout"}


class WebhookHttp:
    """Posts letters to one URL. Holds the connections to it.

    Redirects are not followed and the proxy variables of the environment are not used: the answer comes from where
    the settings say, or not at all. Raises SettingsError for a URL or secret that cannot work.
    """

    def __init__(self, url: str, *, secret: str, limits: HttpLimits, allow_private: bool) -> None:
        self._url = _checked(url)
        self.shown = str(self._url.with_user(None).with_query(None).with_fragment(None))
        """The URL as a log may show it: without user, password and query."""
        self.identity = str(self._url.with_user(None).with_fragment(None))
        """What tells this agent from others, query included."""
        self.limits = limits
        self._key = signing_key(secret)
        self._allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, letter: Letter, *, attempt: int = 0, limits: HttpLimits | None = None
    ) -> AsyncGenerator[list[Piece], None]:
        """Post and yield the pieces of the answer as they arrive; an empty list first, once it has a good status.

        Stopping or cancelling closes the connection, if the answer is not complete.
        Raises AgentError: `agent_unreachable`, `agent_timeout`, `agent_status`, `agent_answer` or `agent_target`.
        """
        limits = limits or self.limits
        started = asyncio.get_running_loop().time()
        with self._translated(limits):
            response = await self._begun(letter, attempt, limits, started)
            try:
                self._check_status(response)
                yield []
                reader = AnswerReader(response.headers.get("content-type", ""))
                while not reader.done and (data := await self._next(response, limits, started + limits.whole_s)):
                    if pieces := reader.feed(data):
                        yield pieces
                yield reader.finish()
                await self._settle(response)
            finally:
                response.close()  # A complete answer has given its connection back by now; this is for the others.

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def failed(self, code: str, what: str) -> AgentError:
        """Make the error that says what the agent did."""
        return AgentError(f"the agent at {self.shown} {what}", code=code)

    async def _begun(
        self, letter: Letter, attempt: int, limits: HttpLimits, started: float
    ) -> aiohttp.ClientResponse:
        """Send the request and wait for the head of the answer, which may trickle, too."""
        if not self._allow_private:
            check_url(self._url)
        if self._session is None:
            self._session = open_session(allow_private=self._allow_private, keepalive_seconds=KEEP_ALIVE_SECONDS)
        headers = delivery_headers(
            letter.message_id,
            letter.call_id,
            letter.body,
            key=self._key,
            now=time.time(),
            version=VERSION,
            attempt=attempt,
        )
        timeout = aiohttp.ClientTimeout(
            total=None, connect=limits.connect_s, sock_connect=limits.connect_s, sock_read=limits.quiet_s
        )
        request = self._session.post(
            self._url, data=letter.body, headers=headers, timeout=timeout, allow_redirects=False
        )
        seconds = min(limits.connect_s + limits.quiet_s, limits.whole_s)
        return await self._by(started + seconds, f"did not begin its answer within {seconds:g} s", request)

    async def _next(self, response: aiohttp.ClientResponse, limits: HttpLimits, deadline: float) -> bytes:
        what = f"did not end its answer within {limits.whole_s:g} s"
        return await self._by(deadline, what, response.content.readany())

    async def _settle(self, response: aiohttp.ClientResponse) -> None:
        """Await the end of an answer that said it was done, so that its connection can serve the next question."""
        if not response.content.at_eof():
            try:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await response.content.readany()
            except (TimeoutError, aiohttp.ClientError):
                pass  # An agent that keeps it open; all that matters is there.

    async def _by(self, deadline: float, what: str, work: Awaitable[T]) -> T:
        """Await one step of the exchange. Around the whole it could not be: the generator's user is not timed."""
        scope = asyncio.timeout_at(deadline)
        try:
            async with scope:
                return await work
        except TimeoutError:
            if scope.expired():
                raise self.failed("agent_timeout", what) from None
            raise

    def _check_status(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        advice = "; redirects are not followed, set agent.url to the final address" if 300 <= status < 400 else ""
        raise AgentStatusError(status, f"the agent at {self.shown} answered with status {status}{advice}")

    @contextmanager
    def _translated(self, limits: HttpLimits) -> Iterator[None]:
        """Turn what aiohttp raises into AgentError."""
        try:
            yield
        except aiohttp.ConnectionTimeoutError as error:
            what = f"could not be connected to within {limits.connect_s:g} s"
            raise self.failed("agent_unreachable", what) from error
        except TimeoutError as error:  # aiohttp's SocketTimeoutError is one
            raise self.failed("agent_timeout", f"sent nothing for {limits.quiet_s:g} s") from error
        except aiohttp.ClientPayloadError as error:
            raise self.failed("agent_unreachable", "broke its answer off") from error
        except aiohttp.ServerDisconnectedError as error:
            raise self.failed("agent_unreachable", "closed the connection without an answer") from error
        except aiohttp.ClientResponseError as error:
            raise self.failed("agent_answer", "did not answer in HTTP") from error
        except TargetRefusedError as error:
            raise self._refused(error) from error
        except (aiohttp.ClientError, OSError) as error:
            if (refused := refusal(error)) is not None:
                raise self._refused(refused) from error
            reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
            raise self.failed("agent_unreachable", f"cannot be reached: {reason}") from error

    def _refused(self, error: TargetRefusedError) -> AgentError:
        return self.failed("agent_target", f"is not asked: {error.message}")


def _checked(url: str) -> URL:
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise SettingsError(
            f"agent.url (BRIDGE_AGENT__URL) is {url!r}: wanted an http(s) URL such as http://127.0.0.1:5000/agent"
        )
    return parsed
