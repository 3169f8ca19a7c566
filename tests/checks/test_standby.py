"""What the doctor says of the speech service that stands by."""

from __future__ import annotations

import pytest

from bridge.checks import standby as checks
from bridge.checks.local import Finding
from bridge.checks.standby import check_standby
from bridge.settings import Settings
from bridge.settings.source import load_settings
from tests.scripted_speech import ScriptedSpeech


def settings(**environment: str) -> Settings:
    given = {"SPEECH__API_KEY": "sk_main", "SPEECH__STANDBY": "local", **environment}
    return load_settings(environment={f"BRIDGE_{name}": value for name, value in given.items()}, files=())


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading them takes its time, and is looked at elsewhere."""
    monkeypatch.setattr(checks, "check_local_speech", lambda: [Finding("local speech", "ok", "loaded")])


async def test_without_one_there_is_nothing_to_say() -> None:
    assert await check_standby(settings(SPEECH__STANDBY="")) == []


async def test_a_local_one_must_have_its_models() -> None:
    assert await check_standby(settings()) == [Finding("standby", "ok", "loaded")]


async def test_for_whom_it_does_not_stand_by() -> None:
    _, finding = await check_standby(settings(TTS__LANGUAGE="de"))
    assert (finding.check, finding.status) == ("standby", "warning")
    assert "all other numbers" in finding.message


async def test_a_server_is_asked_without_the_key_of_the_other() -> None:
    async with ScriptedSpeech().running() as service:
        given = {"SPEECH__STANDBY": service.url, "SPEECH__STANDBY_KEY": "sk_other", "STT__HEADERS": "X-Secret=1"}
        (finding,) = await check_standby(settings(**given))
        assert finding == Finding("standby", "ok", f"{service.url} takes connections, both ways")
        assert [peer.headers["x-api-key"] for peer in (*service.stt, *service.tts)] == ["sk_other", "sk_other"]
        assert "x-secret" not in service.stt[0].headers


async def test_a_server_that_is_not_there() -> None:
    (finding,) = await check_standby(settings(SPEECH__STANDBY="http://127.0.0.1:9"))
    assert (finding.check, finding.status) == ("standby", "failed")
    assert finding.message.endswith("check speech.standby and the network")
