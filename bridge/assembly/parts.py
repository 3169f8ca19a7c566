"""The parts of a bridge, each made as the settings say. `bridge.app` puts them together."""

from __future__ import annotations

import contextlib
import functools
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import structlog

from bridge.agents.base import CallInfo
from bridge.api.access import Access, Token
from bridge.api.operations import Principal
from bridge.assembly.profiles import Openers, Profiles
from bridge.call.admission import Limits as AdmissionLimits
from bridge.call.admitting import Admitting
from bridge.call.meter import Meter
from bridge.call.registry import Profile, Registry
from bridge.call.sounds import Sounds
from bridge.errors import SettingsError
from bridge.listener.entrance import Bounds, Entrance, read_certificate
from bridge.listener.exposure import check_exposure
from bridge.listener.proxies import Proxies
from bridge.local_token import local_token
from bridge.metrics import Metrics
from bridge.outbound.book import OrderBook
from bridge.outbound.dialer import Dialer, NotSetUpError
from bridge.outbound.dispatch import Limits
from bridge.outbound.order import Rules
from bridge.privacy.redactor import Redactor
from bridge.settings import Settings
from bridge.settings.calls import TransferSettings
from bridge.settings.values import is_loopback
from bridge.speech.adapters import make_standby, without_standby
from bridge.speech.adapters import recognizers as make_recognizers
from bridge.speech.adapters import synthesizer as make_synthesizer
from bridge.speech.standby import Standby
from bridge.store.base import Store
from bridge.store.sql.database import Database
from bridge.store.vault import Keys
from bridge.tts.prompts import PromptCache
from bridge.twilio.consult import ConsultRules
from bridge.twilio.departures import TransferRules
from bridge.twilio.documents import STATUS
from bridge.twilio.rest import TwilioRest
from bridge.workers.alone import Alone

_RINGS_LATE_S = 60.0
"""How much longer than it may ring a call of ours keeps its place, until its media stream is there."""

log = structlog.get_logger()


def check_folder(folder: Path) -> None:
    """Refuse a folder for the calls that cannot be written to: better now than at the first call."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(
            f"store.recordings (BRIDGE_STORE__RECORDINGS) is {str(folder)!r}, which cannot be written to:"
            f" {error.strerror or error}. Choose another folder, or mend its rights"
        ) from None


def make_redactor(settings: Settings) -> Redactor:
    """Return what strikes out what must not be written down."""
    return Redactor(settings.privacy.redact, settings.privacy.patterns)


def recording_keys(settings: Settings) -> Keys:
    """Return what recordings are encrypted with. Raises SettingsError, and MissingExtraError."""
    store = settings.store
    old = [key.get_secret_value() for key in store.old_encryption_keys]
    return Keys.read(store.encryption_key.get_secret_value(), old)


def carrier_rest(settings: Settings) -> TwilioRest | None:
    """Return the way to Twilio's REST API; None: the settings do not name an account."""
    twilio = settings.twilio
    token = twilio.auth_token.get_secret_value()
    return TwilioRest(twilio.account_sid, token, twilio.api_url) if twilio.account_sid and token else None


def make_access(settings: Settings) -> Access:
    """Make what tells who may ask the API."""
    api, further = settings.api, api_tokens(settings)
    public = urlsplit(settings.server.public_url).hostname
    if public and not is_loopback(public) and not further and not api.token.get_secret_value():
        log.warning(
            "api_without_token",
            problem="everybody is taken for this machine if the proxy here does not say for whom it asks",
            remedy="set BRIDGE_API__TOKEN",
        )
    return Access(
        api.token.get_secret_value(),
        further,
        public_url=settings.server.public_url,
        requests_per_second=api.requests_per_second,
        proxies=Proxies(settings.server.trusted_proxies),
    )


def api_tokens(settings: Settings) -> list[Token]:
    """Return the further tokens of the API."""
    return [Token(Principal(one.name, one.scope), one.token.get_secret_value()) for one in settings.api.tokens]


def make_entrance(settings: Settings, metrics: Metrics) -> Entrance:
    """Make what lets connections in. Raises SettingsError where it would let in whom it cannot tell from Twilio."""
    check_exposure(settings)
    server = settings.server
    bounds = Bounds(server.max_connections, server.max_connections_per_address, server.head_seconds)
    refused = lambda reason: metrics.refused_connections.labels(reason=reason).inc()  # noqa: E731  It is one expression.
    tls = None
    if server.tls_certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        read_certificate(tls, server.tls_certificate, server.tls_key)
    return Entrance(bounds, Proxies(server.trusted_proxies), refused, tls)


def renew_certificate(settings: Settings, entrance: Entrance) -> None:
    """Read the certificate again: it may be a new one. One that cannot be used is told, and the old one stays."""
    if entrance.tls is None:
        return
    files = settings.server.tls_certificate, settings.server.tls_key
    try:
        read_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *files)
        read_certificate(entrance.tls, *files)
    except SettingsError as error:
        log.error("certificate_not_taken", problem=error.message)


async def open_standby(
    settings: Settings, speech_url: str, metrics: Metrics, worker: Alone, stack: contextlib.AsyncExitStack
) -> Standby | None:
    """Return what stands by for the speech service at this address; None: nothing does.

    A local one is started, and stopped at the stack's end. Raises as `open_speech` does.
    """
    url = await worker.standby_url(settings, stack)
    if not url:
        return None
    standby = make_standby(settings, speech_url, url, lambda: worker.standby.up)
    stack.push_async_callback(standby.close)
    for switch in (standby.stt, standby.tts):
        metrics.standby.labels(half=switch.half).set_function(functools.partial(getattr, switch, "stands_in"))
    if numbers := without_standby(settings):
        log.warning("speech_standby_knows_english_only", without=numbers)
    return standby


def openers(speech_url: str, metrics: Metrics, standby: Standby | None = None) -> Openers:
    """Return how recognisers, voices and sounds are opened, with speech from this address.

    `standby`: what stands by for that; None: nothing.
    """
    on_lost = metrics.tts_lost.inc
    return Openers(
        recognizers=lambda own: make_recognizers(own, speech_url, standby),
        synthesizer=lambda own: PromptCache(make_synthesizer(own, speech_url, standby, on_lost), ()),
        sounds=lambda agent: Sounds(agent.sounds, allow_private=agent.private_sounds),
    )


def transfer_rules(transfer: TransferSettings) -> TransferRules:
    """Return how callers are passed on."""
    return TransferRules(transfer.ring_seconds, transfer.caller_id)


def consult_rules(transfer: TransferSettings) -> ConsultRules:
    """Return how the other side of warm transfers is asked."""
    return ConsultRules(
        transfer.accept_key,
        transfer.accept_prompt,
        transfer.accept_seconds,
        transfer.ring_seconds,
        transfer.caller_id,
    )


def stream_addresses(settings: Settings, port: int, stream_path: str) -> tuple[str, str]:
    """Return where Twilio opens media streams, and where it tells of their fate. Raises SettingsError."""
    if not settings.server.public_url and not settings.twilio.api_url:
        raise SettingsError(
            "Twilio must reach the bridge to stream a call to it: set server.public_url"
            " (BRIDGE_SERVER__PUBLIC_URL)",
            code="not_set_up",
        )
    origin = settings.public_url(port)
    return "ws" + origin.removeprefix("http") + stream_path, origin + STATUS


def order_rules(settings: Settings) -> Rules:
    """Return what orders of outbound calls may ask for."""
    outbound = settings.outbound
    return Rules(
        from_number=outbound.from_number,
        allow=outbound.allow,
        ring_seconds=outbound.ring_seconds,
        detect_machines=outbound.detect_machines,
        voicemail=outbound.voicemail,
    )


def make_dialer(
    settings: Settings, registry: Registry, rest: TwilioRest | None, metrics: Metrics, port: Callable[[], int]
) -> Dialer:
    """Make what places calls; `port` is asked late, when the listener is open."""
    outbound = settings.outbound

    def callbacks() -> str:
        if not settings.server.public_url and not settings.twilio.api_url:
            raise NotSetUpError(
                "Twilio must reach the bridge to connect a call with it: set server.public_url"
                " (BRIDGE_SERVER__PUBLIC_URL)"
            )
        return settings.public_url(port())

    dialer = Dialer(
        Limits(outbound.calls_per_second, outbound.concurrent_calls, outbound.queue_length),
        registry,
        rest,
        callbacks,
        on_over=lambda status: metrics.outbound_calls.labels(status=status).inc(),
    )
    registry.observers.append(dialer.observer)
    metrics.outbound_waiting.set_function(lambda: dialer.waiting)
    return dialer


def keep_orders(settings: Settings, dialer: Dialer, database: Database, worker: Alone) -> None:
    """Let orders that wait outlive this process, where other nodes can take them over."""
    if settings.store.url.startswith("postgresql"):
        dialer.keep_in(OrderBook(database, lambda: worker.named(settings), worker.is_there))


def make_registry(profiles: Profiles, store: Store, metrics: Metrics, rest: TwilioRest | None) -> Registry:
    """Make the registry of live calls."""
    registry = Registry(profiles.of, store, None if rest is None else rest.hang_up)
    metrics.live_calls.set_function(lambda: len(registry.sessions))
    registry.on_taken_over = lambda given: metrics.calls_taken_over.labels(why="given" if given else "died").inc()
    return registry


def admission_limits(settings: Settings) -> AdmissionLimits:
    """Return how many calls this process takes."""
    own = settings.admission
    numbers = {entry.number: entry.max_calls for entry in settings.numbers if entry.max_calls is not None}
    return AdmissionLimits(own.max_calls, own.speech_streams, own.max_lag_ms / 1000, numbers)


def make_admitting(
    settings: Settings, profiles: Profiles, registry: Registry, dialer: Dialer, metrics: Metrics
) -> Admitting:
    """Make what says which calls are taken, and let calls be counted, which tell of the speech plan's limits."""
    admitting = Admitting(admission_limits(settings), registry, metrics)

    def meter(info: CallInfo, mode: Literal["agent", "transcribe", "log"]) -> Meter:
        admitting.came(info)
        return Meter(metrics, info, mode, on_speech_limit=admitting.speech_refused)

    registry.observers.insert(0, lambda info: meter(info, _mode(profiles.of(info.number))))
    registry.logs.observers.insert(0, lambda info: meter(info, "log"))
    dialer.room = lambda call: admitting.room_for_ours(
        call.id, call.order.from_number, call.order.ring_seconds + _RINGS_LATE_S
    )
    dialer.no_room_wanted = lambda call: admitting.release(call.id)
    return admitting


def _mode(profile: Profile) -> Literal["agent", "transcribe"]:
    """Name how a call is held, for the metrics."""
    return "agent" if profile.policy.agent else "transcribe"


def auth_tokens_of(settings: Settings) -> list[str]:
    """Return what may have signed the carrier's requests: the present token first."""
    return [auth_token_of(settings), *(old.get_secret_value() for old in settings.twilio.old_auth_tokens)]


def auth_token_of(settings: Settings) -> str:
    """Return what signs the carrier's requests: the account's token, or one of this machine's own."""
    given = settings.twilio.auth_token.get_secret_value()
    if given or not settings.twilio.validate_requests:
        return given or local_token().value
    token = local_token()
    log.info("twilio_token_is_local", remedy="set BRIDGE_TWILIO__AUTH_TOKEN for calls from Twilio")
    if token.problem:
        log.warning("local_token_not_kept", problem=token.problem)
    return token.value
