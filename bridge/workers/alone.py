"""A bridge of one process, as what puts a bridge together sees it; `bridge.workers.worker` is one of several."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from bridge.call.registry import Registry
from bridge.listener.arrivals import Site
from bridge.listener.entrance import Entrance
from bridge.live.calls import LiveCalls
from bridge.live.listening import Elsewhere, Here
from bridge.metrics import Metrics
from bridge.outbound.dialer import Dialer
from bridge.settings import MEDIA_PATH, Settings
from bridge.speech.local import SpeechState, open_speech, open_standby
from bridge.store.base import Store
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from bridge.twilio.gate import FirstUse, LookAtForm
from bridge.twilio.outbound_routes import OutboundRoutes
from bridge.twilio.tokens import Marks

LookAtRequest: TypeAlias = Callable[[web.Request], Awaitable[None]]
OnGrowth: TypeAlias = Callable[[Path, str], None]


class Alone:
    """The only process: it does everything itself, and nothing here costs anything."""

    def __init__(self) -> None:
        self.also_grew: list[OnGrowth] = []
        """Told of the journals of other processes that have grown."""
        self.speech = SpeechState()
        """Whether the local speech server is there; of one that serves several processes nothing is known."""

        self.standby = SpeechState()
        """The same of a local one that stands by."""

    first = True
    """Whether this process keeps house: follows journals, delivers what waits, sweeps."""
    several = False
    """Whether there are others."""
    stream_path = MEDIA_PATH
    """Where calls of this process are to open their media streams."""
    middlewares: Sequence[Any] = ()
    """What looks at requests before everything else."""
    marks: Marks | None = None
    """Where tokens are marked as used, for all processes to see."""
    webhook: LookAtForm | None = None
    """Looks at the carrier's requests once they are known to be the carrier's."""
    asked: LookAtRequest | None = None
    """Looks at what people ask once it is known who asks."""
    once: FirstUse | None = None
    """Looks whether a token of a media stream was used at another node; None: there are none."""

    hear: Elsewhere | None = None
    """Where the sound of calls comes from that other nodes hold; None: there are none."""

    def answers(self, request: web.Request) -> bool:
        """Tell whether what people ask is answered by this process, as far as the request's address tells."""
        del request
        return True

    async def speech_url(self, settings: Settings, stack: contextlib.AsyncExitStack) -> str:
        """Return where speech comes from; the stack's end stops what was started for it."""
        return await open_speech(settings, stack, self.speech)

    async def standby_url(self, settings: Settings, stack: contextlib.AsyncExitStack) -> str:
        """The same for the service that stands by; empty: there is none."""
        return await open_standby(settings, stack, self.standby)

    def hold(self, name: str) -> None:
        """From now on what is asked about something of this name is for this process."""

    def keep(self, store: Store) -> Store:
        """Return what calls are handed to, around `store`."""
        return store

    def mends(self, folder: Path) -> bool:
        """Tell whether it is this process's work to finish the call that was left in this folder."""
        del folder
        return True

    def on_growth(self, follow: OnGrowth) -> OnGrowth:
        """Return what is told of journals that have grown, where `follow` is what puts them into the database."""
        return follow

    def orders(self, dialer: Dialer, outbound: OutboundRoutes) -> None:
        """Let other nodes ask about calls that this process places, and get them when they are answered."""
        del dialer, outbound

    def owner(self) -> str:
        """Return under which name the database has this process's calls, among nodes; empty: there are none."""
        return ""

    def named(self, settings: Settings) -> str:
        """Return what this process is called among those that share its database, the same after a start."""
        return settings.server.node or f"{socket.gethostname()}:{settings.server.port}"

    async def is_there(self, node: str) -> bool | None:
        """Tell whether a node of this name is there; None: that cannot be told."""
        del node
        return None

    def own(self, keeper: Keeper, database: Database) -> None:
        """Be told by `keeper` of calls of this process that another node holds by now, as `database` has it."""
        del keeper, database

    def holds(self, call: str) -> bool:
        """Tell whether a call goes on in another process."""
        del call
        return False

    def live(self, own: int) -> int:
        """Return how many calls go on, where `own` do here."""
        return own

    def health(self) -> Mapping[str, str]:
        """Return what else `/readyz` is to show: names of things, and how they are."""
        return {}

    async def figures(self, metrics: Metrics) -> tuple[bytes, str]:
        """Return the page for Prometheus, and its content type."""
        return await asyncio.to_thread(metrics.render)  # It reads files of /proc.

    def show(self, calls: LiveCalls, recording: Callable[[str], str], metrics: Metrics) -> None:
        """Let people see calls and figures of all processes; `recording` tells whether a call's sound is kept."""
        del calls, recording, metrics

    def let_listen(self, here: Here) -> None:
        """Let other nodes listen to the calls of this process."""
        del here

    async def let_streams_end(self) -> None:
        """Wait until no media stream of another process's calls passes through here."""

    async def hand_over(self, registry: Registry) -> None:
        """Let other nodes go on with the calls of this process, which stops, one by one; until cancelled."""
        del registry

    async def listen(
        self,
        runner: web.AppRunner,
        settings: Settings,
        registry: Registry,
        entrance: Entrance,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        """Begin to answer who comes in by the entrance; the stack's end stops it.

        Raises OSError when the listener cannot be opened.
        """
        del registry, stack
        await Site(runner, entrance, settings.server.host, settings.server.port).start()


class Around(Alone):
    """What stands around another one, and changes a part of what that does: all the rest is the other's own."""

    def __init__(self, inner: Alone) -> None:
        super().__init__()
        self._inner = inner
        self.also_grew, self.speech = inner.also_grew, inner.speech
        for name, ours in vars(Alone).items():
            if not name.startswith("_") and getattr(type(self), name) is ours:
                setattr(self, name, getattr(inner, name))
