"""From the settings to the rules of a call."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from bridge.agents.relay.talk import Manners
from bridge.assembly.profiles import Openers, Profiles, policy_from
from bridge.assembly.relay_profile import relay_options
from bridge.call.sounds import Sounds
from bridge.conversation.actions import HandOff, HangUp, Say, Transfer
from bridge.conversation.policy import Policy
from bridge.errors import SettingsError
from bridge.metrics import Metrics
from bridge.settings import Settings
from bridge.settings.source import load_settings
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


RELAY = {"BRIDGE_AGENT__URL": "wss://agent.example.com/relay/"}


def test_a_relay_app_is_not_asked_speculatively_and_greets_as_its_attributes_say() -> None:
    plain = policy_from(settings(**RELAY, BRIDGE_AGENT__GREETING="Hello.", BRIDGE_TURNS__BARGE_IN="words:2"))
    assert (plain.eager, plain.greeting, plain.greeting_barge_in, plain.barge_in) == (
        False,
        "Hello.",
        "",
        "words:2",
    )

    own = policy_from(
        settings(
            **RELAY,
            BRIDGE_AGENT__GREETING="Hello.",
            BRIDGE_RELAY__WELCOME_GREETING="Welcome.",
            BRIDGE_RELAY__WELCOME_GREETING_INTERRUPTIBLE="none",
            BRIDGE_RELAY__INTERRUPTIBLE="dtmf",
        )
    )
    assert (own.greeting, own.greeting_barge_in, own.barge_in) == ("Welcome.", "never", "keys")


def test_the_attributes_of_a_relay_app_are_its_options() -> None:
    given = settings(
        **RELAY,
        BRIDGE_TWILIO__AUTH_TOKEN="0123456789abcdef0123456789abcdef",
        BRIDGE_RELAY__REPORT_INPUT_DURING_AGENT_SPEECH="any",
        BRIDGE_RELAY__DTMF_DETECTION="false",
        BRIDGE_RELAY__PARTIAL_PROMPTS="true",
        BRIDGE_RELAY__EVENTS="speaker-events",
        BRIDGE_RELAY__PARAMETERS="plan=gold, note=a=b",
        BRIDGE_RELAY__RECONNECT_SECONDS="3",
        BRIDGE_AGENT__ALLOW_PRIVATE="false",
    )
    options = relay_options(given)

    assert given.agent.url == "wss://agent.example.com/relay/"
    assert options.manners == Manners(report="any", dtmf=False, partials=True)
    assert (options.events, options.parameters) == (("speaker-events",), {"plan": "gold", "note": "a=b"})
    assert (options.limits.reconnect_s, options.allow_private) == (3, False)
    assert options.sign is not None
    assert options.sign("wss://voice.example.com/twilio/media") == "3Wv0T80qzAY3OCARW9y1gnUJZtE="
    assert options.when_lost == (Say(given.turns.farewell), HangUp("agent_failed"))
    assert relay_options(settings(**RELAY)).sign is None


def test_a_caller_whose_relay_app_is_lost_is_passed_on_as_set() -> None:
    desk = settings(**RELAY, BRIDGE_TURNS__FAILURE_TRANSFER="+15550100300")
    assert relay_options(desk).when_lost == (Say(desk.turns.handover), Transfer("+15550100300"))
    webhook = settings(**RELAY, BRIDGE_RELAY__ACTION_URL="https://agent.example.com/next/")
    assert webhook.relay.action_url == "https://agent.example.com/next/"
    assert relay_options(webhook).when_lost == (HandOff(),)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PARAMETERS", "plan", "wanted name=value"),
        ("PARAMETERS", "plan=a, plan=b", "each name once"),
        ("EVENTS", "everything", "wanted speaker-events or tokens-played"),
        ("ACTION_URL", "agent.example.com", "URL"),
    ],
)
def test_wrong_attributes_of_a_relay_app_are_told(name: str, value: str, wanted: str) -> None:
    with pytest.raises(SettingsError, match=rf"BRIDGE_RELAY__{name}.*{wanted}"):
        settings(**RELAY, **{f"BRIDGE_RELAY__{name}": value})


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


@pytest.mark.parametrize(
    ("own", "keeps", "recording", "said"),
    [
        ("", "true", "on", "Hello. Recorded."),
        ("", "false", "off", "Hello."),
        ('recording = "on"', "false", "on", "Hello. Recorded."),
        ('recording = "off"', "true", "off", "Hello."),
        ('recording = "paused"', "true", "paused", "Hello."),
    ],
)
@pytest.mark.parametrize("mode", ["", 'mode = "log"\nforward_to = "+15550100009"'])
async def test_whether_a_number_is_recorded_and_what_callers_are_told_of_it(
    own: str, keeps: str, recording: str, said: str, mode: str, tmp_path: Path
) -> None:
    file = tmp_path / "bridge.toml"
    number = (
        f'number = "+15550100002"\nannouncement = "Hello."\nrecording_announcement = "Recorded."\n{own}\n{mode}\n'
    )
    await asyncio.to_thread(file.write_text, f"store.record_audio = {keeps}\n[[numbers]]\n{number}")
    given = await asyncio.to_thread(load_settings, environment={}, files=(file,))
    profiles = Profiles(given, openers(), Metrics())
    profile = profiles.of("+15550100002")
    assert (profile.policy.recording, profile.listening.recording) == (recording, recording)
    assert profile.answering.said_first == said
    other = profiles.of("+15550100003")
    assert (other.policy.recording, other.answering.said_first) == ("on" if keeps == "true" else "off", "")
    await profiles.close()
