"""The bridge itself, as it is told to who looks after it."""

from __future__ import annotations

from pathlib import Path

from bridge.api.settings_view import settings_view
from bridge.settings.source import load_settings
from tests.api.kept_world import kept

SECRETS = {
    "BRIDGE_TWILIO__ACCOUNT_SID": "AC" + "1" * 32,
    "BRIDGE_TWILIO__AUTH_TOKEN": "secret-of-twilio",
    "BRIDGE_SPEECH__API_KEY": "secret-of-speech",
    "BRIDGE_AGENT__URL": "https://me:secret-of-agent@example.com/hook?key=secret-in-query",
    "BRIDGE_STORE__URL": "postgresql://user:secret-of-store@db/calls",
    "BRIDGE_SINKS__WEBHOOK_URL": "https://me:secret@secret-behind-an-at@example.com/sink",
    "BRIDGE_STT__HEADERS": "X-Key=secret-of-header",
    "BRIDGE_API__TOKEN": "secret-of-the-api",
    "BRIDGE_API__TOKENS": '[{"name": "reader", "token": "secret-of-reader", "scope": "read"}]',
    "BRIDGE_RELAY__PARAMETERS": "token=secret-of-relay",
    "BRIDGE_SINKS__WEBHOOK_SECRET": "secret-of-sinks",
}


def test_the_settings_are_shown_without_their_secrets() -> None:
    found = settings_view(load_settings(environment=SECRETS))
    assert "secret-" not in str(found).replace("secret-of-twilio-", "")
    assert found["twilio"]["auth_token"] == "********"
    assert found["agent"]["secret"] == "", "that there is none can be seen"
    assert found["store"]["url"] == "postgresql://********@db/calls"
    assert found["stt"]["headers"] == {"X-Key": "********"}
    assert found["api"]["tokens"] == [{"name": "reader", "token": "********", "scope": "read"}]
    assert found["server"]["port"] == 8080


async def test_how_things_are_is_told_without_the_secrets_of_addresses(tmp_path: Path) -> None:
    url = "http://me:secret-of-agent@127.0.0.1:9/hook?key=secret-in-query"
    async with kept(tmp_path / "calls", BRIDGE_AGENT__KIND="webhook", BRIDGE_AGENT__URL=url) as it:
        told = (await it.json("/system"))["agent"]
    assert told["status"] == "failed"
    assert "http://********@127.0.0.1:9/hook?******** does not answer" in told["agent"]
    assert "secret-" not in str(told)


async def test_settings_numbers_and_health_are_told(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.toml"
    numbers.write_text(
        '[[numbers]]\nnumber = "+15550100009"\nrecording = "paused"\n[numbers.agent]\nkind = "echo"\n'
        '[[numbers]]\nnumber = "+15550100008"\nmode = "log"\nforward_to = "+15550100007"\n'
    )
    async with kept(tmp_path / "calls", config=numbers) as it:
        settings = await it.json("/settings")
        assert settings["speech"]["api_key"] == "********"
        agents, logged = (await it.json("/numbers"))["items"]
        assert (agents["number"], agents["agent"]["kind"], agents["recording"]) == (
            "+15550100009",
            "echo",
            "paused",
        )
        assert (logged["mode"], logged["forward_to"], logged["agent"]) == ("log", "+15550100007", None)
        system = await it.json("/system")
        assert [*system] == ["bridge", "speech", "agent", "carrier", "store", "disk"]
        assert system["bridge"]["status"] == "ready"
        assert (system["store"]["ok"], system["store"]["kind"], system["store"]["calls"]) == (True, "sqlite", 3)
        assert system["disk"]["free_bytes"] > 0
        assert all({"ok", "status"} <= set(part) for part in system.values())
        assert "sk_test" not in str(system)
