"""How each number's calls are held: from settings to policies and peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bridge.agents.base import ActingAgent, Agent
from bridge.agents.breaker import BreakerLimits
from bridge.agents.flow.options import FlowOptions
from bridge.agents.openai.options import HttpToolOptions, OpenAIOptions
from bridge.agents.registry import open_agent
from bridge.agents.relay.agent import RelayAgent, SessionFacts
from bridge.agents.webhook.agent import WebhookAgent, WebhookOptions
from bridge.assembly.relay_profile import relay_options, relay_policy
from bridge.assembly.shared import Shared, Waitable
from bridge.call.answering import Answering, Closed, Overflow, Voicemail
from bridge.call.log_session import LogSession
from bridge.call.registry import Profile
from bridge.call.session import Peers, Session
from bridge.call.sounds import Sounds
from bridge.conversation.overheard import ListenPolicy
from bridge.conversation.policy import Policy
from bridge.conversation.recording import State
from bridge.metrics import Metrics
from bridge.privacy.bodies import redacted_body
from bridge.privacy.redactor import Redactor
from bridge.settings import Settings
from bridge.settings.agents import AgentSettings, HttpTool, OpenAISettings, targets_by_name
from bridge.settings.calls import NumberSettings, VoicemailSettings
from bridge.stt.base import RecognizerFactory
from bridge.tts.base import Synthesizer
from bridge.tts.prompts import Prompt, PromptCache

_AGENTS_LINGER_S = 10.0
"""How long an agent that no number names any more can be asked about its last call: the carrier asks later."""


@dataclass(frozen=True, slots=True)
class Openers:
    """How what calls share is opened, each for the settings that are given."""

    recognizers: Callable[[Settings], RecognizerFactory]
    synthesizer: Callable[[Settings], Synthesizer]
    sounds: Callable[[AgentSettings], Sounds]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How calls are held by one version of the settings."""

    default: Profile
    by_number: Mapping[str, Profile]

    @property
    def profiles(self) -> list[Profile]:
        return [self.default, *self.by_number.values()]


class Profiles:
    """Opens what the settings name, once each, and tells how a call to a number is held.

    Raises SettingsError for an agent that cannot work: before the first call, not during it.
    """

    def __init__(self, settings: Settings, openers: Openers, metrics: Metrics) -> None:
        self._openers = openers
        self._metrics = metrics
        self._agents: Shared[Agent] = Shared("agent", linger_s=_AGENTS_LINGER_S)
        self._recognizers: Shared[RecognizerFactory] = Shared("speech to text")
        self._synthesizers: Shared[Synthesizer] = Shared("text to speech")
        self._sounds: Shared[Sounds] = Shared("sounds")
        self._redactor = Redactor(settings.privacy.redact, settings.privacy.patterns)
        self._settings = settings
        self._plan = self._planned(settings)

    @property
    def numbers(self) -> Sequence[str]:
        """Those that have settings of their own, in their order there."""
        return [*self._plan.by_number]

    def of(self, called: str) -> Profile:
        """Return how a call to this number is held."""
        return self._plan.by_number.get(called, self._plan.default)

    def start(self) -> None:
        """Prepare the fixed sentences, and take up what agents are still to be told of former calls.

        Again after `adopt`, for what is new since.
        """
        for agent in self._agents.all:
            if isinstance(agent, WebhookAgent):
                agent.start()
        for synthesizer in self._synthesizers.all:
            if isinstance(synthesizer, PromptCache):
                synthesizer.want(fixed_prompts(self._settings))

    async def adopt(self, settings: Settings, live: Callable[[], Iterable[Session | LogSession]]) -> None:
        """Hold calls that begin from now on as these settings say; those that are `live` keep what they have.

        What no number names any more is closed when the last call that uses it is over. Raises SettingsError,
        and changes nothing, for an agent that cannot work.
        """
        kinds: list[Shared[Any]] = [self._agents, self._recognizers, self._synthesizers, self._sounds]
        before = [kind.all for kind in kinds]
        try:
            plan = self._planned(settings)
        except BaseException:
            for kind, old in zip(kinds, before, strict=True):
                for thing in kind.forget_since(old):
                    await thing.close()
            raise
        self._settings, self._plan = settings, plan
        peers = [profile.peers for profile in plan.profiles]

        def users(thing: Any) -> list[Waitable]:
            return [session.ended for session in live() if session.uses(thing)]

        self._agents.keep([one.agent for one in peers if one.agent is not None], users)
        self._recognizers.keep([one.recognizers for one in peers], users)
        self._synthesizers.keep([one.synthesizer for one in peers], users)
        self._sounds.keep([one.sounds for one in peers if one.sounds is not None], users)
        self.start()

    async def close(self) -> None:
        """Close everything: agents first, which may still have something to tell."""
        for kind in (self._agents, self._sounds, self._synthesizers, self._recognizers):
            await kind.close()

    def _planned(self, settings: Settings) -> _Plan:
        default = self._profile(settings)
        own = {entry.number: self._profile(settings.for_number(entry.number), entry) for entry in settings.numbers}
        return _Plan(default, own)

    def _profile(self, settings: Settings, entry: NumberSettings | None = None) -> Profile:
        listens = entry is not None and entry.mode == "log"
        asked = settings.agent.kind != "none" and not listens
        agent = self._agent(settings) if asked else None
        recording = recording_of(settings, entry)
        policy = replace(policy_from(settings), agent=asked, recording=recording)
        if isinstance(agent, ActingAgent) and agent.acts_at_once:
            policy = replace(policy, eager=False)  # What it does may change something: only when it is certain.
        return Profile(
            policy=policy,
            peers=Peers(
                recognizers=self._recognizers.get(settings.stt, lambda: self._openers.recognizers(settings)),
                # Voice and language go along with each utterance: numbers that differ in nothing else share it.
                synthesizer=self._synthesizers.get(
                    settings.tts.model_copy(update={"voice": "", "language": ""}),
                    lambda: self._openers.synthesizer(settings),
                ),
                agent=agent,
                voice=settings.tts.voice,
                language=settings.tts.language,
                sounds=self._sounds.get(
                    (settings.agent.sounds, settings.agent.private_sounds),
                    lambda: self._openers.sounds(settings.agent),
                ),
            ),
            agent_kind="log" if listens else settings.agent.kind,
            answering=answering_from(settings, entry),
            listening=ListenPolicy(max_call_s=settings.turns.max_call_seconds, recording=recording),
        )

    def relay_session(self, sid: str) -> SessionFacts | None:
        """Tell what became of the session of a call with its ConversationRelay app; None: it had none."""
        relays = (agent for agent in self._agents.everything if isinstance(agent, RelayAgent))
        return next((found for relay in relays if (found := relay.session(sid)) is not None), None)

    def _agent(self, own: Settings) -> Agent:
        return self._agents.get(_agent_key(own), lambda: self._open(own))

    def _open(self, own: Settings) -> Agent:
        settings = own.agent
        refused = self._metrics.agent_errors.labels(code="unknown_action")
        return open_agent(
            settings,
            on_refused=lambda _: refused.inc(),
            on_breaker=lambda state: self._metrics.agent_breaker.labels(state=state).inc(),
            webhook=_webhook_options(settings, self._redactor),
            openai=_openai_options(settings, own.openai),
            relay=relay_options(own),
            flow=FlowOptions(settings.sounds, settings.allow_private, settings.timeout_seconds),
        )


def _agent_key(settings: Settings) -> tuple[Any, ...]:
    """What makes two agents the same one: everything that they are opened with."""
    agent = settings.agent
    more: tuple[Any, ...] = ()
    match agent.kind:
        case "relay":
            # It is told the language that its number is listened to in, and what is done when it is lost.
            more = (settings.relay, settings.stt.language, settings.turns)
        case "openai":
            more = (settings.openai,)
        case "flow":
            # The same file with other contents is another flow.
            more = (_stamp(Path(agent.url)),)
        case _:
            pass
    return agent, more


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None  # Opening the agent says what is wrong.
    return found.st_mtime_ns, found.st_size


def recording_of(settings: Settings, entry: NumberSettings | None) -> State:
    """Return whether calls to a number are recorded; `entry`: the number's own settings, if it has some."""
    if entry is not None and entry.recording is not None:
        return entry.recording
    return "on" if settings.store.record_audio else "off"


def answering_from(settings: Settings, entry: NumberSettings | None) -> Answering:
    """Return what becomes of a call before anybody talks; `entry`: the number's own, if it has one."""
    closed = None
    if entry is not None and entry.hours is not None:
        hours = entry.hours
        closed = Closed(hours.parsed().open_at, hours.closed, hours.closed_forward_to)
    transfer, recorded = settings.transfer, recording_of(settings, entry) == "on"
    return Answering(
        mode="agent" if entry is None else entry.mode,
        forward_to="" if entry is None else entry.forward_to,
        announcement="" if entry is None else entry.announcement,
        recording_announcement=entry.recording_announcement if entry is not None and recorded else "",
        closed=closed,
        language=settings.tts.language,
        caller_id=transfer.caller_id,
        ring_s=transfer.ring_seconds,
        longest_s=max(1, round(settings.turns.max_call_seconds)),
        not_reached=transfer.failed,
        overflow=overflow_from(settings, entry),
        voicemail=voicemail_from(settings.voicemail),
    )


def voicemail_from(own: VoicemailSettings) -> Voicemail:
    """Return how callers leave a message with the carrier."""
    return Voicemail(own.say, own.thanks, own.max_seconds, own.silence_seconds, own.finish_key)


def overflow_from(settings: Settings, entry: NumberSettings | None) -> Overflow:
    """Return what callers get for whom there is no room; `entry`: the number's own, if it has one."""
    own = settings.admission
    given = entry or NumberSettings.model_construct()
    return Overflow(
        kind=given.overflow or own.overflow,
        say=own.overflow_say if given.overflow_say is None else given.overflow_say,
        transfer_to=given.overflow_transfer or own.overflow_transfer,
        transfer_say=own.transfer_say,
        queue_say=own.queue_say,
        wait_s=own.queue_seconds,
        rounds=own.queue_rounds,
    )


def _webhook_options(settings: AgentSettings, redactor: Redactor) -> WebhookOptions:
    return WebhookOptions(
        connect_seconds=settings.connect_seconds,
        answer_seconds=settings.answer_seconds,
        allow_private=settings.allow_private,
        breaker=_breaker_limits(settings),
        ended_folder=Path(settings.undelivered) if settings.undelivered else None,
        redact=partial(redacted_body, redactor),
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
    spoken = [entry.number for entry in settings.numbers if entry.mode == "agent"]
    for own in (settings, *map(settings.for_number, spoken)):
        policy = policy_from(own)
        texts: tuple[str, ...] = (policy.greeting, policy.voicemail)
        if policy.agent:
            ends = policy.handover if policy.failure_transfer else policy.farewell
            texts += (
                policy.filler,
                policy.apology,
                policy.outage,
                policy.resumed,
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
        message_after_failure=settings.voicemail.after_failure,
        longest_message_s=settings.voicemail.max_seconds,
        handover=turns.handover,
        outage_s=turns.outage_seconds,
        outage=turns.outage,
        resumed=turns.resumed,
        warm=bool(settings.twilio.account_sid and settings.twilio.auth_token.get_secret_value()),
        longest_ring_s=settings.transfer.ring_seconds,
        transfer_allow=settings.transfer.allow,
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
