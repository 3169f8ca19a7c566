"""The sinks of a bridge, put together: where what is kept of calls is also sent."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from pathlib import Path

from bridge.errors import SettingsError
from bridge.metrics import Metrics
from bridge.settings import Settings
from bridge.sinks.base import Sink
from bridge.sinks.delivery import Delivery
from bridge.sinks.feeding import Feeder, FeedingStore
from bridge.sinks.following import JournalFeeder
from bridge.sinks.jsonl_file import FileSink
from bridge.sinks.nats_bus import NatsSink
from bridge.sinks.outbox import Outbox
from bridge.sinks.webhook import WebhookSink
from bridge.store.base import Store
from bridge.tasks import spawn, stopped
from bridge.workers.alone import Alone


async def open_sinks(
    settings: Settings, store: Store, metrics: Metrics, stack: contextlib.AsyncExitStack, worker: Alone
) -> Store:
    """Send what is kept in `store` to where the settings want it, too; the stack's end stops that.

    Returns what calls are to be handed to. Raises SettingsError and MissingExtraError.
    """
    sinks = make_sinks(settings)
    if not sinks or not worker.first:
        return store  # Of several processes, the first reads the journals of the others.
    folder = settings.store.recordings
    outbox = Outbox(folder, list(sinks))
    stack.push_async_callback(outbox.close)
    feeder = Feeder(outbox, settings.sinks.events)
    left = await outbox.open()
    if worker.several:
        following = JournalFeeder(feeder, folder, left)
        stack.push_async_callback(following.drain)
        stack.push_async_callback(stopped, spawn(following.run(), name="sinks-follow"))
        worker.also_grew.append(lambda grown, _: following.grew(grown))
    else:
        stack.callback(spawn(_catch_up(feeder, folder, left), name="sinks-catch-up").cancel)
    for name, sink in sinks.items():
        stack.push_async_callback(sink.close)
        delivery = Delivery(name, outbox, sink)
        stack.push_async_callback(stopped, spawn(delivery.run(), name=f"sink-{name}"))
        metrics.sink_waiting.labels(sink=name).set_function(functools.partial(outbox.backlog.__getitem__, name))
    metrics.sink_dropped.set_function(lambda: outbox.dropped)
    return FeedingStore(store, feeder)


def make_sinks(settings: Settings) -> dict[str, Sink]:
    """Return the sinks that the settings name. Raises SettingsError and MissingExtraError."""
    wanted, sinks = settings.sinks, dict[str, Sink]()
    if wanted.webhook_url:
        sinks["webhook"] = WebhookSink(wanted.webhook_url, wanted.webhook_secret.get_secret_value())
    if wanted.file:
        sinks["file"] = FileSink(Path(wanted.file))
    if wanted.nats_subject:
        if not settings.bus.url:
            raise SettingsError(
                f"sinks.nats_subject is {wanted.nats_subject!r}, but there is no NATS server: set bus.url"
                " (BRIDGE_BUS__URL)"
            )
        sinks["nats"] = NatsSink(settings.bus.url, wanted.nats_subject)
    return sinks


async def _catch_up(feeder: Feeder, folder: Path, left: dict[str, int]) -> None:
    await asyncio.to_thread(feeder.catch_up, folder, left)
