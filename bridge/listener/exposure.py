"""Refuses to answer the network where the carrier could not be told from anybody else."""

from __future__ import annotations

from urllib.parse import urlsplit

from bridge.errors import SettingsError
from bridge.settings import Settings
from bridge.settings.values import is_loopback


def check_exposure(settings: Settings) -> None:
    """Raise `SettingsError` for a bridge that others than this machine reach, and that takes anybody's requests."""
    where = exposed_by(settings)
    if not where or settings.server.allow_insecure:
        return
    asked = "or say that you want it so with server.allow_insecure = true (BRIDGE_SERVER__ALLOW_INSECURE)"
    if not settings.twilio.validate_requests:
        raise SettingsError(
            f"twilio.validate (BRIDGE_TWILIO__VALIDATE) is false, but {where}: anybody could pass for Twilio."
            f" Set it to true, {asked}"
        )
    if not settings.twilio.auth_token.get_secret_value():
        raise SettingsError(
            f"twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN) is not set, but {where}: Twilio could not be told from"
            f" others. Set it to the auth token of the account, {asked}"
        )


def exposed_by(settings: Settings) -> str:
    """Name the setting by which others than this machine reach the bridge; empty: they do not."""
    server = settings.server
    if not is_loopback(server.host):
        return f"server.host is {server.host!r}, which others than this machine reach"
    if server.public_url and not is_loopback(urlsplit(server.public_url).hostname or ""):
        return f"server.public_url is {server.public_url}"
    return ""
