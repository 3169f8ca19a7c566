"""The sections of the settings that say what becomes of calls: transfers, outbound calls, single numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from bridge import opening_hours
from bridge.settings.admission import OverflowKind
from bridge.settings.base import AgentKind, BargeIn, Section, Texts
from bridge.settings.values import dial_target, phone_number


class TransferSettings(Section):
    """How callers are passed on."""

    allow: Texts = ("*",)
    """Whom agents may pass callers on to: numbers and SIP addresses, such as +49*, sip:*@pbx.example.com."""
    caller_id: str = ""
    """Number that is shown to whom the caller is passed on; empty: the number that was called."""
    ring_seconds: int = Field(default=30, ge=5, le=600)
    """Seconds that the other phone may ring."""
    accept_key: str = Field(default="1", pattern=r"^[0-9*#]$")
    """Warm transfers: the key with which the other side takes the call after the summary."""
    accept_prompt: str = "To take this call, press {key}."
    """Warm transfers: said behind the summary by the carrier's own voice; `{key}` is the key."""
    accept_seconds: int = Field(default=20, ge=5, le=120)
    """Warm transfers: seconds that the other side has for pressing it."""
    failed: str = "Sorry, I could not reach them."
    """Said when the transfer did not come about and the agent says nothing about it."""

    @field_validator("caller_id")
    @classmethod
    def _caller_id(cls, value: str) -> str:
        return str(phone_number(value)) if value else ""


class VoicemailSettings(Section):
    """The message that callers may leave with the carrier, whose own voice asks for it."""

    after_failure: bool = False
    """Let callers leave a message where the call would end with `turns.farewell`."""
    say: str = Field(
        default="Sorry, nobody can take your call right now."
        " Please leave a message after the tone, and press the hash key when you are done.",
        min_length=1,
        max_length=2000,
    )
    """Said before the tone by the carrier's own voice."""
    thanks: str = Field(default="Thank you. Good-bye.", max_length=600)
    """Said behind the message, before hanging up; empty: nothing."""
    max_seconds: int = Field(default=120, ge=5, le=3600)
    """Seconds that a message may take."""
    silence_seconds: int = Field(default=5, ge=2, le=60)
    """Seconds of silence that end it."""
    finish_key: str = Field(default="#", pattern=r"^[0-9*#]$")
    """The key that ends it."""


class OutboundSettings(Section):
    """Calls that the bridge places."""

    from_number: str = ""
    """Number that calls come from: one of the Twilio account's; empty: each request has to name one."""
    allow: Texts = ("+*",)
    """Which numbers may be called: beginnings with `*` at their end, or whole numbers."""
    ring_seconds: int = Field(default=40, ge=5, le=600)
    """Seconds that the other phone may ring."""
    calls_per_second: float = Field(default=1, gt=0, le=100)
    """New calls a second; more wait their turn."""
    concurrent_calls: int = Field(default=10, ge=1, le=10_000)
    """Calls at the same time; more wait their turn."""
    queue_length: int = Field(default=1000, ge=1, le=100_000)
    """Requests that may wait; more are refused."""
    detect_machines: Literal["off", "sync", "async"] = "off"
    """Whether the carrier tells people from answering machines: before the agent speaks, or meanwhile."""
    voicemail: str = ""
    """Said to an answering machine behind its beep, before hanging up; empty: hang up at once."""

    @field_validator("from_number")
    @classmethod
    def _from_number(cls, value: str) -> str:
        return str(phone_number(value)) if value else ""


class NumberAgent(Section):
    """What of [agent] a number has of its own."""

    kind: AgentKind | None = None
    """As agent.kind."""
    url: str | None = None
    """As agent.url."""
    secret: SecretStr | None = None
    """As agent.secret."""
    greeting: str | None = None
    """As agent.greeting."""


class NumberStt(Section):
    """What of [stt] a number has of its own."""

    language: str | None = Field(default=None, min_length=2)
    """As stt.language."""
    keyterms: Texts | None = None
    """As stt.keyterms."""


class NumberTts(Section):
    """What of [tts] a number has of its own."""

    voice: str | None = Field(default=None, min_length=1)
    """As tts.voice."""
    language: str | None = Field(default=None, min_length=2)
    """As tts.language."""


class NumberTurns(Section):
    """What of [turns] a number has of its own."""

    barge_in: BargeIn | None = None
    """As turns.barge_in."""


class NumberHours(Section):
    """Opening hours of a number. Outside of them nobody is asked: callers hear `closed`, or are passed on."""

    timezone: str = "UTC"
    """Name of the time zone, such as Europe/Berlin."""
    open: Texts = ("mon-sun 00:00-24:00",)
    """Days and times, such as `mon-fri 09:00-17:30`; several for breaks and other days."""
    closed: str = "Sorry, we are closed at the moment. Please call again during our opening hours. Good-bye."
    """Said by the carrier's own voice to who calls outside of them."""
    closed_forward_to: str = ""
    """Number or SIP address that callers are then passed on to; empty: hang up."""

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        opening_hours.read_zone(value)
        return value

    @field_validator("open")
    @classmethod
    def _open(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        opening_hours.parse(value, "UTC")
        return value

    @field_validator("closed_forward_to")
    @classmethod
    def _closed_forward_to(cls, value: str) -> str:
        return dial_target(value) if value else ""

    def parsed(self) -> opening_hours.OpeningHours:
        """The hours, ready to be asked."""
        return opening_hours.parse(self.open, self.timezone)


class NumberSettings(Section):
    """One phone number that differs from the rest."""

    number: Annotated[str, BeforeValidator(phone_number)]
    """The number dialled, in E.164 form (+15551234567), or a `sip:` or `client:` address."""
    mode: Literal["agent", "log"] = "agent"
    """`agent`: the agent answers; `log`: the caller is connected with forward_to, and both are transcribed."""
    forward_to: str = Field(default="", validate_default=True)
    """With mode `log`: number, `sip:` or `client:` address, or `conference:NAME`, that calls are connected with."""
    announcement: str = Field(default="", max_length=600)
    """Said by the carrier's own voice before anything else, such as that the call is recorded; empty: nothing."""
    recording: Literal["on", "off", "paused"] | None = None
    """`on`, `off`, or `paused`: only once the agent, or the API, resumes it; unset: as store.record_audio."""
    recording_announcement: str = Field(default="", max_length=600)
    """Said behind `announcement` where the call is recorded from its start; empty: nothing."""
    hours: NumberHours | None = None
    """When calls are taken; unset: always."""
    max_calls: int | None = Field(default=None, ge=1, le=100_000)
    """Calls at the same time in each process; unset: no limit but those of [admission]."""
    overflow: OverflowKind | None = None
    """As admission.overflow."""
    overflow_say: str | None = None
    """As admission.overflow_say."""
    overflow_transfer: str | None = None
    """As admission.overflow_transfer."""
    agent: NumberAgent = NumberAgent()
    stt: NumberStt = NumberStt()
    tts: NumberTts = NumberTts()
    turns: NumberTurns = NumberTurns()

    @field_validator("forward_to")
    @classmethod
    def _forward_to(cls, value: str, info: ValidationInfo) -> str:
        mode = info.data.get("mode")
        if mode == "log" and not value:
            raise ValueError(
                "mode log connects two people: wanted the number, sip: or client: address, or conference:NAME"
                " that callers are connected with"
            )
        if mode == "agent" and value:
            raise ValueError("only mode log connects callers: set mode to log, or take forward_to out")
        return dial_target(value, conference=True) if value else ""

    @field_validator("overflow_transfer")
    @classmethod
    def _overflow_transfer(cls, value: str | None) -> str | None:
        return dial_target(value) if value else value
