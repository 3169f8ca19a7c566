"""All settings of the bridge in one frozen object, and what follows from several of them together.

`Settings()` holds nothing but defaults and reads nothing from outside; `bridge.settings.source.load_settings`
fills it from the TOML file and the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.settings.admission import AdmissionSettings
from bridge.settings.agents import AgentSettings, OpenAISettings, RelaySettings
from bridge.settings.calls import NumberSettings, OutboundSettings, TransferSettings, VoicemailSettings
from bridge.settings.record import ApiSettings, BusSettings, PrivacySettings, SinksSettings, StoreSettings
from bridge.settings.sections import (
    LogSettings,
    ServerSettings,
    SpeechSettings,
    SttSettings,
    TtsSettings,
    TurnsSettings,
    TwilioSettings,
)
from bridge.settings.values import is_loopback

MEDIA_PATH = "/twilio/media"


class Settings(BaseSettings):
    """All settings, checked. Frozen: what a running program goes by never changes under it."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="BRIDGE_", env_nested_delimiter="__", enable_decoding=False
    )

    server: ServerSettings = ServerSettings()
    twilio: TwilioSettings = TwilioSettings()
    speech: SpeechSettings = SpeechSettings()
    stt: SttSettings = SttSettings()
    tts: TtsSettings = TtsSettings()
    agent: AgentSettings = AgentSettings()
    relay: RelaySettings = RelaySettings()
    openai: OpenAISettings = OpenAISettings()
    turns: TurnsSettings = TurnsSettings()
    admission: AdmissionSettings = AdmissionSettings()
    transfer: TransferSettings = TransferSettings()
    voicemail: VoicemailSettings = VoicemailSettings()
    outbound: OutboundSettings = OutboundSettings()
    store: StoreSettings = StoreSettings()
    privacy: PrivacySettings = PrivacySettings()
    sinks: SinksSettings = SinksSettings()
    bus: BusSettings = BusSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    numbers: tuple[NumberSettings, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the constructor is given: reading the environment is the loader's work, in one place."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("numbers", mode="before")
    @classmethod
    def _one_table_each(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            raise ValueError("wanted a [[numbers]] table, in two brackets, for each number")
        return value

    @field_validator("numbers")
    @classmethod
    def _each_number_once(cls, value: tuple[NumberSettings, ...]) -> tuple[NumberSettings, ...]:
        names = [entry.number for entry in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"wanted each number once, but {', '.join(twice)} comes again")
        return value

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Settings:
        url = self.server.public_url
        if (
            url
            and not is_loopback(urlsplit(url).hostname or "")
            and self.twilio.validate_requests
            and not self.twilio.auth_token.get_secret_value()
        ):
            raise ValueError(
                f"server.public_url is {url}, so Twilio's requests must be checked: set twilio.auth_token"
                " (BRIDGE_TWILIO__AUTH_TOKEN) to the auth token of the Twilio account"
            )
        for entry in self.numbers:
            if entry.overflow == "transfer" and not (entry.overflow_transfer or self.admission.overflow_transfer):
                raise ValueError(f"numbers, {entry.number}: overflow is transfer: wanted overflow_transfer as well")
            try:
                self.for_number(entry.number)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                said = first["msg"].removeprefix("Value error, ")
                raise ValueError(f"numbers, {entry.number}: agent.{place}: {said}") from None
        return self

    def for_number(self, called: str) -> Settings:
        """The settings of a call to `called` (as the carrier wrote it): its `[[numbers]]` table over the rest.

        A number with an agent of its own kind or URL does not inherit the other of the two.
        """
        entry = next((entry for entry in self.numbers if entry.number == called), None)
        if entry is None:
            return self
        own = {name: value for name, value in entry.agent if value is not None}
        agent = self.agent.model_dump() | own
        if "kind" in own and "url" not in own:
            del agent["url"]
        elif "url" in own and "kind" not in own:
            del agent["kind"]
        tts = self.tts.model_dump() | {name: value for name, value in entry.tts if value is not None}
        turns = self.turns.model_dump() | {name: value for name, value in entry.turns if value is not None}
        stt = self.stt.model_dump() | {name: value for name, value in entry.stt if value is not None}
        changed: dict[str, Any] = {
            "agent": AgentSettings(**agent),
            "stt": SttSettings(**stt),
            "tts": TtsSettings(**tts),
            "turns": TurnsSettings(**turns),
        }
        return self.model_copy(update=changed)

    def public_url(self, port: int) -> str:
        """The origin at which the carrier reaches us, without a final slash. `port` is the one listened on."""
        scheme = "https" if self.server.tls_certificate else "http"
        return self.server.public_url or f"{scheme}://127.0.0.1:{port}"

    def stream_url(self, port: int) -> str:
        """Where the carrier opens media streams: `wss://`, or `ws://` where the public URL is plain http."""
        scheme, rest = self.public_url(port).split("://", 1)
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}{MEDIA_PATH}"

    def secret_values(self) -> tuple[str, ...]:
        """Every secret that is set, so that logs can mask them."""
        parts = [getattr(self, name) for name in type(self).model_fields if name != "numbers"]
        parts += [entry.agent for entry in self.numbers]
        values = [value.get_secret_value() for part in parts for _, value in part if isinstance(value, SecretStr)]
        for header in (value.get_secret_value() for tool in self.openai.tools for value in tool.headers.values()):
            scheme, _, token = header.partition(" ")
            # The token counts by itself: what quotes it need not quote `Bearer` as well.
            values += [header, token] if scheme.lower() in {"bearer", "basic", "token"} else [header]
        values += [key.get_secret_value() for key in self.store.old_encryption_keys]
        values += [token.get_secret_value() for token in self.twilio.old_auth_tokens]
        values += [one.token.get_secret_value() for one in self.api.tokens]
        if password := urlsplit(self.store.url).password if self.store.url.startswith("postgres") else None:
            values.append(password)
        return tuple(value for value in (*values, *self.stt.headers.values()) if value)
