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
from bridge.call.hooks import TurnHooks, observer_of
from bridge.call.registry import Registry
from bridge.doors import House, add_doors
from bridge.keeping import open_keeping
from bridge.metrics import Metrics
from bridge.outbound.dialer import Dialer
from bridge.parts import (
    auth_token_of,
    carrier_rest,
    consult_rules,
    make_dialer,
    make_registry,
    openers,
    transfer_rules,
)
from bridge.profiles import Profiles
from bridge.relay_profile import HandOffs
from bridge.reload import Reloader
from bridge.settings import Settings
from bridge.tasks import spawn
from bridge.twilio.consult import Consultations
from bridge.twilio.gate import Gate
from bridge.twilio.read_pacing import ReadPacer
from bridge.twilio.routes import TwilioRoutes
from bridge.twilio.tokens import StreamTokens
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
        worker = worker or Alone()
        if settings.bus.url:
            from bridge.bus.node import Node  # noqa: PLC0415  Most have no bus, and pay nothing for it.

            worker = Node(settings, worker)
        holders = [worker.holds]
        live = lambda call: any(holds(call) for holds in holders)  # noqa: E731  It is one expression.
        keeping = await open_keeping(settings, metrics, stack, live, worker)

        speech_url = await worker.speech_url(settings, stack)
        profiles = Profiles(settings, openers(speech_url), metrics)
        stack.push_async_callback(profiles.close)
        profiles.start()

        rest = carrier_rest(settings)
        if rest is not None:
            stack.callback(rest.close)
        registry = make_registry(profiles, keeping.store, metrics, rest)
        holders.append(registry.holds)
        registry.observers += [observer_of(each) for each in hooks]
        auth_token = auth_token_of(settings)
        listening: list[int] = []
        gate = Gate(
            auth_tokens=[auth_token],
            validate=settings.twilio.validate_requests,
            public_url=lambda: settings.public_url(listening[0]),
            tokens=StreamTokens(auth_token, marks=worker.marks),
            metrics=metrics,
            stream_path=worker.stream_path,
            look=worker.webhook,
            once=worker.once,
        )
        dialer = make_dialer(settings, registry, rest, metrics, lambda: listening[0])
        app = web.Application(client_max_size=64 * 1024, middlewares=[*worker.middlewares, problems])
        pacer = ReadPacer(settings.stt.chunk_ms)
        routes = TwilioRoutes(gate, registry, metrics, transfer_rules(settings.transfer), dialer, pacer)
        hand_offs = HandOffs(settings, profiles.relay_session)
        stack.push_async_callback(hand_offs.close)
        routes.departures.hand_off = hand_offs.document
        registry.observers.append(hand_offs.observer)
        routes.add_to(app)
        consultations = None
        if rest is not None:
            rules = consult_rules(settings.transfer)
            consultations = Consultations(gate, rest, rules, routes.departures.bring_back, worker.hold)
            consultations.add_to(app)
            routes.departures.joined = consultations.joined
            stack.push_async_callback(consultations.close)
            registry.others = consultations
        port = functools.partial(listening.__getitem__, 0)
        house = House(
            settings, metrics, keeping, profiles, registry, dialer, rest, gate.tokens, routes, port, worker
        )
        doors_take = await add_doors(app, house)
        listening.append(await _listen(app, settings, registry, worker, stack))
        keeping.start()

        stack.push_async_callback(registry.close, within_s=_RECORDED_WITHIN_S)
        stack.push_async_callback(dialer.close)
        host = settings.server.host if ":" not in settings.server.host else f"[{settings.server.host}]"
        take = functools.partial(_take, routes, hand_offs, consultations, doors_take)
        yield Bridge(f"http://{host}:{listening[0]}", auth_token, registry, metrics, dialer, profiles, take, worker)


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
    except TimeoutError:
        pass
    finally:
        handing_over.cancel()


def _take(
    routes: TwilioRoutes,
    hand_offs: HandOffs,
    consultations: Consultations | None,
    doors_take: Callable[[Settings], None],
    own: Settings,
) -> None:
    """Pass calls on as changed settings say, and show those."""
    doors_take(own)
    routes.departures.transfers = transfer_rules(own.transfer)
    hand_offs.take(own)
    if consultations is not None:
        consultations.rules = consult_rules(own.transfer)


async def _listen(
    app: web.Application, settings: Settings, registry: Registry, worker: Alone, stack: contextlib.AsyncExitStack
) -> int:
    """Open the listener and return its port."""
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=5.0, max_line_size=_LONGEST_LINE_BYTES
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await worker.listen(runner, settings, registry, stack)
    port: int = runner.addresses[0][1]
    return port
