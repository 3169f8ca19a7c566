"""Delivering `call.ended` to a webhook agent: at once with short pauses, then from disk with long ones.

The event is on disk before the first attempt, so that neither a slow agent nor the end of the process loses it.
Without a folder there are only the attempts of the first seconds.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import structlog

from bridge.agents.action_json import Piece
from bridge.agents.http_exchange import AgentStatusError, HttpLimits, is_passing
from bridge.agents.webhook.post import Letter, WebhookHttp
from bridge.agents.webhook.spool import EndedSpool
from bridge.errors import AgentError
from bridge.tasks import spawn

END_SECONDS = 10.0
"""Time for delivering `call.ended` while the call waits for it, all attempts together."""
ATTEMPT_SECONDS = 5.0
"""Time for one attempt, so that a hanging agent gets a second one."""
END_PAUSES = (0.3, 0.8, 1.8, 3.5)
"""Seconds before each further attempt, at most; a random part of up to half is taken off."""
MARGIN_SECONDS = 1.0
"""How long after these first attempts an event may be taken from disk at the earliest."""
LEAST_WAIT_SECONDS = 0.05
MOST_WAIT_SECONDS = 60.0
"""Longest time between two looks at the disk, where another process may have left events."""

_GONE = 410

_log = structlog.get_logger()


class EndDelivery:
    """Delivers the ends of calls to one agent. `folder` holds what is undelivered; None: nothing is kept.

    Attempts from disk begin with `start`, and go on for a day per event. `redact` is done to an event before it is
    written: one that could not be delivered at once arrives without what must not be written down.
    """

    def __init__(
        self,
        http: WebhookHttp,
        *,
        pauses: Sequence[float] = END_PAUSES,
        folder: Path | None,
        redact: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._http = http
        self._redact = redact
        self._pauses = pauses
        self._spool = EndedSpool(folder, http.identity) if folder is not None else None
        self._task: asyncio.Task[None] | None = None
        self._kept = asyncio.Event()
        quiet = min(http.limits.quiet_s, ATTEMPT_SECONDS)
        self._limits = HttpLimits(http.limits.connect_s, quiet, min(http.limits.whole_s, END_SECONDS))

    def start(self) -> None:
        """Begin to deliver what is on disk, also what a former process left there. Does nothing the second time."""
        if self._spool is not None and self._task is None:
            self._task = spawn(self._deliver_kept(self._spool), name="agent-ends")

    async def close(self) -> None:
        """Stop; what is undelivered stays on disk."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def deliver(self, letter: Letter) -> list[Piece]:
        """Deliver the end of a call and return the pieces of the answer.

        Tries again after passing failures, for up to `END_SECONDS`; cancelling stops that. Either way the event
        stays on disk then, if there is a folder, and is delivered later. Raises the last failure as AgentError.
        """
        self.start()
        kept = await self._keep(letter)
        failure: AgentError | None = None
        try:
            async with asyncio.timeout(END_SECONDS):
                for pause in (0.0, *self._pauses):
                    # Spread out, because all calls of a node may end in one moment.
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter guards nothing
                    try:
                        return await self._attempt(letter)
                    except AgentError as error:
                        failure = error
                        if not is_passing(error):
                            break
        except TimeoutError:
            pass
        failure = failure or self._http.failed("agent_timeout", f"did not take call.ended within {END_SECONDS:g} s")
        if kept:
            self._kept.set()
            _log.info("agent_end_kept", call=letter.call_id, code=failure.code)
        raise failure

    async def _attempt(self, letter: Letter) -> list[Piece]:
        """Post once. What the agent has accepted is not sent again, whatever becomes of its answer."""
        found: list[Piece] = []
        try:
            async with aclosing(self._http.post(letter, limits=self._limits)) as answer:
                async for pieces in answer:
                    if not found and not pieces:
                        await self._forget(letter.message_id)
                    found += pieces
        except AgentStatusError as error:
            if error.status == _GONE:  # The agent says that it will never be there again.
                await self._forget(letter.message_id)
            raise
        return found

    # --- on disk -------------------------------------------------------------------------------------------

    async def _keep(self, letter: Letter) -> bool:
        """Write the event down. A full disk must not keep it from being delivered now."""
        if self._spool is None:
            return False
        now = time.time()
        try:
            dropped = await asyncio.to_thread(
                self._spool.keep,
                letter.message_id,
                letter.call_id,
                self._redact(letter.body),
                now=now,
                due=now + END_SECONDS + MARGIN_SECONDS,  # not while the first attempts are under way
            )
        except (OSError, ValueError) as error:
            _log.warning("agent_end_not_kept", call=letter.call_id, error=str(error))
            return False
        if dropped:
            _log.warning("agent_ends_dropped", number=dropped, reason="too many are undelivered")
        return True

    async def _forget(self, message_id: str) -> None:
        if self._spool is not None:
            try:
                await asyncio.to_thread(self._spool.remove, message_id)
            except OSError as error:
                _log.warning("agent_end_not_forgotten", message=message_id, error=str(error))

    async def _deliver_kept(self, spool: EndedSpool) -> None:
        """Deliver what is due, one after the other, for as long as the process lives."""
        while True:
            self._kept.clear()
            wait = MOST_WAIT_SECONDS
            try:
                for message_id in await asyncio.to_thread(spool.sweep, time.time()):
                    _log.warning("agent_end_given_up", message=message_id)
                while (entry := await asyncio.to_thread(spool.take, time.time())) is not None:
                    await self._again(Letter(entry.message_id, entry.call_id, entry.body), entry.attempts)
                due = await asyncio.to_thread(spool.next_due)
                if due is not None:
                    wait = min(wait, due - time.time())
            except OSError as error:
                _log.warning("agent_ends_unreadable", error=str(error))
            try:
                async with asyncio.timeout(max(wait, LEAST_WAIT_SECONDS)):
                    await self._kept.wait()
            except TimeoutError:
                pass

    async def _again(self, letter: Letter, attempts: int) -> None:
        try:
            await self._attempt(letter)
        except AgentError as error:
            _log.info("agent_end_undelivered", call=letter.call_id, attempts=attempts, error=error.message)
        else:
            _log.info("agent_end_delivered", call=letter.call_id, attempts=attempts)
