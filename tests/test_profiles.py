"""From the settings to the rules of a call."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.call.sounds import Sounds
from bridge.conversation.policy import Policy
from bridge.errors import SettingsError
from bridge.metrics import Metrics
from bridge.profiles import Openers, Profiles, policy_from
from bridge.settings import Settings
from bridge.settings_source import load_settings
from bridge.stt.cartesia_turns import CartesiaTurns, CartesiaTurnsSettings
from bridge.tts.tone import ToneVoice


def settings(**environment: str) -> Settings:
    return load_settings(environment=environment, files=())


def openers() -> Openers:
    def listening(_: Settings) -> CartesiaTurns:
        return CartesiaTurns(CartesiaTurnsSettings(base_url="http://127.0.0.1:1"))

    return Openers(listening, lambda _: ToneVoice(), lambda _: Sounds())


def test_without_settings_the_rules_are_the_policys_own() -> None:
    plain = policy_from(settings())
    # The adapter's limit strikes first: it knows more about what went wrong.
    assert dataclasses.replace(plain, agent_timeout_s=Policy().agent_timeout_s) == Policy()
    assert plain.agent_timeout_s == settings().agent.timeout_seconds + 1


def test_settings_reach_the_rules() -> None:
    policy = policy_from(
        settings(
            BRIDGE_AGENT__KIND="none",
            BRIDGE_AGENT__EAGER="false",
            BRIDGE_AGENT__GREETING="Hello.",
            BRIDGE_TURNS__BARGE_IN="never",
            BRIDGE_TURNS__BACKCHANNELS="yes, no",
            BRIDGE_TURNS__SILENCE_SECONDS="7",
            BRIDGE_TURNS__MAX_CALL_SECONDS="60",
            BRIDGE_TURNS__STILL_THERE="Hello?",
        )
    )
    assert (policy.agent, policy.eager, policy.greeting, policy.barge_in) == (False, False, "Hello.", "never")
    assert (policy.backchannels, policy.silence_s, policy.max_call_s) == (("yes", "no"), 7.0, 60.0)
    assert policy.silence_prompts == ("Hello?", "Hello?")


async def test_each_number_has_its_own_agent_and_the_rest_the_default() -> None:
    numbers = (
        {"number": "+15550100002", "agent": {"url": "http://127.0.0.1:1/", "greeting": "Shop."}},
        {"number": "+15550100003", "agent": {"kind": "none"}, "tts": {"voice": "other"}},
    )
    given = load_settings(environment={}, files=(), overrides={"numbers": numbers})  # type: ignore[dict-item]
    profiles = Profiles(given, openers(), Metrics())
    try:
        shop, quiet, rest = (profiles.of(f"+1555010000{last}") for last in (2, 3, 4))
        assert (shop.agent_kind, quiet.agent_kind, rest.agent_kind) == ("webhook", "none", "python")
        assert (shop.policy.greeting, rest.policy.greeting) == ("Shop.", "")
        assert quiet.peers.agent is None
        assert quiet.peers.voice == "other"
    finally:
        await profiles.close()


def test_an_agent_that_cannot_be_imported_is_told_at_the_start() -> None:
    wrong = settings(BRIDGE_AGENT__URL="no_such_module:agent")
    with pytest.raises(SettingsError, match="no_such_module"):
        Profiles(wrong, openers(), Metrics())
