"""A running bridge takes changed settings: for the calls that begin then, without touching those that live."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog

from bridge.assembly.profiles import Profiles
from bridge.call.registry import Registry
from bridge.errors import BridgeError
from bridge.settings import Settings
from bridge.tasks import spawn

LIVE = ("numbers", "agent", "relay", "openai", "stt", "tts", "turns", "transfer", "admission")
"""The sections that can change while the bridge runs; what else is changed waits for its next start."""
LIVE_KEYS: Mapping[str, tuple[str, ...]] = {
    "twilio": ("auth_token", "old_auth_tokens"),
    "api": ("token", "tokens"),
}
"""What of other sections can: who is believed."""

log = structlog.get_logger()


class Reloader:
    """Takes the settings anew, one reading after the other."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        profiles: Profiles,
        registry: Registry,
        *,
        before: Callable[[Settings], None] = lambda _: None,
        after: Callable[[Settings], None] = lambda _: None,
    ) -> None:
        """`load` reads the settings from where they came from.

        `before` is told those that are about to be in force, and may be told so in vain; `after` those that are.
        """
        self.settings = settings
        """Those in force."""
        self._load = load
        self._profiles = profiles
        self._registry = registry
        self._before, self._after = before, after
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> bool:
        """Read the settings and go by them. False: they are wrong, which is logged; the old ones stay.

        Never raises for what stands in them. Cancelling it leaves the old ones in force, or the new ones.
        """
        async with self._one_at_a_time:
            try:
                wanted = await asyncio.to_thread(self._load)
                taken = self.settings.model_copy(update=_live_of(wanted, self.settings))
                self._before(taken)
                await self._profiles.adopt(taken, lambda: self._registry.sessions)
            except BridgeError as error:
                for mistake in error.message.splitlines():
                    log.error("settings_refused", mistake=mistake)
                return False
            self._after(taken)
            changed, before = _changed(self.settings, taken), self.settings
            self.settings = taken
            log.info("settings_taken", changed=changed, live_calls=len(self._registry.sessions))
            if waiting := [name for name in _changed(before, wanted) if not _is_live(name)]:
                log.warning("settings_need_a_restart", settings=waiting)
            return True

    @contextlib.contextmanager
    def on_hangup_signal(self) -> Iterator[None]:
        """Reload at every SIGHUP, for the length of the block; nothing where there is no such signal."""
        loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[bool]]()

        def start() -> None:
            task = spawn(self.reload(), name="reload-settings")
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        try:
            loop.add_signal_handler(signal.SIGHUP, start)
        except (AttributeError, NotImplementedError, RuntimeError):
            # Windows, or a loop outside of the main thread.
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            for task in tasks:
                task.cancel()


def _live_of(wanted: Settings, before: Settings) -> dict[str, Any]:
    """Return the sections that follow what is wanted, by name."""
    sections = {name: getattr(wanted, name) for name in LIVE}
    for section, keys in LIVE_KEYS.items():
        update = {key: getattr(getattr(wanted, section), key) for key in keys}
        sections[section] = getattr(before, section).model_copy(update=update)
    return sections


def _is_live(name: str) -> bool:
    section, _, key = name.partition(".")
    return section in LIVE or key in LIVE_KEYS.get(section, ())


def _changed(one: Settings, other: Settings) -> list[str]:
    """The names of the settings in which two differ, `[[numbers]]` as one."""
    names = []
    for section in type(one).model_fields:
        mine, theirs = getattr(one, section), getattr(other, section)
        if mine == theirs:
            continue
        if section == "numbers":
            names.append(section)
        else:
            names += [f"{section}.{key}" for key, value in mine if value != getattr(theirs, key)]
    return names
