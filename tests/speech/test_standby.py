"""When another speech service takes over, and until when; and whole calls whose own service is away."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.app import Bridge
from bridge.errors import SettingsError, SpeechError
from bridge.settings.source import load_settings
from bridge.simulator.caller import SimulatedCall
from bridge.speech.adapters import without_standby
from bridge.speech.link import SpeechLink
from bridge.speech.standby import Choice, Standby, Switch
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import bridge, kept, line, live
from tests.waiting import until

AWAY = SpeechError("refused", code="speech_unreachable", final=False)
CROWDED = SpeechError("429", code="speech_limit", final=False)
WRONG = SpeechError("400", code="speech_request", final=True)
NO_KEY = SpeechError("401", code="speech_auth", final=True)
MAIN = SpeechLink("https://main.example", "sk_main", headers={"X-Secret": "s"})


@dataclass
class Probe:
    """A service that is looked at."""

    outcomes: list[SpeechError | None] = field(default_factory=list)
    asked: int = 0

    async def __call__(self) -> None:
        self.asked += 1
        if self.outcomes and (error := self.outcomes.pop(0)) is not None:
            raise error


@pytest.fixture
async def standby() -> AsyncIterator[Standby]:
    async def never() -> None:
        await asyncio.Event().wait()

    standby = Standby(
        "http://other.example", Switch("stt", never), Switch("tts", never), "sk_other", frozenset({"en"})
    )
    yield standby
    await standby.close()


class TestSwitch:
    async def test_it_goes_over_at_the_first_failure_and_back_when_the_service_is_back(self) -> None:
        probe = Probe([AWAY, AWAY, None])
        switch = Switch("tts", probe, pause_s=0.001)
        switch.failed("speech_unreachable", "refused")
        assert switch.stands_in
        switch.failed("speech_unreachable", "refused")
        await until(lambda: not switch.stands_in)
        assert probe.asked == 3
        switch.failed("speech_auth", "no credit left")
        assert switch.stands_in
        await switch.close()

    async def test_a_service_that_is_full_is_there(self) -> None:
        switch = Switch("stt", Probe([CROWDED]), pause_s=0.001)
        switch.failed("speech_server", "500")
        await until(lambda: not switch.stands_in)
        await switch.close()

    @pytest.mark.parametrize("code", ["speech_limit", "speech_request"])
    async def test_what_is_no_outage_leaves_it_as_it_is(self, code: str) -> None:
        switch = Switch("stt", Probe())
        switch.failed(code, "no")
        assert not switch.stands_in
        await switch.close()


class TestChoice:
    def test_without_a_standby_there_is_none(self) -> None:
        choice = Choice(MAIN, None)
        assert choice.link("en") is MAIN
        assert not choice.failed(AWAY, "en")
        assert choice.link("en") is MAIN

    async def test_nothing_of_the_other_service_is_shown_to_it(self, standby: Standby) -> None:
        choice = Choice(MAIN, standby)
        assert choice.link("en").api_key == "sk_main"
        assert choice.failed(NO_KEY, "en")
        other = choice.link("en")
        assert (other.base_url, other.api_key, other.headers) == ("http://other.example", "sk_other", {})
        assert choice.on_standby

    async def test_all_calls_go_there_until_the_service_is_back(self, standby: Standby) -> None:
        one, two = Choice(MAIN, standby), Choice(MAIN, standby)
        one.link("en")
        one.failed(AWAY, "en")
        assert two.link("en").base_url == "http://other.example", "no second call waits for it"
        standby.stt.stands_in = False
        assert two.link("en").base_url == "https://main.example"

    async def test_where_both_are_away_they_are_tried_in_turn(self, standby: Standby) -> None:
        choice, tried = Choice(MAIN, standby), []
        for _ in range(4):
            tried.append(choice.link("en").base_url.partition("://")[2])
            assert choice.failed(AWAY, "en")
        assert tried == ["main.example", "other.example"] * 2

    async def test_a_service_without_room_is_asked_again_and_others_are_still_sent_to_it(
        self, standby: Standby
    ) -> None:
        choice, tried = Choice(MAIN, standby), []
        for _ in range(2):
            tried.append(choice.link("en").base_url.partition("://")[2])
            assert choice.failed(CROWDED, "en")
        assert tried == ["main.example", "main.example"]
        assert choice.link("en").base_url == "http://other.example"
        assert not standby.stands_in
        choice.worked()

    async def test_wrong_settings_and_other_languages_are_no_reason(self, standby: Standby) -> None:
        choice = Choice(MAIN, standby)
        choice.link("en")
        assert not choice.failed(WRONG, "en")
        assert not choice.failed(AWAY, "de")
        assert not standby.stands_in
        standby.stt.failed("speech_server", "500")
        assert choice.link("de").base_url == "https://main.example"
        assert choice.link("en").base_url == "http://other.example"


def settings(**environment: str) -> Any:
    given = {f"BRIDGE_{name}": value for name, value in environment.items()}
    return load_settings(environment=given, files=())


class TestSettings:
    @pytest.mark.parametrize("given", [{}, {"SPEECH__BASE_URL": "http://127.0.0.1:1"}])
    def test_a_service_cannot_stand_by_for_itself(self, given: dict[str, str]) -> None:
        with pytest.raises(SettingsError, match=r"speech\.standby.*that is speech\.base_url itself"):
            settings(SPEECH__STANDBY=given.get("SPEECH__BASE_URL", "local"), **given)

    def test_what_is_no_address(self) -> None:
        with pytest.raises(SettingsError, match=r"speech\.standby"):
            settings(SPEECH__STANDBY="somewhere", SPEECH__API_KEY="sk")

    def test_whose_callers_it_does_not_understand(self) -> None:
        german = {"STT__ENDPOINT": "manual", "STT__MODEL": "ink-whisper", "STT__LANGUAGE": "de"}
        keyed = {"SPEECH__API_KEY": "sk", "SPEECH__STANDBY": "local"}
        assert without_standby(settings(**keyed)) == []
        assert without_standby(settings(**keyed, **german)) == ["all other numbers"]
        assert without_standby(settings(**keyed, TTS__LANGUAGE="de")) == ["all other numbers"]
        assert without_standby(settings(SPEECH__API_KEY="sk", **german)) == []


@pytest.fixture
async def main() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech(stt_status=503, tts_status=503).running() as service:
        yield service


@pytest.fixture
async def other() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


async def page(up: Bridge, path: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(up.url + path) as answer:
        return await answer.text()


class TestCalls:
    async def test_a_call_is_heard_and_answered_by_the_standby_and_its_record_says_so(
        self, main: ScriptedSpeech, other: ScriptedSpeech, tmp_path: Path
    ) -> None:
        given = {"BRIDGE_SPEECH__STANDBY": other.url, "BRIDGE_AGENT__GREETING": "Hello."}
        async with bridge(tmp_path, main.url, None, **given) as up:
            async with SimulatedCall(line(up)) as call:
                await live(up, call.call_sid)
                assert await call.wait_agent_speaking(5)
                ear = await other.listener()
                await ear.say_turn("Is anybody there?")
                assert await call.wait_for_agent(5, silence_s=0.3)
                assert '"speech": "standby"' in await page(up, "/readyz")
                assert 'phone_bridge_standby{half="stt"} 1.0' in await page(up, "/metrics")
            entries = await kept(up, call, tmp_path)
            assert 'speech_turns_total{half="stt",service="standby"} 1.0' in await page(up, "/metrics")
        spoke = {one["entry"]: one["standby"] for one in entries if one["entry"].endswith("_spoke")}
        assert spoke == {"caller_spoke": True, "agent_spoke": True}
        assert "authorization" not in ear.headers
        assert "x-api-key" not in ear.headers, "the key of the one is not for the other"
        assert [one["reason"] for one in entries if one["entry"] == "call_closed"] == ["caller"]

    async def test_a_connection_that_breaks_goes_over_in_the_middle_of_a_turn(
        self, other: ScriptedSpeech, tmp_path: Path
    ) -> None:
        given = {"BRIDGE_SPEECH__STANDBY": other.url}
        async with ScriptedSpeech().running() as cloud, bridge(tmp_path, cloud.url, None, **given) as up:
            async with SimulatedCall(line(up)) as call:
                ear = await cloud.listener()
                await ear.turn("start")
                await ear.turn("update", "I would like")
                cloud.stt_status = 503
                ear.drop()
                again = await other.listener()
                await again.say_turn("I would like to know.")
                assert await call.wait_agent_speaking(5)
            entries = await kept(up, call, tmp_path)
            stands_in = standby_of(up)
            assert (stands_in("stt"), stands_in("tts")) == (1.0, 0.0), "the voice has not failed"
        (spoke,) = [one for one in entries if one["entry"] == "caller_spoke"]
        assert (spoke["transcript"], spoke["standby"]) == ("I would like to know.", True)

    async def test_calls_beyond_the_plan_are_taken_as_long_as_the_standby_has_room(
        self, other: ScriptedSpeech, tmp_path: Path
    ) -> None:
        given = {"BRIDGE_SPEECH__STANDBY": other.url}
        async with ScriptedSpeech().running() as cloud, bridge(tmp_path, cloud.url, None, **given) as up:
            refused = functools.partial(
                up.metrics.registry.get_sample_value, "phone_bridge_admission_refusals_total", {"reason": "speech"}
            )
            async with SimulatedCall(line(up)) as one:
                await live(up, one.call_sid)
                await cloud.listener()
                cloud.stt_status = 429
                async with SimulatedCall(line(up)) as two, SimulatedCall(line(up)) as three:
                    await (await other.listener(0)).say_turn("Is anybody there?")
                    assert await two.wait_agent_speaking(1) or await three.wait_agent_speaking(5)
                    await other.listener(1)
                    await live(up, three.call_sid)
                    other.stt_status = 429
                    assert refused() is None
                    async with SimulatedCall(line(up)) as four:
                        await until(lambda: speech_errors(up) == 4)  # Of the last call: the one, and the other.
                        async with SimulatedCall(line(up)) as five:
                            await five.ended()
                        assert refused() == 1
                        await four.hang_up()


def speech_errors(up: Bridge) -> float | None:
    return up.metrics.registry.get_sample_value("phone_bridge_speech_errors_total", {"code": "speech_limit"})


def standby_of(up: Bridge) -> Callable[[str], float | None]:
    return lambda half: up.metrics.registry.get_sample_value("phone_bridge_standby", {"half": half})
