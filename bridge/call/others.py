"""The contract for calling somebody while the caller waits: what a warm transfer needs of the carrier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bridge.agents.base import CallInfo
from bridge.conversation.actions import Transfer
from bridge.conversation.events import OtherAccepted, TransferEnded


class Others(Protocol):
    """Calls the other side of warm transfers; one per process."""

    def call(
        self, info: CallInfo, transfer: Transfer, tell: Callable[[OtherAccepted | TransferEnded], None]
    ) -> None:
        """Call `transfer.to`, tell the summary, and ask whether they take the call of `info`.

        Never waits and never raises: `tell` hears of it once, that they accepted or how it ended.
        """

    def cancel(self, info: CallInfo) -> None:
        """The caller waits no longer: hang up on who was called, and tell nothing more. As `call`, never waits.

        Also on who has accepted, and waits for a caller who does not come.
        """
