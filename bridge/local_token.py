"""The token that signs simulated calls on a machine that has no Twilio account.

Without `twilio.auth_token` there is still a secret, made on first use and kept readable by its owner alone: so
`phone-bridge serve` refuses unsigned requests from the first minute, and `phone-bridge call` of the same person
on the same machine can sign its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

import platformdirs
from msgspec import Struct

from bridge.errors import SettingsError

FILE_NAME = "local-auth-token"


class LocalToken(Struct, frozen=True):
    """A token of this machine."""

    value: str
    problem: str = ""
    """Why it could not be kept in its file: then no other process knows it. Empty when all is well."""


def state_folder() -> Path:
    """Where this program keeps what is neither setting nor call (`XDG_STATE_HOME` moves it)."""
    return platformdirs.user_state_path("phone-bridge")


def local_token(folder: Path | None = None) -> LocalToken:
    """The token of this machine, made if it is not there yet.

    Two processes that start at once end with the same token. Where the folder cannot be written, the token
    lives in memory only and `problem` says so.
    """
    path = (folder or state_folder()) / FILE_NAME
    try:
        return LocalToken(_read(path) or _create(path))
    except OSError as error:
        return LocalToken(
            secrets.token_hex(16),
            problem=f"{path} cannot be used ({error.strerror or error}), so phone-bridge call cannot sign its"
            " requests: set twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN) for both, or XDG_STATE_HOME elsewhere",
        )


def read_local_token(folder: Path | None = None) -> str:
    """The token that `serve` on this machine made. Raises `SettingsError` when there is none."""
    path = (folder or state_folder()) / FILE_NAME
    try:
        token = _read(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from None
    if not token:
        raise SettingsError(
            f"no auth token: {path} is not there. Start  phone-bridge serve  on this machine first,"
            " or give the bridge's token with --auth-token or BRIDGE_TWILIO__AUTH_TOKEN"
        )
    return token


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def _create(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file 0600. The hard link makes the finished file appear at once and fails if another
    # process was quicker: then its token is the one.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=FILE_NAME)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(16))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        Path(temporary).unlink()
    return path.read_text(encoding="ascii").strip()
