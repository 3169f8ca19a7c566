"""What a flow agent can be given: apart from the agent, whose reader of files takes a while to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """What a flow agent can be given besides its file."""

    sounds: Path | None = None
    """Folder of the sounds that prompts name; None: they are not looked for."""
    allow_private: bool = True
    """Look-ups may go to private networks and to this machine."""
    timeout_seconds: float = 10.0
    """Longest time for a look-up, whatever the file says: the call waits no longer for an answer."""
