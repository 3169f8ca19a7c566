"""The `webhook` agent: each question is an HTTP POST, the answer is spoken as it comes.

settings → `wire` (the request) and `answers` (the answer) → `post` (the exchange) → here. `asking` decides whether
the agent is asked at all, and which of its actions count; `end` delivers the ends of calls.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from bridge.agents.asking import Asking, OnBreaker, OnRefused
from bridge.agents.base import Question
from bridge.agents.breaker import BreakerLimits
from bridge.agents.http_exchange import HttpLimits
from bridge.agents.webhook.end import END_PAUSES, EndDelivery
from bridge.agents.webhook.post import Letter, WebhookHttp
from bridge.conversation.actions import Action


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
    redact: Callable[[bytes], bytes] = bytes
    """What is done to the body of an event before it is written there."""


class WebhookAgent:
    """Asks an HTTP agent. One per process and URL; holds the connections to it.

    `secret` signs the questions (`wire.signing_key` tells its forms); empty: unsigned. `timeout_seconds`
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
        self._ends = EndDelivery(self._http, pauses=end_pauses, folder=options.ended_folder, redact=options.redact)
        self._asking = Asking(self._http.shown, options.breaker, on_refused=on_refused, on_breaker=on_breaker)

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
            for action in self._asking.accepted(await self._ends.deliver(Letter.of(question)), question, refused):
                yield action
            return
        with self._asking.admitted() as verdict:
            async with aclosing(self._http.post(Letter.of(question))) as answer:
                async for pieces in answer:
                    for action in self._asking.accepted(pieces, question, refused):
                        yield action
            verdict.complete = True

    async def close(self) -> None:
        """Close the connections. What is undelivered stays in the folder."""
        await self._ends.close()
        await self._http.close()
