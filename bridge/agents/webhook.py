"""The `webhook` agent: each question is an HTTP POST, the answer is spoken as it comes.

settings → `webhook_wire` (the request) and `webhook_answers` (the answer) → this session.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from importlib.metadata import PackageNotFoundError, version

import aiohttp
import structlog
from yarl import URL

from bridge.agents.action_json import MALFORMED, TOO_MANY, Piece, Refused
from bridge.agents.base import Question
from bridge.agents.webhook_answers import AnswerReader
from bridge.agents.webhook_wire import build_headers, encode_question, signing_key
from bridge.conversation.actions import Action
from bridge.errors import AgentError, SettingsError

OnRefused = Callable[[str], None]
"""Told the kind of each action that was refused; `other` for a kind outside the vocabulary, so that it can be a
metric's label."""

CONNECT_SECONDS = 3.0
"""Name look-up, TCP and TLS together."""
KEEP_ALIVE_SECONDS = 4.0
"""How long an idle connection is kept. Node and uvicorn close theirs after 5 s: a question sent in the same moment
would be lost, and a question about a turn is never sent twice."""
END_SECONDS = 10.0
"""Time for delivering `call.ended`, all attempts together."""
END_ATTEMPT_SECONDS = 5.0
"""Time for one of these attempts, so that a hanging agent gets a second one."""
END_PAUSES = (0.3, 0.8, 1.8, 3.5)
"""Seconds before each further attempt, at most; a random part of up to half is taken off."""

VOCABULARY = frozenset(
    {"say", "play", "send_digits", "gather_digits", "transfer", "hang_up", "set", "note", MALFORMED, TOO_MANY}
)
"""Kinds that are reported to `OnRefused` by their own name."""

_RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

_log = structlog.get_logger()

try:
    _VERSION = version("phone-bridge")
except PackageNotFoundError:  # the source tree on the path without an installation
    _VERSION = "0"


class WebhookAgent:
    """Asks an HTTP agent. One per process and URL; holds the connections to it.

    `secret` signs the questions (`webhook_wire.signing_key` tells its forms); empty: unsigned. `timeout_seconds`
    bounds the wait for the first byte of an answer and for each further one. Redirects are not followed and the
    proxy variables of the environment are not used: the answer comes from where the settings say, or not at all.
    Raises SettingsError for a URL or secret that cannot work.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str = "",
        timeout_seconds: float = 10.0,
        on_refused: OnRefused | None = None,
        end_pauses: Sequence[float] = END_PAUSES,
    ) -> None:
        self._url = _checked(url)
        self._shown = str(self._url.with_user(None).with_query(None).with_fragment(None))
        self._key = signing_key(secret)
        self._timeout = timeout_seconds
        self._on_refused = on_refused or (lambda _kind: None)
        self._end_pauses = end_pauses
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """Where the questions go, as a log may show it: without user, password and query."""
        return self._shown

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:
        """Post the question and yield the actions of the answer as they arrive.

        Cancelling closes the connection at once, which is how the agent learns that nobody waits any more. A
        question about a turn is posted once; `call.ended` is posted again after a failure, for up to
        `END_SECONDS`, and its actions are yielded when it was delivered.
        Raises AgentError: `agent_unreachable`, `agent_timeout`, `agent_status` or `agent_answer`.
        """
        if question.occasion == "call.ended":
            for action in await self._deliver_end(question):
                yield action
            return
        async with aclosing(self._post(question, encode_question(question), self._timeout)) as actions:
            async for action in actions:
                yield action

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _deliver_end(self, question: Question) -> list[Action]:
        body = encode_question(question)
        failure: AgentError | None = None
        try:
            async with asyncio.timeout(END_SECONDS):
                for attempt, pause in enumerate((0.0, *self._end_pauses)):
                    # Spread out, because all calls of a node may end in one moment.
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter guards nothing
                    try:
                        seconds = min(self._timeout, END_ATTEMPT_SECONDS)
                        return [action async for action in self._post(question, body, seconds, attempt)]
                    except AgentError as error:
                        if not _worth_retrying(error):
                            raise
                        failure = error
        except TimeoutError:
            pass
        raise failure or self._failed("agent_timeout", f"did not take call.ended within {END_SECONDS:g} s")

    async def _post(
        self, question: Question, body: bytes, timeout_seconds: float, attempt: int = 0
    ) -> AsyncGenerator[Action, None]:
        headers = build_headers(question, body, key=self._key, now=time.time(), version=_VERSION, attempt=attempt)
        limits = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=timeout_seconds
        )
        logged: set[str] = set()
        with self._translated(timeout_seconds):
            async with self._open().post(
                self._url, data=body, headers=headers, timeout=limits, allow_redirects=False
            ) as response:
                try:
                    self._check_status(response)
                    reader = AnswerReader(response.headers.get("content-type", ""))
                    async for data in response.content.iter_any():
                        for action in self._accepted(reader.feed(data), question, logged):
                            yield action
                        if reader.done:
                            break
                    for action in self._accepted(reader.finish(), question, logged):
                        yield action
                finally:
                    if not response.content.at_eof():
                        response.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The default of 100 connections would make the 101st caller wait without a word.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
                # What one call is given must not show up in another.
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    def _check_status(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        advice = "; redirects are not followed, set agent.url to the final address" if 300 <= status < 400 else ""
        raise AgentStatusError(status, f"the agent at {self._shown} answered with status {status}{advice}")

    def _accepted(self, pieces: list[Piece], question: Question, logged: set[str]) -> Iterator[Action]:
        """Let actions through; log what is refused once per kind and answer, and count it each time."""
        for piece in pieces:
            if not isinstance(piece, Refused):
                yield piece
                continue
            self._on_refused(piece.kind if piece.kind in VOCABULARY else "other")
            if piece.kind not in logged:
                logged.add(piece.kind)
                _log.warning(
                    "agent_action_refused",
                    call=question.call.id,
                    reply=question.reply,
                    kind=piece.kind[:40],
                    reason=piece.reason,
                )

    def _failed(self, code: str, what: str) -> AgentError:
        return AgentError(f"the agent at {self._shown} {what}", code=code)

    @contextmanager
    def _translated(self, timeout_seconds: float) -> Iterator[None]:
        """Turn what aiohttp raises into AgentError."""
        try:
            yield
        except aiohttp.ConnectionTimeoutError as error:
            raise self._failed(
                "agent_unreachable", f"could not be connected to within {CONNECT_SECONDS:g} s"
            ) from error
        except TimeoutError as error:  # aiohttp's SocketTimeoutError is one
            raise self._failed("agent_timeout", f"sent nothing for {timeout_seconds:g} s") from error
        except aiohttp.ClientPayloadError as error:
            raise self._failed("agent_unreachable", "broke its answer off") from error
        except aiohttp.ServerDisconnectedError as error:
            raise self._failed("agent_unreachable", "closed the connection without an answer") from error
        except aiohttp.ClientResponseError as error:
            raise self._failed("agent_answer", "did not answer in HTTP") from error
        except (aiohttp.ClientError, OSError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
            raise self._failed("agent_unreachable", f"cannot be reached: {reason}") from error


class AgentStatusError(AgentError):
    """The agent answered with an HTTP status that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, code="agent_status")
        self.status = status


def _worth_retrying(error: AgentError) -> bool:
    if isinstance(error, AgentStatusError):
        return error.status in _RETRIED_STATUSES
    return error.code in {"agent_unreachable", "agent_timeout"}


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
