"""Starting and stopping the speech server in this process. Importing this needs none of the extras."""

from __future__ import annotations

from typing import Protocol

from bridge.speech_server.settings import ServerSettings, require_extras

__all__ = ["RunningServer", "ServerSettings", "start"]


class RunningServer(Protocol):
    """A server that answers."""

    url: str
    """`http://host:port`, to be used as a base URL."""
    port: int

    async def close(self) -> None:
        """Close the listener, all sockets (1001) and the inference processes. May be called twice."""


async def start(settings: ServerSettings | None = None) -> RunningServer:
    """Load the models, then listen; returns when clients can come.

    Raises `MissingExtraError` (with the command that installs it), `SettingsError` (a model that cannot be
    loaded) or `OSError` (the port is taken). Cancelling stops what was started.
    """
    chosen = settings or ServerSettings()
    require_extras(chosen)
    from bridge.speech_server.app import start_app  # noqa: PLC0415 - needs numpy, known to be there only now

    return await start_app(chosen)
