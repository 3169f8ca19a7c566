"""What is made of the settings."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from bridge.assembly.parts import make_access
from bridge.settings.source import load_settings


@pytest.mark.parametrize(
    ("environment", "warned"),
    [
        ({}, False),
        ({"BRIDGE_SERVER__PUBLIC_URL": "http://127.0.0.1:8080"}, False),
        ({"BRIDGE_SERVER__PUBLIC_URL": "https://voice.example.com"}, True),
        ({"BRIDGE_SERVER__PUBLIC_URL": "https://voice.example.com", "BRIDGE_API__TOKEN": "secret"}, False),
    ],
)
def test_a_public_address_without_a_token_is_warned_of(environment: dict[str, str], warned: bool) -> None:
    settings = load_settings(environment={"BRIDGE_TWILIO__AUTH_TOKEN": "0" * 32, **environment})
    with capture_logs() as lines:
        make_access(settings)
    assert ("api_without_token" in [line["event"] for line in lines]) is warned
