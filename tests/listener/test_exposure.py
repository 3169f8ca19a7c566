"""A bridge that others than this machine reach does not start where it could not tell Twilio from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.app import running
from bridge.checks.local import check_token
from bridge.errors import SettingsError
from bridge.listener.exposure import check_exposure
from bridge.settings.source import load_settings

TOKEN = "0123456789abcdef0123456789abcdef"
EVERYWHERE = {"BRIDGE_SERVER__HOST": "0.0.0.0"}
PUBLIC = {"BRIDGE_SERVER__PUBLIC_URL": "https://voice.example.com", "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, ""),
        ({"BRIDGE_TWILIO__VALIDATE": "false"}, ""),
        ({"BRIDGE_SERVER__HOST": "::1"}, ""),
        (EVERYWHERE, "twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN) is not set, but server.host is '0.0.0.0'"),
        ({"BRIDGE_SERVER__HOST": "::"}, "server.host is '::'"),
        ({"BRIDGE_SERVER__HOST": "192.168.1.5"}, "server.host is '192.168.1.5'"),
        ({"BRIDGE_SERVER__HOST": "bridge.example"}, "server.host is 'bridge.example'"),
        ({**EVERYWHERE, "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN}, ""),
        (
            {**EVERYWHERE, "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN, "BRIDGE_TWILIO__VALIDATE": "false"},
            "twilio.validate (BRIDGE_TWILIO__VALIDATE) is false, but server.host",
        ),
        (PUBLIC, ""),
        ({**PUBLIC, "BRIDGE_TWILIO__VALIDATE": "false"}, "server.public_url is https://voice.example.com"),
        ({**PUBLIC, "BRIDGE_TWILIO__VALIDATE": "false", "BRIDGE_SERVER__ALLOW_INSECURE": "true"}, ""),
        ({**EVERYWHERE, "BRIDGE_SERVER__ALLOW_INSECURE": "true"}, ""),
    ],
)
def test_what_may_be_open_to_the_network(environment: dict[str, str], said: str) -> None:
    settings = load_settings(environment=environment, files=())
    if not said:
        check_exposure(settings)
        return
    with pytest.raises(SettingsError) as caught:
        check_exposure(settings)
    assert said in caught.value.message
    assert "server.allow_insecure = true (BRIDGE_SERVER__ALLOW_INSECURE)" in caught.value.message


async def test_the_bridge_itself_asks(tmp_path: Path) -> None:
    settings = load_settings(environment={**EVERYWHERE, "BRIDGE_STORE__RECORDINGS": str(tmp_path)}, files=())
    with pytest.raises(SettingsError, match="auth_token"):
        async with running(settings):
            pass


def test_the_doctor_says_so_before_the_bridge_does() -> None:
    found = check_token(load_settings(environment=EVERYWHERE, files=()))
    assert (found.check, found.status) == ("auth token", "failed")
    assert "server.host is '0.0.0.0'" in found.message
