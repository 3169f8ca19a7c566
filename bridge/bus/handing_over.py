"""How a node that stops lets others go on with its calls: each moves when nobody's words are cut off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bridge.call.registry import Registry
from bridge.call.session import Session

_PATIENT_S: Final = 10.0
"""How long it is waited for a moment in which neither side of a call says anything."""
_SPEAKS_S: Final = 60.0
"""How long then for one in which the caller is at least not spoken to."""
_MOVES_WITHIN_S: Final = 5.0
"""How much of the time that there is for stopping is left for the calls to be taken."""
_BACK_S: Final = 5.0
"""How long a call that was handed over and has come back is left in peace."""
LOOK_S: Final = 0.1

log = structlog.get_logger()


async def hand_over(registry: Registry, others: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Break off the streams of all calls, one by one; until cancelled.

    The carrier then asks another node, which asks for the call and gets it. `others` tells whether there is one
    that takes calls; `within_s` is how long the calls of this node may take to end.
    """
    broken: dict[str, float] = {}
    began = time.monotonic()
    while True:
        now = time.monotonic()
        for sid, session in [*registry.live.items()] if await others() else []:
            moves = session.attached and not session.away and may_move(session, now - began, within_s)
            if moves and now > broken.get(sid, 0.0) + _BACK_S:
                broken[sid] = now
                log.info("call_handed_over", call=session.info.id, sid=sid)
                session.break_off()
        await asyncio.sleep(LOOK_S)


def may_move(session: Session, since_s: float, within_s: float) -> bool:
    """Tell whether this is a moment to break a call's stream off, `since_s` after the node began to stop."""
    silent = since_s > _PATIENT_S and session.saying is None
    return session.at_rest or silent or since_s > min(_SPEAKS_S, within_s - _MOVES_WITHIN_S)
