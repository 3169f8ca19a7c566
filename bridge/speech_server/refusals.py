"""Errors that crossed a pipe become errors again."""

from __future__ import annotations

from bridge.errors import BridgeError, MissingExtraError, SettingsError


def error_of(code: str, message: str, extra: str | None) -> BridgeError:
    """The error that another process told of in these words."""
    if extra is not None:
        # The error puts its remedy behind the sentence by itself.
        return MissingExtraError(extra, message.partition(" needs the ")[0])
    return SettingsError(message, code=code) if code == "settings" else BridgeError(message, code=code)
