"""The composition root: what the bridge is made of, started in this order and stopped in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog
from aiohttp import web

from bridge.agents import schema
from bridge.api.access import Access
from bridge.api.call_routes import CallRoutes
from bridge.api.door import Door, problems
from bridge.api.log_routes import LogRoutes
from bridge.call.hooks import TurnHooks, observer_of
from bridge.call.meter import Meter
from bridge.call.registry import Profile, Registry
from bridge.call.sounds import Sounds
from bridge.errors import BridgeError, SettingsError
from bridge.health import HealthRoutes
from bridge.local_token import local_token
from bridge.metrics import Metrics
from bridge.outbound.dialer import Dialer, NotSetUpError
from bridge.outbound.dispatch import Limits
from bridge.outbound.order import Rules
from bridge.profiles import Openers, Profiles
from bridge.relay_profile import HandOffs
from bridge.reload import Reloader
from bridge.settings import Settings
from bridge.settings_calls import TransferSettings
from bridge.speech_adapters import recognizers as make_recognizers
from bridge.speech_adapters import tts_settings
from bridge.store.files import FileStore
from bridge.tasks import spawn
from bridge.tts.cartesia import CartesiaSpeech
from bridge.tts.prompts import PromptCache
from bridge.twilio.consult import Consultations, ConsultRules
from bridge.twilio.departures import TransferRules
from bridge.twilio.documents import STATUS
from bridge.twilio.gate import Gate
from bridge.twilio.rest import TwilioRest
from bridge.twilio.routes import TwilioRoutes
from bridge.twilio.tokens import StreamTokens

if TYPE_CHECKING:
    from bridge.speech_server.launch import LocalServer

_RECORDED_WITHIN_S = 15.0
"""How long the calls that are ended at a stop may take to be recorded."""

_SPEECH_PAUSE_S = 1.0
"""Between the death of the local speech server and its next start."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge that listens."""

    url: str
    """Where it listens on this machine."""
    auth_token: str
    """What signs the carrier's requests."""
    registry: Registry
    metrics: Metrics
    dialer: Dialer
    profiles: Profiles
    take: Callable[[Settings], None]
    """Goes by changed settings in what the profiles do not hold: how calls are passed on."""


@contextlib.asynccontextmanager
async def running(settings: Settings, *, hooks: Sequence[TurnHooks] = ()) -> AsyncIterator[Bridge]:
    """Run a bridge for the length of the block; at its end every call is stopped and recorded.

    `hooks` are told of every call's turns, for Python programs that run the bridge themselves.
    Raises SettingsError and the like for what cannot work, and OSError when the listener cannot be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        await asyncio.to_thread(_check_folder, settings.store.recordings)
        store = FileStore(settings.store.recordings, record_audio=settings.store.record_audio)
        stack.push_async_callback(store.close)
        stack.callback(spawn(store.finish_left_over(), name="finish-left-over").cancel)

        speech_url = await _speech_url(settings, stack)
        profiles = Profiles(settings, _openers(speech_url), metrics)
        stack.push_async_callback(profiles.close)
        profiles.start()

        rest = _rest(settings)
        if rest is not None:
            stack.callback(rest.close)
        registry = _registry(profiles, store, metrics, rest)
        registry.observers += [observer_of(each) for each in hooks]
        auth_token = _auth_token(settings)
        listening: list[int] = []
        gate = Gate(
            auth_tokens=[auth_token],
            validate=settings.twilio.validate_requests,
            public_url=lambda: settings.public_url(listening[0]),
            tokens=StreamTokens(auth_token),
            metrics=metrics,
        )
        dialer = _dialer(settings, registry, rest, metrics, lambda: listening[0])
        app = web.Application(client_max_size=64 * 1024, middlewares=[problems])
        access = Access(settings.api.token.get_secret_value())
        routes = TwilioRoutes(gate, registry, metrics, _transfer_rules(settings.transfer), dialer)
        hand_offs = HandOffs(settings, profiles.relay_session)
        stack.push_async_callback(hand_offs.close)
        routes.departures.hand_off = hand_offs.document
        registry.observers.append(hand_offs.observer)
        routes.add_to(app)
        consultations = None
        if rest is not None:
            rules = _consult_rules(settings.transfer)
            consultations = Consultations(gate, rest, rules, routes.departures.bring_back)
            consultations.add_to(app)
            routes.departures.joined = consultations.joined
            stack.push_async_callback(consultations.close)
            registry.others = consultations
        door = Door(access)
        CallRoutes(dialer, _rules(settings)).add_to(app, door)
        listener = LogRoutes(registry, rest, gate.tokens, lambda: _stream_addresses(settings, listening[0]))
        listener.add_to(app, door)
        routes.logs.restart = None if rest is None else listener.restart
        HealthRoutes(registry, metrics, access).add_to(app)
        app.router.add_get(schema.ADDRESS, _schema)
        listening.append(await _listen(app, settings, stack))

        stack.push_async_callback(registry.close, within_s=_RECORDED_WITHIN_S)
        stack.push_async_callback(dialer.close)
        host = settings.server.host if ":" not in settings.server.host else f"[{settings.server.host}]"
        take = functools.partial(_take, routes, hand_offs, consultations)
        yield Bridge(f"http://{host}:{listening[0]}", auth_token, registry, metrics, dialer, profiles, take)


async def serve(
    settings: Settings,
    *,
    ready: Callable[[str], None],
    load: Callable[[], Settings] | None = None,
    on_taken: Callable[[Settings], None] = lambda _: None,
) -> None:
    """Run the bridge until cancelled; `ready` is told its address once it takes calls.

    At SIGHUP the settings are taken anew with `load`, if it is given; `on_taken` is told of them. See `Reloader`.

    When cancelled it takes no new calls, and gives those that are going on `server.drain_seconds` to end; being
    cancelled again cuts that short.
    """
    async with running(settings) as bridge:
        reloader = Reloader(
            settings,
            load or (lambda: settings),
            bridge.profiles,
            bridge.registry,
            before=on_taken,
            after=bridge.take,
        )
        try:
            with reloader.on_hangup_signal():
                ready(bridge.url)
                await asyncio.Event().wait()
        finally:
            await _drain(bridge.registry, bridge.dialer, settings.server.drain_seconds)


async def _drain(registry: Registry, dialer: Dialer, seconds: float) -> None:
    registry.draining = True
    await dialer.close()
    if registry.sessions:
        log.info("calls_draining", live=len(registry.sessions), within_s=seconds)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for session in registry.sessions:
                await session.ended.wait()


async def _speech_url(settings: Settings, stack: contextlib.AsyncExitStack) -> str:
    """Return the speech service's address, after starting one if it is to be local."""
    if settings.speech.base_url != "local":
        return settings.speech.base_url
    from bridge.speech_server.launch import launch_local  # noqa: PLC0415  Its models are an extra.

    server = await launch_local()
    keeper = spawn(_keep_speech(server), name="keep-local-speech")
    stack.push_async_callback(_cancelled, keeper)
    return server.url


async def _keep_speech(server: LocalServer) -> None:
    """Start the local speech server again, at the same address, whenever it has died. Cancelling ends it."""
    from bridge.speech_server.launch import launch_local  # noqa: PLC0415  As above.
    from bridge.speech_server.settings import ServerSettings  # noqa: PLC0415  As above.

    port = server.port
    try:
        while True:
            await server.died.wait()
            await asyncio.sleep(_SPEECH_PAUSE_S)
            try:
                server = await launch_local(ServerSettings(port=port))
            except BridgeError as error:
                log.error("speech_server_not_restarted", error=error.message)
    finally:
        await server.close()


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait([task])


def _check_folder(folder: Path) -> None:
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


def _rest(settings: Settings) -> TwilioRest | None:
    """Return the way to Twilio's REST API; None: the settings do not name an account."""
    twilio = settings.twilio
    token = twilio.auth_token.get_secret_value()
    return TwilioRest(twilio.account_sid, token, twilio.api_url) if twilio.account_sid and token else None


def _openers(speech_url: str) -> Openers:
    return Openers(
        recognizers=lambda own: make_recognizers(own, speech_url),
        synthesizer=lambda own: PromptCache(CartesiaSpeech(tts_settings(own, speech_url)), ()),
        sounds=lambda agent: Sounds(agent.sounds, allow_private=agent.private_sounds),
    )


def _take(routes: TwilioRoutes, hand_offs: HandOffs, consultations: Consultations | None, own: Settings) -> None:
    """Pass calls on as changed settings say."""
    routes.departures.transfers = _transfer_rules(own.transfer)
    hand_offs.take(own)
    if consultations is not None:
        consultations.rules = _consult_rules(own.transfer)


def _transfer_rules(transfer: TransferSettings) -> TransferRules:
    return TransferRules(transfer.ring_seconds, transfer.caller_id)


def _consult_rules(transfer: TransferSettings) -> ConsultRules:
    return ConsultRules(
        transfer.accept_key,
        transfer.accept_prompt,
        transfer.accept_seconds,
        transfer.ring_seconds,
        transfer.caller_id,
    )


def _stream_addresses(settings: Settings, port: int) -> tuple[str, str]:
    """Return where Twilio opens media streams, and where it tells of their fate. Raises SettingsError."""
    if not settings.server.public_url and not settings.twilio.api_url:
        raise SettingsError(
            "Twilio must reach the bridge to stream a call to it: set server.public_url"
            " (BRIDGE_SERVER__PUBLIC_URL)",
            code="not_set_up",
        )
    return settings.stream_url(port), settings.public_url(port) + STATUS


def _rules(settings: Settings) -> Rules:
    outbound = settings.outbound
    return Rules(
        from_number=outbound.from_number,
        allow=outbound.allow,
        ring_seconds=outbound.ring_seconds,
        detect_machines=outbound.detect_machines,
        voicemail=outbound.voicemail,
    )


def _dialer(
    settings: Settings, registry: Registry, rest: TwilioRest | None, metrics: Metrics, port: Callable[[], int]
) -> Dialer:
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


def _registry(profiles: Profiles, store: FileStore, metrics: Metrics, rest: TwilioRest | None) -> Registry:
    registry = Registry(profiles.of, store, None if rest is None else rest.hang_up)
    registry.observers.append(lambda info: Meter(metrics, info, _mode(profiles.of(info.number))))
    registry.logs.observers.append(lambda info: Meter(metrics, info, "log"))
    metrics.live_calls.set_function(lambda: len(registry.sessions))
    return registry


async def _schema(_: web.Request) -> web.Response:
    """Answer what a webhook agent is sent and may answer, as a JSON Schema."""
    return web.Response(text=schema.text(), content_type="application/schema+json")


def _mode(profile: Profile) -> Literal["agent", "transcribe"]:
    """Name how a call is held, for the metrics."""
    return "agent" if profile.policy.agent else "transcribe"


def _auth_token(settings: Settings) -> str:
    given = settings.twilio.auth_token.get_secret_value()
    if given or not settings.twilio.validate_requests:
        return given or local_token().value
    token = local_token()
    log.info("twilio_token_is_local", remedy="set BRIDGE_TWILIO__AUTH_TOKEN for calls from Twilio")
    if token.problem:
        log.warning("local_token_not_kept", problem=token.problem)
    return token.value


async def _listen(app: web.Application, settings: Settings, stack: contextlib.AsyncExitStack) -> int:
    """Open the listener and return its port."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.server.host, settings.server.port).start()
    port: int = runner.addresses[0][1]
    return port
