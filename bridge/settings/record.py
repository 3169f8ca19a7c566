"""The sections of the settings that say what is kept of calls, for how long, and who may see it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from bridge.settings.base import Section, Texts
from bridge.settings.values import comma_list, database_url, http_url, json_list

REDACTIONS = ("card", "email", "phone", "ssn")
"""What redaction knows by itself."""
SINK_EVENTS = ("call.started", "turn", "action", "problem", "call.ended")
"""What sinks can be told of."""


class StoreSettings(Section):
    """What is kept of calls."""

    url: str = ""
    """Database of calls: sqlite:///FILE or postgresql://…; empty: the file calls.db in the folder below."""
    recordings: Path = Path("calls")
    """Folder of transcripts, recordings and journals."""
    record_audio: bool = True
    """Keep a stereo recording of each call: the caller left, what the caller heard right."""
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    """Days after which calls are deleted, files and rows; unset: kept for ever."""
    encryption_key: SecretStr = SecretStr("")
    """Key that recordings are encrypted with: 32 bytes in base64; empty: they are not."""
    old_encryption_keys: Annotated[tuple[SecretStr, ...], BeforeValidator(comma_list)] = Field(
        default=(), repr=False
    )
    """Earlier keys, with which older recordings can still be read."""

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return database_url(value) if value else ""


class PrivacySettings(Section):
    """What is never written down."""

    redact: Texts = ("card",)
    """What is struck out of transcripts, journals and logs: some of card, email, phone, ssn; []: nothing."""
    patterns: Annotated[tuple[str, ...], BeforeValidator(json_list)] = ()
    """Further regular expressions of what is struck out; in the environment a JSON array."""

    @field_validator("redact")
    @classmethod
    def _redact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in REDACTIONS]:
            raise ValueError(f"{unknown[0]!r} is none: wanted some of {', '.join(REDACTIONS)}")
        return value

    @field_validator("patterns")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            import regex  # noqa: PLC0415  (most have no patterns, and it is megabytes)

            try:
                matches_nothing = re.compile(pattern).match("") is not None
                regex.compile(pattern)  # which is what tries them, as it can be broken off
            except (re.error, regex.error, RecursionError, OverflowError) as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
            if matches_nothing:
                raise ValueError(f"{pattern!r} also fits no text at all, so it would fit everywhere")
        return value


class SinksSettings(Section):
    """Where what is kept of calls is also sent, as it happens."""

    webhook_url: str = ""
    """Address that is posted each entry, signed by the Standard Webhooks scheme; empty: none."""
    webhook_secret: SecretStr = SecretStr("")
    """Secret that signs these posts; empty: unsigned."""
    file: str = ""
    """File that each entry is appended to, one JSON object a line; empty: none."""
    nats_subject: str = ""
    """Subject on the NATS server of bus.url that each entry is published at; empty: none."""
    events: Texts = SINK_EVENTS
    """What is sent: some of call.started, turn, action, problem, call.ended."""

    @field_validator("webhook_url")
    @classmethod
    def _webhook_url(cls, value: str) -> str:
        return http_url(value) if value else ""

    @field_validator("events")
    @classmethod
    def _events(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in SINK_EVENTS]:
            raise ValueError(f"{unknown[0]!r} is none: wanted some of {', '.join(SINK_EVENTS)}")
        return value


class BusSettings(Section):
    """A message bus that bridges share."""

    url: str = ""
    """nats:// URL of a NATS server, by which many bridges act as one, and for sinks; empty: none."""
    subject: str = Field(default="phone-bridge", pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")
    """What all subjects of these bridges begin with; others at the same server need another."""

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            return http_url(value, schemes=("nats", "tls")) if value else ""
        except ValueError:
            raise ValueError("wanted a nats:// URL such as nats://127.0.0.1:4222") from None


_TAKEN = frozenset({"api", "console", "local", "retention"})
"""Who else the audit and the API know. Whoever signed in with a token named `api` would be taken for who has
`api.token`, and may do all."""


class ApiToken(Section):
    """One more token of the API."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Who holds it, for the audit."""
    token: SecretStr = Field(min_length=16)
    """The token."""
    scope: Literal["read", "control", "admin"] = "read"
    """`read` sees and hears, `control` also acts on live calls, `admin` also deletes."""


class ApiSettings(Section):
    """Operators' and programs' access."""

    token: SecretStr = SecretStr("")
    """Bearer token of the API and the console, which may do all; empty: they answer only on loopback."""
    tokens: Annotated[tuple[ApiToken, ...], BeforeValidator(json_list)] = Field(default=(), repr=False)
    """Further tokens: tables with name, token and scope (read, control or admin)."""
    requests_per_second: float = Field(default=20, gt=0, le=10_000)
    """Requests that one token, or one address without a token, may make; five times as many at once."""
    console: bool = True
    """Answer with the console at / and the softphone at /softphone."""

    @field_validator("tokens", mode="after")
    @classmethod
    def _each_once(cls, value: tuple[ApiToken, ...]) -> tuple[ApiToken, ...]:
        names = [one.name for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"wanted each name once, but {', '.join(twice)} comes again")
        if taken := sorted(_TAKEN.intersection(names)):
            raise ValueError(f"{', '.join(taken)} cannot be the name of a token: the bridge calls others so")
        return value
