"""What `doctor` looks at in what is struck out, and in the keys that recordings are encrypted with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bridge.assembly.parts import recording_keys
from bridge.checks.local import Finding
from bridge.errors import BridgeError
from bridge.settings import Settings
from bridge.store.sealing import SEALED, Keys, key_name_of

_LOOKED_AT: Final = 500
"""Encrypted recordings whose keys are looked at, the newest first."""


def check_privacy(settings: Settings) -> list[Finding]:
    """What is struck out, and whether recordings can be encrypted and read. Blocks on the disk."""
    privacy = settings.privacy
    what = [*privacy.redact, *(["own patterns"] if privacy.patterns else [])]
    struck = f"struck out before it is written: {', '.join(what)}" if what else "nothing is struck out"
    return [Finding("privacy", "ok", struck), _keys(settings)]


def _keys(settings: Settings) -> Finding:
    try:
        keys = recording_keys(settings)
    except BridgeError as error:
        remedy = "put a right key there, and keep it: without it no recording can be heard again"
        return Finding("encryption", "failed", error.message, remedy)
    locked = _locked(settings.store.recordings, keys)
    if locked:
        return Finding(
            "encryption",
            "warning",
            f"{len(locked)} of the newest recordings are encrypted with a key that is not set, such as {locked[0]}",
            "put that key into store.old_encryption_keys (BRIDGE_STORE__OLD_ENCRYPTION_KEYS)",
        )
    on = "encrypted, and every key is there" if keys.current is not None else "not encrypted"
    return Finding("encryption", "ok", f"new recordings are {on}")


def _locked(folder: Path, keys: Keys) -> list[Path]:
    """The encrypted recordings that these keys do not open, among the newest."""
    found = sorted(folder.glob(f"*/*/*{SEALED}"), reverse=True)[:_LOOKED_AT]
    locked: list[Path] = []
    for path in found:
        try:
            name = key_name_of(path)
        except (OSError, BridgeError):
            continue  # It is damaged, which no key would mend.
        if keys.named(name) is None:
            locked.append(path)
    return locked
