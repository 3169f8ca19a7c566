"""The settings as they may be seen: nothing of a secret but whether there is one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from bridge.settings import Settings

MASK: Final = "********"
_IN_URL: Final = re.compile(r"(?<=://)[^/?#\s]*@")
"""Up to the last @ before the path: a password may hold one as well."""
_QUERY: Final = re.compile(r"(?<=\w)\?[^#\s]+")
_HIDDEN: Final = frozenset({"headers", "parameters"})
"""Tables whose values may be secrets whatever they are called."""


def settings_view(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON can hold them, in their sections."""
    return {name: shown(getattr(settings, name), name) for name in type(settings).model_fields}


def numbers_view(settings: Settings) -> list[dict[str, Any]]:
    """Return how each number of the settings is answered: its own settings over the rest."""
    found = []
    for entry in settings.numbers:
        own = settings.for_number(entry.number)
        recorded = entry.recording or ("on" if settings.store.record_audio else "off")
        found.append(
            {
                "number": entry.number,
                "mode": entry.mode,
                "agent": {"kind": own.agent.kind, "url": shown(own.agent.url), "greeting": own.agent.greeting}
                if entry.mode == "agent"
                else None,
                "forward_to": entry.forward_to,
                "language": own.stt.language,
                "voice": {"id": own.tts.voice, "language": own.tts.language},
                "barge_in": own.turns.barge_in,
                "recording": recorded,
                "announcement": " ".join(filter(None, (entry.announcement, entry.recording_announcement))),
                "hours": None if entry.hours is None else shown(entry.hours),
            }
        )
    return found


def shown(value: Any, name: str = "") -> Any:
    """Return a value of the settings without its secrets."""
    match value:
        case SecretStr():
            return MASK if value.get_secret_value() else ""
        case BaseModel():
            return {key: shown(getattr(value, key), key) for key in type(value).model_fields}
        case Mapping():
            return {str(key): MASK if name in _HIDDEN else shown(one) for key, one in value.items()}
        case list() | tuple():
            return [shown(one, name) for one in value]
        case Path():
            return str(value)
        case str():
            if name in _HIDDEN and "=" in value:
                return f"{value.partition('=')[0]}={MASK}"
            return without_secrets(value)
        case _:
            return value


def without_secrets(text: str) -> str:
    """Leave out of the addresses in a text who logs in, and what stands behind their `?`: keys often do."""
    if "://" not in text:
        return text
    return _QUERY.sub(f"?{MASK}", _IN_URL.sub(f"{MASK}@", text))
