"""How each number's calls are held: from settings to policies and peers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bridge.agents.base import ActingAgent, Agent
from bridge.agents.breaker import BreakerLimits
from bridge.agents.conversation_relay import RelayAgent, SessionFacts
from bridge.agents.flow import FlowOptions
from bridge.agents.openai_options import HttpToolOptions, OpenAIOptions
from bridge.agents.registry import open_agent
from bridge.agents.webhook import WebhookAgent, WebhookOptions
from bridge.call.registry import Profile
from bridge.call.session import Peers
from bridge.call.sounds import Sounds
from bridge.conversation.policy import Policy
from bridge.metrics import Metrics
from bridge.relay_profile import relay_options, relay_policy
from bridge.settings import Settings
from bridge.settings_agents import AgentSettings, HttpTool, OpenAISettings, targets_by_name
from bridge.stt.base import RecognizerFactory
from bridge.tts.base import Synthesizer
from bridge.tts.prompts import Prompt


class Profiles:
    """Opens the agents that the settings name, once each, and tells how a call to a number is held.

    Raises SettingsError for an agent that cannot work: before the first call, not during it.
    """

    def __init__(
        self,
        settings: Settings,
        recognizers: RecognizerFactory,
        synthesizer: Synthesizer,
        sounds: Sounds,
        metrics: Metrics,
    ) -> None:
        self._recognizers = recognizers
        self._synthesizer = synthesizer
        self._sounds = sounds
        self._metrics = metrics
        self._agents: list[tuple[tuple[AgentSettings, str], Agent]] = []
        self._default = self._profile(settings)
        self._by_number = {
            entry.number: self._profile(settings.for_number(entry.number)) for entry in settings.numbers
        }

    def of(self, called: str) -> Profile:
        """Return how a call to this number is held."""
        return self._by_number.get(called, self._default)

    def start(self) -> None:
        """Take up what agents are still to be told of calls that ended before this process began."""
        for _, agent in self._agents:
            if isinstance(agent, WebhookAgent):
                agent.start()

    async def close(self) -> None:
        """Close the agents."""
        for _, agent in self._agents:
            await agent.close()

    def _profile(self, settings: Settings) -> Profile:
        asked = settings.agent.kind != "none"
        agent = self._agent(settings) if asked else None
        policy = policy_from(settings)
        if isinstance(agent, ActingAgent) and agent.acts_at_once:
            policy = replace(policy, eager=False)
        return Profile(
            policy=policy,
            peers=Peers(
                recognizers=self._recognizers,
                synthesizer=self._synthesizer,
                agent=agent,
                voice=settings.tts.voice,
                language=settings.tts.language,
                sounds=self._sounds,
            ),
            agent_kind=settings.agent.kind,
        )

    def relay_session(self, sid: str) -> SessionFacts | None:
        """Tell what became of the session of a call with its ConversationRelay app; None: it had none."""
        relays = (agent for _, agent in self._agents if isinstance(agent, RelayAgent))
        return next((found for relay in relays if (found := relay.session(sid)) is not None), None)

    def _agent(self, own: Settings) -> Agent:
        settings = own.agent
        # A relay app is told the language that its number is listened to in.
        key = settings, own.stt.language if settings.kind == "relay" else ""
        for known, agent in self._agents:
            if known == key:
                return agent
        refused = self._metrics.agent_errors.labels(code="unknown_action")
        agent = open_agent(
            settings,
            on_refused=lambda _: refused.inc(),
            on_breaker=lambda state: self._metrics.agent_breaker.labels(state=state).inc(),
            webhook=_webhook_options(settings),
            openai=_openai_options(settings, own.openai),
            relay=relay_options(own),
            flow=FlowOptions(settings.sounds, settings.allow_private, settings.timeout_seconds),
        )
        self._agents.append((key, agent))
        return agent


def _webhook_options(settings: AgentSettings) -> WebhookOptions:
    return WebhookOptions(
        connect_seconds=settings.connect_seconds,
        answer_seconds=settings.answer_seconds,
        allow_private=settings.allow_private,
        breaker=_breaker_limits(settings),
        ended_folder=Path(settings.undelivered) if settings.undelivered else None,
    )


def _openai_options(agent: AgentSettings, model: OpenAISettings) -> OpenAIOptions:
    return OpenAIOptions(
        model=model.model,
        api_key=model.api_key.get_secret_value(),
        instructions=model.instructions,
        temperature=model.temperature,
        max_tokens=model.max_tokens,
        history_messages=model.history_messages,
        actions=model.actions,
        targets=targets_by_name(model.transfer_targets),
        tools=tuple(map(tool_options, model.tools)),
        greets=not agent.greeting,
        connect_seconds=agent.connect_seconds,
        answer_seconds=agent.answer_seconds,
        allow_private=agent.allow_private,
        breaker=_breaker_limits(agent),
    )


def tool_options(tool: HttpTool) -> HttpToolOptions:
    """Return what the agent is to know of an HTTP tool."""
    return HttpToolOptions(
        name=tool.name,
        description=tool.description,
        url=tool.url,
        method=tool.method,
        parameters=tool.parameters,
        headers={name: value.get_secret_value() for name, value in tool.headers.items()},
        timeout_seconds=tool.timeout_seconds,
    )


def _breaker_limits(settings: AgentSettings) -> BreakerLimits:
    return BreakerLimits(settings.breaker_failures, settings.breaker_window_seconds, settings.breaker_pause_seconds)


def fixed_prompts(settings: Settings) -> set[Prompt]:
    """Return what the bridge itself says in calls to any number, in the voice of that number."""
    found: set[Prompt] = set()
    for own in (settings, *(settings.for_number(entry.number) for entry in settings.numbers)):
        policy = policy_from(own)
        texts: tuple[str, ...] = (policy.greeting, policy.voicemail)
        if policy.agent:
            ends = policy.handover if policy.failure_transfer else policy.farewell
            texts += (
                policy.filler,
                policy.apology,
                policy.outage,
                policy.limit_notice,
                ends,
                policy.transfer_failed,
            )
            texts += (*policy.silence_prompts, policy.silence_farewell)
        found |= {Prompt(text, own.tts.voice, own.tts.language) for text in texts if text}
    return found


def policy_from(settings: Settings) -> Policy:
    """Return the rules of a call as the settings have them."""
    turns, agent = settings.turns, settings.agent
    policy = Policy(
        agent=agent.kind != "none",
        greeting=agent.greeting,
        eager=agent.eager,
        barge_in=turns.barge_in,
        barge_in_s=turns.barge_in_ms / 1000,
        echo_guard=turns.echo_guard,
        filler=turns.filler,
        filler_s=turns.filler_seconds,
        whole_sentences=settings.tts.max_buffer_delay_ms == 0,
        backchannels=turns.backchannels,
        false_alarm_s=turns.false_alarm_seconds,
        # The adapter has its own limit and a better message; this one is for agents that hang all the same.
        agent_timeout_s=agent.timeout_seconds + 1,
        apology=turns.apology,
        farewell=turns.farewell,
        failure_transfer=turns.failure_transfer,
        handover=turns.handover,
        outage_s=turns.outage_seconds,
        outage=turns.outage,
        warm=bool(settings.twilio.account_sid and settings.twilio.auth_token.get_secret_value()),
        longest_ring_s=settings.transfer.ring_seconds,
        transfer_failed=settings.transfer.failed,
        silence_s=turns.silence_seconds,
        silence_prompts=(turns.still_there, turns.still_there),
        silence_farewell=turns.goodbye,
        voicemail=settings.outbound.voicemail,
        max_call_s=turns.max_call_seconds,
        limit_notice=turns.limit_notice,
        limit_notice_s=turns.limit_notice_seconds,
    )
    return relay_policy(policy, settings) if agent.kind == "relay" else policy
