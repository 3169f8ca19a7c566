"""How a call stands beyond what its journal tells otherwise: kept when it changes, so that another can go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bridge.conversation import commands as do
from bridge.conversation.actions import Transfer, Tuning
from bridge.conversation.journal import Standing
from bridge.conversation.state import Talk

_NOBODY_LEFT = do.LeaveCall("")
_UNTUNED = Tuning()


class Stand:
    """What of one talk stands in the journal."""

    def __init__(self) -> None:
        self._kept: tuple[Any, ...] = (None, None, _UNTUNED, None, None, None, _NOBODY_LEFT)

    def stands_already(self, talk: Talk) -> None:
        """Keep nothing of how the talk stands now: the journal that it was restored from has it, and since when."""
        self._kept = _stands(talk)

    def look(self, talk: Talk) -> None:
        """Keep how the talk stands, if that has changed."""
        if (stands := _stands(talk)) != self._kept:
            self._kept = stands
            voice, language, *held = stands
            kept = [{} if one is _NOBODY_LEFT else _plain(one) for one in held]
            talk.record(Standing(talk.ms(), voice or "", language or "", *kept))


def _stands(talk: Talk) -> tuple[Any, ...]:
    left = talk.left
    return (
        talk.speech.voice,
        talk.speech.language,
        talk.tuning,
        talk.digits.wanted,
        talk.message.wanted,
        talk.passage.consulting,
        left if left.for_a_while or left.handoff is not None else _NOBODY_LEFT,
    )


def _plain(value: Any) -> Mapping[str, Any]:
    """Return what an action or a command holds as JSON has it, without what it does not say."""
    if value is None:
        return {}
    fields = msgspec.to_builtins(value)
    return {name: [*one] if isinstance(one, tuple) else one for name, one in fields.items() if one is not None}


def tuning_of(kept: Mapping[str, Any]) -> Tuning:
    """Return the settings of speech to text that were kept."""
    keyterms = kept.get("keyterms")
    return Tuning(**{**kept, "keyterms": None if keyterms is None else tuple(keyterms)})


def left_of(kept: Mapping[str, Any]) -> do.LeaveCall:
    """Return how the stream was left."""
    transfer = kept.get("transfer")
    return do.LeaveCall(**{**kept, "transfer": None if transfer is None else Transfer(**transfer)})
