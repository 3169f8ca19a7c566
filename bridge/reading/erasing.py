"""Erases calls for a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from bridge.errors import BridgeError
from bridge.reading.kept import Kept, Tell
from bridge.store.sql.call_rows import CallRow
from bridge.store.sql.erasing import Elsewhere, Eraser


class Outcome(TypedDict):
    """What became of it: ids of calls."""

    erased: list[str]
    live: list[str]
    """That go on, and so were left."""
    left: list[str]
    """That could not be erased, or not whole."""
    files: int


async def erase(kept: Kept, calls: Sequence[CallRow], elsewhere: Sequence[Elsewhere], tell: Tell) -> Outcome:
    """Erase calls, one after the other, and tell of each that could not be.

    Raises BridgeError where the database does not answer: nothing is erased then. Cancelling leaves the rest.
    """
    outcome = Outcome(erased=[], live=[], left=[], files=0)
    if not calls:
        return outcome
    if kept.database is None:
        said = "calls cannot be erased while the database of calls does not answer"
        raise BridgeError(said, code="store_unreachable")
    eraser = Eraser(kept.database, kept.folder, lambda _: False, audit=kept.audit, elsewhere=elsewhere)
    for call in calls:
        try:
            done = await eraser.erase(call.id, who="command line")
        except BridgeError as error:
            if error.code not in {"call_live", "call_unknown", "erase_refused"}:
                raise
            if error.code != "call_unknown":  # somebody else was faster
                tell(f"error: {error.message}")
                outcome["live" if error.code == "call_live" else "left"].append(call.id)
            continue
        outcome["erased"] += done.calls
        outcome["left"] += done.left
        outcome["files"] += done.files
    return outcome
