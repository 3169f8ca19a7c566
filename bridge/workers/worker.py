"""One of several processes of a bridge: what it does for the others, and what others do for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from bridge.call.log_session import LogSession
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.listener.arrivals import Site
from bridge.listener.entrance import Entrance
from bridge.live.calls import LiveCalls
from bridge.live.elsewhere import Elsewhere
from bridge.live.events import News
from bridge.metrics import Metrics
from bridge.settings import MEDIA_PATH, Settings
from bridge.store.base import CallHeader, CallRecord, Reopened, Store
from bridge.tasks import spawn, stopped
from bridge.workers.alone import Alone, OnGrowth
from bridge.workers.board import Board
from bridge.workers.front import Front
from bridge.workers.handing import Receiver
from bridge.workers.link import Hub, Reporter
from bridge.workers.merging import merged
from bridge.workers.place import Place

_LOOK_EVERY_S = 1.0
"""How often the others are told how many calls there are here. What changes is told at once, but for calls that
were about to come and did not."""
_OTHERS_STOP_WITHIN_S = 20.0
"""How long the first waits for the others beyond the time that calls have to end."""


class Worker(Alone):
    """This process among those of its bridge. To be made before the event loop runs what it is for."""

    several = True

    def __init__(self, place: Place) -> None:
        """Raises OSError where the folder of the workers cannot be used."""
        super().__init__()
        self.place = place
        self.first = place.first
        self.stream_path = f"{MEDIA_PATH}/{place.number}"
        self._board = Board(Path(place.folder), place.number, place.count)
        self._front = Front(place, self._board)
        self.middlewares = (self._front.middleware,)
        self.marks = self._board
        self.webhook = self._front.webhook
        self.asked = self._front.asked
        self._follow: OnGrowth = lambda *_: None
        self._elsewhere: Elsewhere | None = None
        self._hub: Hub | None = None
        self._reporter: Reporter | None = None

    async def speech_url(self, settings: Settings, stack: contextlib.AsyncExitStack) -> str:
        """As `Alone.speech_url`; a local server is started once, for all."""
        del settings, stack
        return self.place.speech_url

    async def standby_url(self, settings: Settings, stack: contextlib.AsyncExitStack) -> str:
        """As `Alone.standby_url`; see `speech_url`."""
        del settings, stack
        return self.place.standby_url

    def answers(self, request: web.Request) -> bool:
        """As `Alone.answers`: what another process is to answer is handed over before anything is put up for it."""
        return self._front.answers(request)

    # --- what is kept --------------------------------------------------------------------------------------

    def hold(self, name: str) -> None:
        """As `Alone.hold`."""
        self._board.hold(name)

    def keep(self, store: Store) -> Store:
        """As `Alone.keep`: whose calls are kept by this process is seen by all, before anything of them is."""
        return _Held(store, self._board)

    def mends(self, folder: Path) -> bool:
        """As `Alone.mends`: calls of a process that died here, and for the first what nobody holds."""
        call = folder.name.partition("-")[2]
        holder = self._board.holder(call)
        return call in self._board.left or (holder is None and self.first)

    def on_growth(self, follow: OnGrowth) -> OnGrowth:
        """As `Alone.on_growth`: the first process puts all journals into the database."""
        if self.first:
            self._follow = follow
            return follow
        loop = asyncio.get_running_loop()

        def tell(folder: Path, call: str) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: the process ends.
                loop.call_soon_threadsafe(self._tell_grown, folder, call)

        return tell

    def _tell_grown(self, folder: Path, call: str) -> None:
        if self._reporter is not None:
            self._reporter.grew(str(folder), call)

    def _others_grew(self, folder: str, call: str) -> None:
        self._follow(Path(folder), call)
        for also in self.also_grew:
            also(Path(folder), call)

    # --- what people see -----------------------------------------------------------------------------------

    def holds(self, call: str) -> bool:
        """As `Alone.holds`."""
        if self._elsewhere is None or self._hub is None:
            return False
        if self._elsewhere.holds(call):
            return True
        # Who holds it may not have told yet how its calls stand: they count as going on until it has.
        holder = self._board.holder(call)
        return holder not in {None, self.place.number} and not self._hub.knows(holder or 0)

    def live(self, own: int) -> int:
        """As `Alone.live`."""
        del own
        return self._board.live

    async def figures(self, metrics: Metrics) -> tuple[bytes, str]:
        """As `Alone.figures`: those of all processes, together."""
        own, kind = await super().figures(metrics)
        others = [] if self._hub is None else await self._hub.figures()
        return await asyncio.to_thread(merged, [own.decode(), *others]) if others else (own, kind)

    def show(self, calls: LiveCalls, recording: Callable[[str], str], metrics: Metrics) -> None:
        """As `Alone.show`: the first process shows all calls, the others tell it of theirs."""
        if self.first:
            self._elsewhere = Elsewhere(calls.teller, self._others_grew)
            calls.elsewhere = self._elsewhere.all
            self._hub = Hub(self.place.link, self._elsewhere)
            calls.feed.on_fine = self._hub.want_fine
            return
        reporter = Reporter(
            self.place.number, self.place.link, lambda: calls.as_dicts(recording), lambda: metrics.render()[0]
        )
        self._reporter = reporter
        calls.teller = _Teller(reporter)

        def watch(session: Session | LogSession) -> Callable[..., None]:
            if (call := calls.find(session.info.id)) is not None:
                reporter.call(call.as_dict(recording(call.id)))
            spawn(_tell_end(session, reporter), name=f"tell-end-{session.info.id}")
            return lambda *_: None

        calls.watch_with(watch)

    # --- its life ------------------------------------------------------------------------------------------

    async def listen(
        self,
        runner: web.AppRunner,
        settings: Settings,
        registry: Registry,
        entrance: Entrance,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        """As `Alone.listen`, at a port that all share, and where the others hand connections over."""
        self._board.goes_on = registry.holds
        stack.callback(self._board.close)
        assert runner.server is not None  # noqa: S101  It was set up.
        receiver = self._front.receiver = Receiver(self.place.socket(self.place.number), runner.server)
        stack.callback(receiver.close)
        stack.push_async_callback(stopped, spawn(self._tell_load(registry), name="tell-load"))
        if self._hub is not None:
            await self._hub.open()
            stack.push_async_callback(self._hub.close)
            # Their calls' last entries go into the database, too.
            stack.push_async_callback(self._hub.others_gone, settings.server.drain_seconds + _OTHERS_STOP_WITHIN_S)
        if self._reporter is not None:
            link = spawn(self._reporter.run(), name="tell-first-worker")
            stack.push_async_callback(stopped, link)
            stack.push_async_callback(self._reporter.last_words)
        await Site(runner, entrance, settings.server.host, self.place.port, reuse_port=True).start()
        await receiver.open()

    async def let_streams_end(self) -> None:
        """As `Alone.let_streams_end`."""
        for relay in [*self._front.streams]:
            await relay.ended.wait()

    async def _tell_load(self, registry: Registry) -> None:
        def tell() -> None:
            self._board.set_load(len(registry.sessions), registry.expected)

        registry.changed = tell
        while True:
            tell()
            await asyncio.sleep(_LOOK_EVERY_S)


class _Held:
    """A store around another one; a `bridge.store.base.Store`."""

    def __init__(self, store: Store, board: Board) -> None:
        self._store = store
        self._board = board

    def open(self, header: CallHeader) -> CallRecord:
        """Begin the record of a call. Returns at once; never raises."""
        self._board.hold(header.id)
        self._board.hold(header.sid)
        return self._store.open(header)

    async def reopen(self, sid: str) -> Reopened | None:
        """Take over a call whose worker has died: from then on this one holds it. See `Store`."""
        found = await self._store.reopen(sid)
        if found is not None:
            self._board.hold(found.header.id)
            self._board.hold(found.header.sid)
        return found

    async def close(self) -> None:
        """As the store around which this is."""
        await self._store.close()


class _Teller:
    """Tells the first worker what happens; a `bridge.live.calls.Teller`."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    @property
    def fine(self) -> bool:
        """Tell whether anybody wants to know of every word."""
        return self._reporter.fine

    def publish(self, news: News) -> None:
        """Tell it. Never waits and never raises."""
        self._reporter.news(news.type, news.call, news.data)


async def _tell_end(session: Session | LogSession, reporter: Reporter) -> None:
    await session.ended.wait()
    reporter.over(session.info.id)
