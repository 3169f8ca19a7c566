"""Where speech comes from: a service elsewhere, or a local server that is started, and again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from bridge.errors import BridgeError
from bridge.settings import Settings
from bridge.tasks import spawn, stopped

if TYPE_CHECKING:
    from bridge.speech_server.launch import LocalServer

_PAUSE_S = 1.0
"""Between the death of the local speech server and its next start."""

log = structlog.get_logger()


class SpeechState:
    """Whether the local speech server is there. A service elsewhere counts as being there."""

    def __init__(self) -> None:
        self.up = True


async def open_speech(
    settings: Settings, stack: contextlib.AsyncExitStack, state: SpeechState | None = None
) -> str:
    """Return the speech service's address, after starting one if it is to be local; `state` is kept up to date."""
    return await _open(settings.speech.base_url, stack, state)


async def open_standby(
    settings: Settings, stack: contextlib.AsyncExitStack, state: SpeechState | None = None
) -> str:
    """Return the address of the service that stands by, as `open_speech` does; empty: there is none.

    A local one is started with the bridge: whoever needs it cannot wait for its models.
    """
    return await _open(settings.speech.standby, stack, state) if settings.speech.standby else ""


async def _open(address: str, stack: contextlib.AsyncExitStack, state: SpeechState | None) -> str:
    if address != "local":
        return address
    from bridge.speech_server.launch import launch_local  # noqa: PLC0415  Its models are an extra.

    server = await launch_local()
    keeper = spawn(_keep_speech(server, state or SpeechState()), name="keep-local-speech")
    stack.push_async_callback(stopped, keeper)
    return server.url


async def _keep_speech(server: LocalServer, state: SpeechState) -> None:
    """Start the local speech server again, at the same address, whenever it has died. Cancelling ends it."""
    from bridge.speech_server.launch import launch_local  # noqa: PLC0415  As above.
    from bridge.speech_server.settings import ServerSettings  # noqa: PLC0415  As above.

    port = server.port
    try:
        while True:
            await server.died.wait()
            state.up = False
            await asyncio.sleep(_PAUSE_S)
            try:
                server = await launch_local(ServerSettings(port=port))
            except BridgeError as error:
                log.error("speech_server_not_restarted", error=error.message)
            else:
                state.up = True
    finally:
        await server.close()
