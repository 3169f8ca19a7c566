"""One HTTP request of an agent and its answer: the connections, the time-outs, and what goes wrong, as AgentError.

Everything here is bytes; what an answer means is decided by the kinds of agents that ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

import aiohttp
from yarl import URL

from bridge.agents.targets import TargetRefusedError, check_url, open_session, refusal
from bridge.errors import AgentError, SettingsError

T = TypeVar("T")

KEEP_ALIVE_SECONDS = 4.0
"""How long an idle connection is kept. Node and uvicorn close theirs after 5 s: a question sent in the same moment
would be lost, and a question about a turn is never sent twice."""
SETTLE_SECONDS = 0.02
"""How long the end of an answer may lie behind its `[DONE]`. It comes in the same moment, or not at all."""
COMPLAINT_BYTES = 4096
"""How much of an answer with a bad status is read, for what it says of the reason."""

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
class HttpRequest:
    """What is asked."""

    url: URL
    headers: Mapping[str, str]
    body: bytes | None = None
    method: str = "POST"
    who: str = "agent"
    """What the errors call the other side."""
    explain: Callable[[bytes], str] | None = field(default=None, compare=False)
    """Finds the reason in the body of an answer with a bad status; None: it is not read."""

    @property
    def shown(self) -> str:
        """The URL as a log may show it: without user, password and query."""
        return shown(self.url)

    def failed(self, code: str, what: str) -> AgentError:
        """Make the error that says what the other side did."""
        return AgentError(f"the {self.who} at {self.shown} {what}", code=code)


class AgentStatusError(AgentError):
    """The agent answered with an HTTP status that is no success."""

    def __init__(self, status: int, message: str, *, said: str = "") -> None:
        super().__init__(message, code="agent_status")
        self.status = status
        self.said = said
        """The reason that the body gave; empty where none was found, or looked for."""


class AgentGoneError(AgentError):
    """The connection was closed before a byte of the answer came: so does a server that closes an idle one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="agent_unreachable")


def is_passing(error: AgentError) -> bool:
    """Whether the failure is one of the moment: not there, too slow, or a status that says so."""
    if isinstance(error, AgentStatusError):
        return error.status in _REPEATABLE_STATUSES
    return error.code in {"agent_unreachable", "agent_timeout"}


class HttpAnswer:
    """An answer with a good status, while it comes."""

    def __init__(self, response: aiohttp.ClientResponse, request: HttpRequest, whole_s: float, due: float) -> None:
        self.content_type = response.headers.get("content-type", "")
        self._response = response
        self._request = request
        self._whole_s = whole_s
        self._due = due

    async def next(self) -> bytes:
        """Wait for the next bytes; none: the answer is over. Raises AgentError as `HttpClient.ask`."""
        what = f"did not end its answer within {self._whole_s:g} s"
        return await _by(self._due, self._request, what, self._response.content.readany())

    async def settle(self) -> None:
        """Await the end of an answer that said it was done, so that its connection can serve the next question."""
        if not self._response.content.at_eof():
            try:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await self._response.content.readany()
            except (TimeoutError, aiohttp.ClientError):
                pass  # An agent that keeps it open; all that matters is there.


class HttpClient:
    """Holds the connections to the servers that an agent asks.

    Redirects are not followed and the proxy variables of the environment are not used: the answer comes from where
    the settings say, or not at all.
    """

    def __init__(self, *, allow_private: bool, keep_alive_s: float = KEEP_ALIVE_SECONDS) -> None:
        self._allow_private = allow_private
        self._keep_alive_s = keep_alive_s
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def ask(self, request: HttpRequest, limits: HttpLimits) -> AsyncGenerator[HttpAnswer, None]:
        """Send the request and hand out its answer once that has a good status.

        Leaving early or being cancelled closes the connection, if the answer is not complete.
        Raises AgentError: `agent_unreachable`, `agent_timeout`, `agent_status`, `agent_answer` or `agent_target`.
        """
        started = asyncio.get_running_loop().time()
        with _translated(request, limits):
            response = await self._begun(request, limits, started)
            try:
                await _check_status(response, request, started + limits.whole_s)
                yield HttpAnswer(response, request, limits.whole_s, started + limits.whole_s)
            finally:
                response.close()  # A complete answer has given its connection back by now; this is for the others.

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _begun(self, request: HttpRequest, limits: HttpLimits, started: float) -> aiohttp.ClientResponse:
        """Send the request and wait for the head of the answer, which may trickle, too."""
        if not self._allow_private:
            check_url(request.url)
        if self._session is None:
            self._session = open_session(allow_private=self._allow_private, keepalive_seconds=self._keep_alive_s)
        timeout = aiohttp.ClientTimeout(
            total=None, connect=limits.connect_s, sock_connect=limits.connect_s, sock_read=limits.quiet_s
        )
        sent = self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers=request.headers,
            timeout=timeout,
            allow_redirects=False,
        )
        seconds = min(limits.connect_s + limits.quiet_s, limits.whole_s)
        return await _by(started + seconds, request, f"did not begin its answer within {seconds:g} s", sent)


def checked_url(url: str, example: str) -> URL:
    """Read `agent.url`. Raises SettingsError for what is no absolute http(s) URL; `example` is one that is."""
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise SettingsError(f"agent.url (BRIDGE_AGENT__URL) is {url!r}: wanted an http(s) URL such as {example}")
    return parsed


def shown(url: URL) -> str:
    """Write a URL as a log may show it: without user, password and query."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


async def _by(deadline: float, request: HttpRequest, what: str, work: Awaitable[T]) -> T:
    """Await one step of the exchange. Around the whole it could not be: the generator's user is not timed."""
    scope = asyncio.timeout_at(deadline)
    try:
        async with scope:
            return await work
    except TimeoutError:
        if scope.expired():
            raise request.failed("agent_timeout", what) from None
        raise


async def _check_status(response: aiohttp.ClientResponse, request: HttpRequest, deadline: float) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    advice = "; redirects are not followed, set agent.url to the final address" if 300 <= status < 400 else ""
    said = ""
    if request.explain is not None:
        said = request.explain(await _complaint(response, request, deadline))
        advice += f": {said}" if said else ""
    message = f"the {request.who} at {request.shown} answered with status {status}{advice}"
    raise AgentStatusError(status, message, said=said)


async def _complaint(response: aiohttp.ClientResponse, request: HttpRequest, deadline: float) -> bytes:
    """The beginning of the body. That it does not come must not hide the status."""
    body = b""
    try:
        while len(body) < COMPLAINT_BYTES:
            data = await _by(deadline, request, "", response.content.read(COMPLAINT_BYTES - len(body)))
            if not data:
                break
            body += data
    except (AgentError, aiohttp.ClientError, TimeoutError):
        pass
    return body


@contextmanager
def _translated(request: HttpRequest, limits: HttpLimits) -> Iterator[None]:
    """Turn what aiohttp raises into AgentError."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        what = f"could not be connected to within {limits.connect_s:g} s"
        raise request.failed("agent_unreachable", what) from error
    except TimeoutError as error:  # aiohttp's SocketTimeoutError is one
        raise request.failed("agent_timeout", f"sent nothing for {limits.quiet_s:g} s") from error
    except aiohttp.ClientPayloadError as error:
        raise request.failed("agent_unreachable", "broke its answer off") from error
    except aiohttp.ServerDisconnectedError as error:
        gone = f"the {request.who} at {request.shown} closed the connection without an answer"
        raise AgentGoneError(gone) from error
    except aiohttp.ClientResponseError as error:
        raise request.failed("agent_answer", "did not answer in HTTP") from error
    except TargetRefusedError as error:
        raise _refused(request, error) from error
    except (aiohttp.ClientError, OSError) as error:
        if (refused := refusal(error)) is not None:
            raise _refused(request, refused) from error
        reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
        raise request.failed("agent_unreachable", f"cannot be reached: {reason}") from error


def _refused(request: HttpRequest, error: TargetRefusedError) -> AgentError:
    return request.failed("agent_target", f"is not asked: {error.message}")
