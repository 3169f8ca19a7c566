"""Whether a call's sound is recorded at the moment: a small machine that an agent or an operator switches."""

from __future__ import annotations

from typing import Literal, TypeAlias

from bridge.conversation import commands as do
from bridge.conversation import journal

State: TypeAlias = Literal["on", "paused", "off"]
"""`off`: the call is not recorded at all, and nothing changes that."""

Step: TypeAlias = do.Record | do.PauseRecording | do.ResumeRecording


class Recording:
    """The state of one call's recording, and what follows from a wish to change it."""

    def __init__(self, state: State) -> None:
        self.state = state

    def begin(self) -> list[Step]:
        """The call begins: what is to be done where it begins paused."""
        return _pause(0) if self.state == "paused" else []

    def want(self, state: Literal["on", "paused"], at_ms: int) -> list[Step]:
        """Somebody wants it so from `at_ms` on: what is to be done. Nothing, where it is so already, or off."""
        if self.state in {state, "off"}:
            return []
        self.state = state
        if state == "paused":
            return _pause(at_ms)
        return [do.ResumeRecording(at_ms), do.Record(journal.RecordingResumed(at_ms))]


def _pause(at_ms: int) -> list[Step]:
    return [do.PauseRecording(at_ms), do.Record(journal.RecordingPaused(at_ms))]
