"""The catalogue of hand-made mutants of the conversation, room by room.

When the code changes, the catalogue must follow it: `test_catalogue.py` says which mutants do not fit any more.
"""

from __future__ import annotations

from tests.mutants import (
    caller,
    clock,
    ending,
    floor,
    keys,
    ledger,
    listening,
    messages,
    operator,
    outbound,
    passing,
    recording,
    resuming,
    speech,
    spoken,
)

MUTANTS = (
    *caller.MUTANTS,
    *floor.MUTANTS,
    *clock.MUTANTS,
    *speech.MUTANTS,
    *ledger.MUTANTS,
    *ending.MUTANTS,
    *keys.MUTANTS,
    *passing.MUTANTS,
    *listening.MUTANTS,
    *outbound.MUTANTS,
    *messages.MUTANTS,
    *operator.MUTANTS,
    *recording.MUTANTS,
    *resuming.MUTANTS,
    *spoken.MUTANTS,
)
