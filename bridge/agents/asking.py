"""Whether an agent beyond the network is asked at all, and what is told of how it went.

The breaker decides; this gives it the time, the log and the metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from bridge.agents.action_json import MALFORMED, TOO_MANY, Piece, Refused
from bridge.agents.base import Question
from bridge.agents.breaker import Breaker, BreakerLimits
from bridge.agents.http_exchange import is_passing
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
        "remember",
        MALFORMED,
        TOO_MANY,
    }
)
"""Kinds that are reported to `OnRefused` by their own name."""

_log = structlog.get_logger()


class Verdict:
    """How one question went, for the breaker."""

    def __init__(self) -> None:
        self.complete = False
        """True: the answer came, to its end."""


class Asking:
    """Lets questions through to one agent, and lets its actions through to the call.

    `shown` names the agent in the log.
    """

    def __init__(
        self,
        shown: str,
        limits: BreakerLimits,
        *,
        on_refused: OnRefused | None = None,
        on_breaker: OnBreaker | None = None,
    ) -> None:
        self._shown = shown
        self._breaker = Breaker(limits)
        self._on_refused = on_refused or (lambda _kind: None)
        self._on_breaker = on_breaker or (lambda _state: None)

    @contextmanager
    def admitted(self) -> Iterator[Verdict]:
        """Surround a question. Raises AgentError `agent_breaker_open` while the agent is left alone.

        What the question raises, and whether its answer was complete, is told to the breaker; a question that was
        cancelled tells nothing.
        """
        self._admit()
        verdict, failure = Verdict(), None
        try:
            yield verdict
        except AgentError as error:
            failure = error
            raise
        finally:
            self._judge(failure, complete=verdict.complete)

    def accepted(self, pieces: list[Piece], question: Question, logged: set[str]) -> Iterator[Action]:
        """Let actions through; log what is refused once per kind and answer, and count it each time."""
        for piece in pieces:
            if isinstance(piece, Refused):
                self.refuse(piece, question, logged)
            else:
                yield piece

    def refuse(self, refused: Refused, question: Question, logged: set[str]) -> None:
        """Count what is not carried out, and log it if its kind is not in `logged` yet."""
        self._on_refused(refused.kind if refused.kind in VOCABULARY else "other")
        if refused.kind not in logged:
            logged.add(refused.kind)
            _log.warning(
                "agent_action_refused",
                call=question.call.id,
                reply=question.reply,
                kind=refused.kind[:40],
                reason=refused.reason,
            )

    def _admit(self) -> None:
        now = time.monotonic()
        if not self._breaker.allow(now):
            seconds = self._breaker.seconds_left(now)
            when = f"for {seconds:.0f} s more" if seconds else "until one trial has ended"
            what = f"the agent at {self._shown} has failed again and again and is left alone {when}"
            raise AgentError(what, code="agent_breaker_open")

    def _judge(self, failure: AgentError | None, *, complete: bool) -> None:
        """Tell the breaker how a question went. An answer that makes no sense came from an agent that is there."""
        if failure is not None and failure.code == "agent_target":
            self._breaker.dropped()  # It was not asked.
        elif failure is not None and is_passing(failure):
            if self._breaker.failed(time.monotonic()):
                _log.warning("agent_breaker_opened", agent=self._shown, code=failure.code, error=failure.message)
                self._on_breaker("open")
        elif complete or failure is not None:
            if self._breaker.succeeded():
                _log.info("agent_breaker_closed", agent=self._shown)
                self._on_breaker("closed")
        else:
            self._breaker.dropped()
