"""The composition root: what the bridge is made of, started in this order and stopped in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web

from bridge.api.door import problems
from bridge.assembly.doors import Doors, House
from bridge.assembly.keeping import Keeping, open_keeping
from bridge.assembly.messages import message_sounds
from bridge.assembly.parts import (
    admission_limits,
    auth_tokens_of,
    carrier_rest,
    consult_rules,
    keep_orders,
    make_admitting,
    make_dialer,
    make_entrance,
    make_registry,
    open_standby,
    openers,
    renew_certificate,
    transfer_rules,
)
from bridge.assembly.profiles import Profiles
from bridge.assembly.relay_profile import HandOffs
from bridge.assembly.reload import Reloader
from bridge.call.hooks import TurnHooks, observer_of
from bridge.call.registry import Registry
from bridge.listener.entrance import Entrance
from bridge.metrics import Metrics
from bridge.outbound.dialer import Dialer
from bridge.settings import Settings
from bridge.spans import open_spans
from bridge.speech.standby import Standby
from bridge.tasks import spawn
from bridge.twilio.consult import Consultations
from bridge.twilio.gate import Gate
from bridge.twilio.read_pacing import ReadPacer
from bridge.twilio.routes import TwilioRoutes
from bridge.twilio.tokens import StreamTokens
from bridge.voicemail.sounds import MessageSounds
from bridge.workers.alone import Alone

_RECORDED_WITHIN_S = 15.0
"""How long the calls that are ended at a stop may take to be recorded."""
_LONGEST_LINE_BYTES = 32 * 1024
"""Of a request's first line: up to here, an address that is too long is told what is wrong with it."""

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
    worker: Alone
    """What this process is among others."""


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, hooks: Sequence[TurnHooks] = (), worker: Alone | None = None
) -> AsyncIterator[Bridge]:
    """Run a bridge for the length of the block; at its end every call is stopped and recorded.

    `hooks` are told of every call's turns, for Python programs that run the bridge themselves. `worker`: one of
    several processes that this one is; None: it is alone.
    Raises SettingsError and the like for what cannot work, and OSError when the listener cannot be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        entrance = make_entrance(settings, metrics)
        worker = worker or Alone()
        if settings.bus.url:
            from bridge.bus.node import Node  # noqa: PLC0415  Most have no bus, and pay nothing for it.

            worker = Node(settings, worker)
        holders = [worker.holds]
        live = lambda call: any(holds(call) for holds in holders)  # noqa: E731  It is one expression.
        keeping = await open_keeping(settings, metrics, stack, live, worker)

        speech_url = await worker.speech_url(settings, stack)
        standby = await open_standby(settings, speech_url, metrics, worker, stack)
        profiles = Profiles(settings, openers(speech_url, metrics, standby), metrics)
        stack.push_async_callback(profiles.close)
        profiles.start()

        rest = carrier_rest(settings)
        if rest is not None:
            stack.callback(rest.close)
        registry = make_registry(profiles, keeping.store, metrics, rest)
        holders.append(registry.holds)
        registry.observers += [observer_of(each) for each in hooks]
        listening: list[int] = []
        port = functools.partial(listening.__getitem__, 0)
        gate = _gate(settings, metrics, entrance, worker, port)
        dialer = make_dialer(settings, registry, rest, metrics, port)
        admitting = make_admitting(settings, profiles, registry, dialer, metrics)
        stack.callback(admitting.close)
        app = web.Application(
            client_max_size=64 * 1024,
            middlewares=[*await open_spans(stack, registry.observers), *worker.middlewares, problems],
        )
        routes = TwilioRoutes(
            gate,
            registry,
            metrics,
            transfer_rules(settings.transfer),
            dialer,
            ReadPacer(settings.stt.chunk_ms),
            admitting,
        )
        routes.away = keeping.away
        messages = _messages(settings, keeping, routes, stack, speech_url, standby)
        hand_offs = HandOffs(settings, profiles.relay_session)
        stack.push_async_callback(hand_offs.close)
        routes.departures.hand_off = hand_offs.document
        registry.observers.append(hand_offs.observer)
        routes.add_to(app)
        house = House(
            settings,
            metrics,
            keeping,
            profiles,
            registry,
            dialer,
            rest,
            gate.tokens,
            routes,
            port,
            worker,
            admitting,
            entrance,
            standby,
        )
        consultations = _consultations(app, house, gate, stack)
        doors = Doors(app, house)
        listening.append(await _listen(app, settings, registry, worker, entrance, stack))
        keeping.start()
        if worker.first and rest is not None:
            keep_orders(settings, dialer, keeping.database, worker)

        stack.push_async_callback(registry.close, within_s=_RECORDED_WITHIN_S)
        stack.push_async_callback(dialer.close)
        take = functools.partial(_take, house, gate, hand_offs, consultations, messages, doors)
        url = _url(settings, listening[0])
        yield Bridge(url, gate.auth_tokens[0], registry, metrics, dialer, profiles, take, worker)


def _gate(settings: Settings, metrics: Metrics, entrance: Entrance, worker: Alone, port: Callable[[], int]) -> Gate:
    """Make what tells the carrier from others."""
    auth_tokens = auth_tokens_of(settings)
    return Gate(
        auth_tokens=auth_tokens,
        validate=settings.twilio.validate_requests,
        public_url=lambda: settings.public_url(port()),
        tokens=StreamTokens(auth_tokens, marks=worker.marks),
        metrics=metrics,
        stream_path=worker.stream_path,
        look=worker.webhook,
        proxies=entrance.proxies,
        proven=entrance.proven,
        once=worker.once,
    )


def _messages(
    settings: Settings,
    keeping: Keeping,
    routes: TwilioRoutes,
    stack: contextlib.AsyncExitStack,
    speech_url: str,
    standby: Standby | None,
) -> MessageSounds | None:
    """Make what fetches the messages that callers leave with the carrier; None where its API cannot be used."""
    messages = message_sounds(settings, keeping, speech_url, standby)
    if messages is not None:
        stack.push_async_callback(messages.close)
        routes.voicemail.on_message = messages.bring
    return messages


def _consultations(
    app: web.Application, house: House, gate: Gate, stack: contextlib.AsyncExitStack
) -> Consultations | None:
    """Make what calls the other side of warm transfers; None where the carrier's API cannot be used."""
    if house.rest is None:
        return None
    departures, rules = house.twilio.departures, consult_rules(house.settings.transfer)
    consultations = Consultations(gate, house.rest, rules, departures.bring_back, house.worker.hold)
    consultations.add_to(app)
    departures.joined = consultations.joined
    stack.push_async_callback(consultations.close)
    house.registry.others = consultations
    return consultations


async def serve(
    settings: Settings,
    *,
    ready: Callable[[str], None],
    load: Callable[[], Settings] | None = None,
    on_taken: Callable[[Settings], None] = lambda _: None,
    worker: Alone | None = None,
) -> None:
    """Run the bridge until cancelled; `ready` is told its address once it takes calls.

    At SIGHUP the settings are taken anew with `load`, if it is given; `on_taken` is told of them. See `Reloader`.
    `worker` as in `running`.

    When cancelled it takes no new calls, and gives those that are going on `server.drain_seconds` to end; being
    cancelled again cuts that short.
    """
    async with running(settings, worker=worker) as bridge:
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
            await _drain(bridge, settings.server.drain_seconds)


async def _drain(bridge: Bridge, seconds: float) -> None:
    registry = bridge.registry
    registry.draining = True
    await bridge.dialer.close()
    if registry.sessions:
        log.info("calls_draining", live=len(registry.sessions), within_s=seconds)
    handing_over = spawn(bridge.worker.hand_over(registry), name="hand-over")
    try:
        async with asyncio.timeout(seconds):
            for session in registry.sessions:
                await session.ended.wait()
            await bridge.worker.let_streams_end()
    except TimeoutError:
        pass
    finally:
        handing_over.cancel()


def _take(
    house: House,
    gate: Gate,
    hand_offs: HandOffs,
    consultations: Consultations | None,
    messages: MessageSounds | None,
    doors: Doors,
    own: Settings,
) -> None:
    """Take calls, and pass them on, as changed settings say; believe who has the new tokens; and show all that."""
    doors.take(own)
    gate.take(auth_tokens_of(own))
    if house.rest is not None:
        house.rest.take(gate.auth_tokens[0])
    if messages is not None:
        messages.recordings.take(gate.auth_tokens[0])
    renew_certificate(own, house.entrance)
    house.admitting.take(admission_limits(own))
    house.twilio.departures.transfers = transfer_rules(own.transfer)
    hand_offs.take(own)
    if consultations is not None:
        consultations.rules = consult_rules(own.transfer)


def _url(settings: Settings, port: int) -> str:
    """Return where a bridge that listens on `port` is found on this machine."""
    host = settings.server.host if ":" not in settings.server.host else f"[{settings.server.host}]"
    return f"{'https' if settings.server.tls_certificate else 'http'}://{host}:{port}"


async def _listen(
    app: web.Application,
    settings: Settings,
    registry: Registry,
    worker: Alone,
    entrance: Entrance,
    stack: contextlib.AsyncExitStack,
) -> int:
    """Open the listener and return its port."""
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=5.0,
        max_line_size=_LONGEST_LINE_BYTES,
        keepalive_timeout=settings.server.idle_seconds,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await worker.listen(runner, settings, registry, entrance, stack)
    port: int = runner.addresses[0][1]
    return port
