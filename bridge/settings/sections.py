"""The sections of the settings: every knob of the bridge with its default, its unit and its limits.

The sentence under a field is its documentation everywhere: `serve --help` prints it. Empty texts and unset
numbers mean "not given", so that every default can be written down in a file.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from bridge.settings.base import BargeIn, Section, Texts
from bridge.settings.values import (
    comma_list,
    header_map,
    http_url,
    lower,
    networks,
    origin,
    phone_number,
)

CARTESIA_URL = "https://api.cartesia.ai"
DEFAULT_VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
"""The voice of Cartesia's own examples. The local speech server speaks any unknown id with its one voice."""


class ServerSettings(Section):
    """The listener."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every address of the machine, as in a container."""
    port: int = Field(default=8080, ge=0, le=65535)
    """TCP port; 0 takes a free one."""
    workers: int = Field(default=1, ge=1, le=64)
    """Number of processes that share the calls."""
    drain_seconds: float = Field(default=30, ge=0, le=3600)
    """Seconds that live calls may go on after a request to stop."""
    resume_seconds: float = Field(default=30, ge=0, le=600)
    """Seconds that a call may be taken up again in whose midst its process died; 0: it ends with the process."""
    public_url: str = ""
    """The https origin that Twilio reaches, such as https://voice.example.com; empty: http://127.0.0.1:<port>."""

    node: str = Field(default="", pattern=r"^[A-Za-z0-9._:-]{0,100}$")
    """Name of this bridge among others at one bus, each with its own; empty: host name and port."""

    allow_insecure: bool = False
    """Listen to the network though nothing tells Twilio from others: no auth token, or unsigned requests taken."""
    trusted_proxies: Texts = ("127.0.0.0/8", "::1/128")
    """Networks of proxies before the bridge, whose X-Forwarded-For says who asks; others' counts for nothing."""
    max_connections: int = Field(default=1000, ge=10, le=60_000)
    """Connections at the same time of whom nothing is known yet; calls, and who has a token, do not count."""
    max_connections_per_address: int = Field(default=100, ge=1, le=60_000)
    """Of these, from one address that is no trusted proxy."""
    head_seconds: float = Field(default=10, gt=0, le=600)
    """Seconds that a connection has for its first request's head, and for the handshake of TLS."""
    idle_seconds: float = Field(default=75, gt=0, le=3600)
    """Seconds that a connection may idle from request to request; longer than a proxy keeps its own."""

    tls_certificate: str = ""
    """File of a certificate chain (PEM), read again at SIGHUP: listen by https without a proxy; empty: http."""
    tls_key: str = Field(default="", validate_default=True)
    """File of its private key (PEM)."""

    @field_validator("tls_key")
    @classmethod
    def _tls_key(cls, value: str, info: ValidationInfo) -> str:
        if bool(value) != bool(info.data.get("tls_certificate")):
            raise ValueError("wanted both server.tls_certificate and server.tls_key, or neither")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _trusted_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return networks(value)

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        return origin(value) if value else ""


class TwilioSettings(Section):
    """The carrier."""

    account_sid: str = ""
    """The account's SID: AC and 32 hexadecimal digits."""
    auth_token: SecretStr = SecretStr("")
    """The account's primary auth token, which signs Twilio's requests; empty: a token of this machine's own."""
    old_auth_tokens: Annotated[tuple[SecretStr, ...], BeforeValidator(comma_list)] = Field(default=(), repr=False)
    """Further auth tokens that may have signed a request: the one before, while it is exchanged for another."""
    api_url: str = ""
    """Origin of Twilio's REST API, for tests and proxies; empty: Twilio's own."""
    validate_requests: bool = Field(default=True, alias="validate")
    """Refuse Twilio requests that are not signed."""

    @field_validator("account_sid")
    @classmethod
    def _account_sid(cls, value: str) -> str:
        if value and not re.fullmatch(r"AC[0-9a-fA-F]{32}", value):
            raise ValueError("wanted AC and 32 hexadecimal digits, as the Twilio console shows it")
        return value

    @field_validator("api_url")
    @classmethod
    def _api_url(cls, value: str) -> str:
        return http_url(value) if value else ""


class SpeechSettings(Section):
    """The speech service, for both directions."""

    api_key: SecretStr = SecretStr("")
    """Cartesia's API key; CARTESIA_API_KEY is read when this is empty."""
    access_token: SecretStr = SecretStr("")
    """Short-lived access token of Cartesia, used in place of the key."""
    base_url: str = Field(default="", validate_default=True)
    """`local`, or a server that speaks the protocol; empty: https://api.cartesia.ai with a key, else local."""
    standby: str = Field(default="", validate_default=True)
    """Stands in while that service is away: `local`, or a server that speaks the protocol; empty: nothing does."""
    standby_key: SecretStr = SecretStr("")
    """API key of the server that stands by, if it wants one."""
    version: str = Field(default="2026-03-01", pattern=r"^\d{4}-\d{2}-\d{2}$")
    """Version of Cartesia's API, a date."""

    @field_validator("standby")
    @classmethod
    def _standby(cls, value: str, info: ValidationInfo) -> str:
        if value and value != "local":
            value = http_url(value, or_else="local", schemes=("http", "https", "ws", "wss"))
        if value and value == info.data.get("base_url"):
            raise ValueError("that is speech.base_url itself: wanted another service, or leave it empty")
        return value

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, value: str, info: ValidationInfo) -> str:
        has_key = any(info.data.get(name, SecretStr("")).get_secret_value() for name in ("api_key", "access_token"))
        if not value:
            return CARTESIA_URL if has_key else "local"
        if value == "local":
            return value
        value = http_url(value, or_else="local", schemes=("http", "https", "ws", "wss"))
        if value == CARTESIA_URL and not has_key:
            raise ValueError("this service needs a key: set speech.api_key (BRIDGE_SPEECH__API_KEY)")
        return value


class SttSettings(Section):
    """Speech to text."""

    endpoint: Literal["turns", "manual"] = "turns"
    """Which recogniser: `turns` finds turns itself; for `manual`, and its languages, the bridge finds them."""
    model: str = Field(default="ink-2", min_length=1)
    """Model of the speech-to-text service; `ink-whisper` knows many languages, at the `manual` endpoint."""
    language: str = Field(default="en", min_length=2)
    """Language of the callers, ISO 639-1."""
    encoding: Literal["pcm_mulaw", "pcm_alaw", "pcm_s16le", "pcm_s32le", "pcm_f16le", "pcm_f32le"] = "pcm_mulaw"
    """Encoding of the audio sent to the recogniser; `pcm_mulaw` is the phone's own and costs nothing."""
    chunk_ms: int = Field(default=100, ge=20, le=200)
    """Milliseconds of audio in one message to the recogniser."""
    headers: Annotated[dict[str, str], BeforeValidator(header_map)] = Field(default_factory=dict, repr=False)
    """Further HTTP headers of the connection; in the environment `Name=value, Name=value` or JSON."""
    keyterms: Texts = ()
    """Words and names to listen for, 100 terms and 1200 characters at most."""
    turn_start_threshold: float | None = Field(default=None, ge=0.5, le=0.9)
    """Score of speech above which a turn starts; unset: the service's own, 0.8."""
    turn_eager_end_threshold: float | None = Field(default=None, ge=0.3, le=0.6)
    """Score below which a turn may be over; unset: the service's own, 0.4."""
    turn_end_threshold: float | None = Field(default=None, ge=0.05, le=0.5)
    """Score below which a turn is over, lower is more patient; unset: the service's own, 0.2."""
    turn_end_timeout_ms: int | None = Field(default=None, ge=640, le=11200)
    """Milliseconds after the last word at which a turn is over in any case; unset: the service's own, 5600."""
    pause_ms: int = Field(default=800, ge=200, le=5000)
    """At the `manual` endpoint: milliseconds of silence that end a turn."""
    eager_pause_ms: int = Field(default=300, ge=100, le=5000)
    """At the `manual` endpoint: milliseconds of silence after which a turn may be over."""
    detector: Literal["auto", "energy", "silero"] = "auto"
    """At the `manual` endpoint: what hears where speech is; `auto`: `silero` where installed, else `energy`."""
    min_volume: float | None = Field(default=None, ge=0, le=1)
    """For `ink-whisper`: audio quieter than this counts as silence, 0 to 1; unset: the service's own."""
    max_silence_seconds: float | None = Field(default=None, gt=0)
    """For `ink-whisper`: seconds of silence after which the service finalises by itself; unset: its own."""

    @field_validator("keyterms")
    @classmethod
    def _keyterms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) > 100 or sum(map(len, value)) > 1200:
            raise ValueError("wanted 100 terms and 1200 characters at most")
        return value

    @field_validator("turn_eager_end_threshold")
    @classmethod
    def _eager_under_start(cls, value: float | None, info: ValidationInfo) -> float | None:
        start = info.data.get("turn_start_threshold") or 0.8
        if value is not None and value >= start:
            raise ValueError(f"wanted a number under stt.turn_start_threshold, which is {start:g}")
        return value

    @field_validator("turn_end_threshold")
    @classmethod
    def _end_under_eager(cls, value: float | None, info: ValidationInfo) -> float | None:
        eager = info.data.get("turn_eager_end_threshold") or 0.4
        if value is not None and value >= eager:
            raise ValueError(f"wanted a number under stt.turn_eager_end_threshold, which is {eager:g}")
        return value


class TtsSettings(Section):
    """Text to speech."""

    model: str = Field(default="sonic-latest", min_length=1)
    """Model of the text-to-speech service."""
    voice: str = Field(default=DEFAULT_VOICE, min_length=1)
    """Voice id of the service."""
    language: str = Field(default="en", min_length=2)
    """Language of the agent's speech, ISO 639-1."""
    max_buffer_delay_ms: int = Field(default=0, ge=0, le=5000)
    """Milliseconds for which the service may hold streamed text; 0: the bridge sends whole sentences instead."""


class TurnsSettings(Section):
    """Who has the floor, and for how long."""

    barge_in: BargeIn = "speech"
    """What takes the floor: `speech`, words or keys; `words:N`, N words or keys; `voice`; `keys`; `never`."""
    barge_in_ms: int = Field(default=0, ge=0, le=30_000)
    """Milliseconds of the caller's voice that take the floor even before there are words; 0: only words do."""
    false_alarm_seconds: float = Field(default=3.0, ge=0, le=30)
    """Seconds after which a caller's turn that brought no word counts as noise, and the agent speaks on."""
    backchannels: Texts = ("uh-huh", "uh huh", "mm-hmm", "mhm", "mm", "hmm", "yeah", "okay", "ok", "right", "i see")
    """What a listener says without wanting the floor: the agent speaks on after it."""
    echo_guard: bool = True
    """Take no notice of a turn that is the agent's own voice, come back through the caller's loudspeaker."""
    filler: str = "One moment, please."
    """Said when the agent is slow to answer; empty: nothing."""
    filler_seconds: float = Field(default=3.0, gt=0, le=60)
    """Seconds without a word of the answer after which `filler` is said."""
    silence_seconds: float = Field(default=15, gt=0, le=600)
    """Seconds of silence after which the caller is asked whether they are there; twice, then let go."""
    apology: str = "Sorry, something went wrong on my side. Please try again."
    """Said when the agent fails to answer."""
    farewell: str = "Sorry, I can't help you right now. Please call again later. Good-bye."
    """Said before hanging up because the agent fails again and again, or speech is out of order."""
    failure_transfer: str = ""
    """Number or SIP address to pass the caller on to, where the call would end with `farewell`; empty: none."""
    handover: str = "I can't help you right now, so I'll connect you with somebody who can."
    """Said in place of `farewell` where there is somebody to pass the caller on to."""
    outage_seconds: float = Field(default=8.0, gt=0, le=60)
    """Seconds that a caller's turn waits for a speech-to-text service that broke off; then it is given up."""
    outage: str = "Sorry, I lost you for a moment. Could you say that again, please?"
    """Said when a turn was given up because the speech-to-text service broke off."""
    resumed: str = "Sorry, we were cut off for a moment."
    """Said when a call goes on after the process that carried it has died; empty: nothing."""
    still_there: str = "Are you still there?"
    """Said to a silent caller."""
    goodbye: str = "I can't hear anything, so I'll hang up now. Good-bye."
    """Said before hanging up on a caller who stays silent."""
    max_call_seconds: float = Field(default=14400, gt=0, le=86400)
    """Seconds after which any call is ended."""
    limit_notice: str = "This call has to end in one minute."
    """Said before the longest call is ended; empty: nothing."""
    limit_notice_seconds: float = Field(default=60, gt=0, le=3600)
    """How many seconds before its end."""

    @field_validator("failure_transfer")
    @classmethod
    def _failure_transfer(cls, value: str) -> str:
        return str(phone_number(value)) if value else ""


class LogSettings(Section):
    """What is told on standard error."""

    format: Literal["console", "json"] = "console"
    """`console` for people, `json` for machines, one object a line."""
    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = "info"
    """The least important kind of line that is shown."""
