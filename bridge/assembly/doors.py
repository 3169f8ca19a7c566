"""What answers people and their programs, and what operators' machines ask.

What nobody may ever ask for is put up with the first request for it: the API, the console and the softphone are
half of what a bridge would otherwise import at its start, and keep in memory for good.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bridge.api.access import Access
from bridge.api.late import LateRoutes
from bridge.api.own_calls import OwnCalls
from bridge.assembly.keeping import Keeping
from bridge.assembly.live import watch_calls
from bridge.assembly.parts import api_tokens, make_access
from bridge.assembly.profiles import Profiles
from bridge.call.admitting import Admitting
from bridge.call.log_session import LogSession
from bridge.call.registry import Registry
from bridge.health import HealthRoutes, Signs
from bridge.listener.entrance import Entrance
from bridge.live.calls import LiveCalls
from bridge.live.listening import Here
from bridge.metrics import Metrics
from bridge.outbound.dialer import Dialer
from bridge.process import collected_later
from bridge.settings import Settings
from bridge.speech.standby import Standby
from bridge.twilio.rest import TwilioRest
from bridge.twilio.routes import TwilioRoutes
from bridge.twilio.tokens import StreamTokens
from bridge.workers.alone import Alone

if TYPE_CHECKING:
    from bridge.assembly.late_doors import LateDoors


@dataclass(frozen=True, slots=True)
class House:
    """What the doors lead to."""

    settings: Settings
    metrics: Metrics
    keeping: Keeping
    profiles: Profiles
    registry: Registry
    dialer: Dialer
    rest: TwilioRest | None
    tokens: StreamTokens
    twilio: TwilioRoutes
    port: Callable[[], int]
    """Where we listen; known only after that."""
    worker: Alone
    admitting: Admitting
    entrance: Entrance
    standby: Standby | None = None
    """What stands by for the speech service; None: nothing does."""

    def speech_is_up(self) -> bool:
        """Tell whether callers can be heard and answered, as far as is known."""
        if self.standby is None or not self.standby.stands_in:
            return self.worker.speech.up
        return self.standby.up()

    def health(self) -> Mapping[str, str]:
        """Return what else `/readyz` is to show."""
        stands_in = self.standby is not None and self.standby.stands_in and self.speech_is_up()
        return {**({"speech": "standby"} if stands_in else {}), **self.worker.health()}

    def live(self) -> int:
        """Return how many calls go on, in all processes."""
        return self.worker.live(len(self.registry.sessions))


class Doors:
    """The doors of a bridge."""

    def __init__(self, app: web.Application, house: House) -> None:
        """Put everything that is not Twilio's at its address."""
        self._house = house
        self._access: Access = make_access(house.settings)
        self._settings = house.settings
        self._late: LateDoors | None = None
        self._own = OwnCalls()
        for observers in (house.registry.observers, house.registry.logs.observers):
            observers.append(self._own.observer)
        self._calls: LiveCalls = watch_calls(app, house.settings, house.registry)
        house.worker.orders(house.dialer, house.twilio.outbound)
        house.worker.let_listen(Here(self._calls, house.keeping.store))
        house.worker.show(self._calls, house.keeping.store.recording, house.metrics)
        if house.rest is not None:
            house.twilio.logs.restart = self._restart
        signs = Signs(
            live=house.live,
            figures=functools.partial(house.worker.figures, house.metrics),
            speech_is_up=house.speech_is_up,
            more=house.health,
            full=house.admitting.full,
            ready_when_full=lambda: self._settings.admission.ready_when_full,
        )
        HealthRoutes(house.registry, self._access, house.keeping.database, signs).add_to(app)
        self._routes = LateRoutes(self._open, house.worker.answers)
        app.router.register_resource(self._routes)

    def take(self, settings: Settings) -> None:
        """Go by changed settings."""
        self._settings = settings
        self._access.take(settings.api.token.get_secret_value(), api_tokens(settings))
        if self._late is not None:
            self._late.take(settings)

    async def _open(self) -> web.Application:
        """Put up what was not needed until now."""
        with collected_later():
            # In a thread: importing takes half a second of processor time, and calls go on.
            late: Any = await asyncio.to_thread(importlib.import_module, "bridge.assembly.late_doors")
            app = web.Application()
            self._late = await late.open_doors(app, self._house, self._access, self._own, self._calls)
        self._late.take(self._settings)
        return app

    async def _restart(self, session: LogSession) -> None:
        """Listen again to a call whose stream broke."""
        await self._routes.app()
        assert self._late is not None  # noqa: S101  It comes with the application.
        await self._late.restart(session)
