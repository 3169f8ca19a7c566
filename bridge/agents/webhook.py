"""The `webhook` agent: each question is an HTTP POST, the answer is spoken as it comes.

settings → `webhook_wire` (the request) and `webhook_answers` (the answer) → `webhook_http` (the connection) → here,
where it is decided whether the agent is asked at all, and which of its actions count. `webhook_end` delivers the
ends of calls.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bridge.agents.action_json import MALFORMED, TOO_MANY, Piece, Refused
from bridge.agents.base import Question
from bridge.agents.breaker import Breaker, BreakerLimits
from bridge.agents.webhook_end import END_PAUSES, EndDelivery
from bridge.agents.webhook_http import HttpLimits, Letter, WebhookHttp, is_passing
from bridge.conversation.actions import Action
from bridge.errors import AgentError

OnRefused = Callable[[str], None]
"""Told the kind of each action that was refused; `other` for a kind outside the vocabulary, so that it can be a
metric's label."""

OnBreaker = Callable[[str], None]
"""Told `open` when an agent is left alone from now on, and `closed` when it answered again."""

VOCABULARY = frozenset(
    {
        "say",
        "play",
        "send_digits",
        "gather_digits",
        "record_message",
        "transfer",
        "hang_up",
        "set",
        "note",
        MALFORMED,
        TOO_MANY,
    }
)
"""Kinds that are reported to `OnRefused` by their own name."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """How an agent is treated; the defaults fit one that the operator runs."""

    connect_seconds: float = 3.0
    """For name look-up, TCP and TLS together."""
    answer_seconds: float = 60.0
    """For a whole answer, counted from the question, however it trickles. What came until then is spoken."""
    allow_private: bool = True
    """Whether the URL may lead into a private network or to this machine. False for a URL that is not the
    operator's own: then AgentError `agent_target` is raised, also for a name that resolves to such an address."""
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    """After which failures the agent is not asked for a while."""
    ended_folder: Path | None = None
    """Where undelivered `call.ended` events wait, across restarts; None: they are tried for seconds only."""


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
        on_breaker: OnBreaker | None = None,
        end_pauses: Sequence[float] = END_PAUSES,
        options: WebhookOptions = WebhookOptions(),
    ) -> None:
        limits = HttpLimits(options.connect_seconds, timeout_seconds, options.answer_seconds)
        self._http = WebhookHttp(url, secret=secret, limits=limits, allow_private=options.allow_private)
        self._ends = EndDelivery(self._http, pauses=end_pauses, folder=options.ended_folder)
        self._breaker = Breaker(options.breaker)
        self._on_refused = on_refused or (lambda _kind: None)
        self._on_breaker = on_breaker or (lambda _state: None)

    @property
    def url(self) -> str:
        """Where the questions go, as a log may show it: without user, password and query."""
        return self._http.shown

    def start(self) -> None:
        """Begin to deliver the `call.ended` events that a former process left in the folder.

        Happens by itself with the first end of a call. Needs a running loop.
        """
        self._ends.start()

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:
        """Post the question and yield the actions of the answer as they arrive.

        Cancelling closes the connection at once, which is how the agent learns that nobody waits any more. A
        question about a turn is posted once; `call.ended` is posted again after a failure, for some seconds while
        this waits and then, from the folder, for a day; its actions are yielded when it was delivered at once.
        Raises AgentError: `agent_unreachable`, `agent_timeout`, `agent_status`, `agent_answer`, `agent_target`, or
        at once `agent_breaker_open` while the agent is left alone.
        """
        refused: set[str] = set()
        if question.occasion == "call.ended":
            for action in self._accepted(await self._ends.deliver(Letter.of(question)), question, refused):
                yield action
            return
        self._admit()
        failure: AgentError | None = None
        complete = False
        try:
            async with aclosing(self._http.post(Letter.of(question))) as answer:
                async for pieces in answer:
                    for action in self._accepted(pieces, question, refused):
                        yield action
            complete = True
        except AgentError as error:
            failure = error
            raise
        finally:
            self._judge(failure, complete=complete)

    async def close(self) -> None:
        """Close the connections. What is undelivered stays in the folder."""
        await self._ends.close()
        await self._http.close()

    def _admit(self) -> None:
        """Raise `agent_breaker_open` while the agent is left alone."""
        now = time.monotonic()
        if not self._breaker.allow(now):
            seconds = self._breaker.seconds_left(now)
            when = f"for {seconds:.0f} s more" if seconds else "until one trial has ended"
            raise self._http.failed("agent_breaker_open", f"has failed again and again and is left alone {when}")

    def _judge(self, failure: AgentError | None, *, complete: bool) -> None:
        """Tell the breaker how a question went. An answer that makes no sense came from an agent that is there."""
        if failure is not None and failure.code == "agent_target":
            self._breaker.dropped()  # It was not asked.
        elif failure is not None and is_passing(failure):
            if self._breaker.failed(time.monotonic()):
                _log.warning("agent_breaker_opened", agent=self.url, code=failure.code, error=failure.message)
                self._on_breaker("open")
        elif complete or failure is not None:
            if self._breaker.succeeded():
                _log.info("agent_breaker_closed", agent=self.url)
                self._on_breaker("closed")
        else:
            self._breaker.dropped()

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
