"""A message that a caller has left with the carrier without having had a call: a record of it alone."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from bridge.conversation.journal import CallClosed, CallOpened, MessageLeft
from bridge.store.base import CallFiles, CallHeader, Store


@dataclass(frozen=True, slots=True)
class LeftMessage:
    """What the carrier tells of a message."""

    url: str
    """Where the carrier has it."""
    seconds: int = 0
    """How long it is."""


async def keep_alone(store: Store, header: CallHeader, message: LeftMessage) -> CallFiles:
    """Keep a message as a call in which nothing else happened. Cancelling stops the waiting only."""
    record, ends_ms = store.open(header), 1000 * message.seconds
    record.append(CallOpened())
    record.append(MessageLeft(1, "", 0, ends_ms, message.url))
    record.append(CallClosed(ends_ms, "message"))
    return await record.close()


def header_of(sid: str, message: LeftMessage, *, caller: str, called: str, direction: str) -> CallHeader:
    """Return what is known of the call of a message that was left just now; nothing answered it."""
    began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=message.seconds)
    return CallHeader(
        id=uuid.uuid4().hex,
        sid=sid,
        caller=caller,
        called=called,
        direction=direction,
        started_at=began.isoformat(timespec="milliseconds"),
        agent_kind="none",
    )
