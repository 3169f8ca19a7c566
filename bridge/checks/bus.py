"""What `doctor` looks at in the message bus: whether it can be reached, and whether it passes on what is said."""

from __future__ import annotations

import asyncio
import contextlib
import time
from importlib.util import find_spec
from typing import Any, Final

from bridge.checks.local import Finding
from bridge.errors import MissingExtraError
from bridge.settings import Settings

_WITHIN_S: Final = 5.0
_MEANWHILE: Final = "calls are taken all the same, but who asks one bridge does not reach the calls of another"


async def check_bus(settings: Settings) -> list[Finding]:
    """Whether other bridges can be talked with, if there is to be a bus. Takes five seconds at most."""
    if not settings.bus.url:
        return []
    if find_spec("nats") is None:
        missing = MissingExtraError("nats", "bus.url (BRIDGE_BUS__URL)")
        return [Finding("bus", "failed", missing.message, "install it, or take bus.url out")]
    import nats  # noqa: PLC0415  It is an extra.

    client: Any = nats.NATS()  # type: ignore[attr-defined]  # Its handbook has it so.
    try:
        async with asyncio.timeout(_WITHIN_S):
            await client.connect(settings.bus.url, allow_reconnect=False, max_reconnect_attempts=1, error_cb=_quiet)
            took_ms = await _round_trip(client, f"{settings.bus.subject}.doctor")
    except Exception as error:  # noqa: BLE001  Whatever it is, it is told.
        said = str(error) or type(error).__name__
        remedy = f"mend it, or bus.url (BRIDGE_BUS__URL); {_MEANWHILE}"
        return [Finding("bus", "failed", f"the message bus cannot be used: {said}", remedy)]
    finally:
        with contextlib.suppress(Exception):
            await client.close()
    return [Finding("bus", "ok", f"the message bus answers: a message is there in {took_ms:.1f} ms")]


async def _round_trip(client: Any, subject: str) -> float:
    listening = await client.subscribe(subject)
    began = time.perf_counter()
    await client.publish(subject, b"")
    await listening.next_msg(timeout=_WITHIN_S)
    return (time.perf_counter() - began) * 1000


async def _quiet(_: Exception) -> None:
    """What goes wrong is raised."""
