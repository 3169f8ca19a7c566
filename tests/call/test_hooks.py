"""Turn-taking as Python programs see it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.agents.base import CallInfo
from bridge.call import hooks as module
from bridge.call.hooks import TurnHooks, observer_of
from bridge.conversation import events as on
from tests.call.peers import INFO, settle

FAILED = on.RecognizerFailed("speech_limit", "too many", final=False, details={"status_code": "429"})
TABLE: list[tuple[on.Event, tuple[Any, ...]]] = [
    (on.RecognizerConnected("r1"), ("connected", "r1")),
    (on.RecognizerLost("speech_unreachable", "gone"), ("disconnected", "speech_unreachable", "gone")),
    (FAILED, ("connection_error", FAILED)),
    (on.TurnStarted(), ("turn_start",)),
    (on.TurnUpdated(" a"), ("turn_update", " a")),
    (on.TurnEagerlyEnded(" a b"), ("turn_eager_end", " a b")),
    (on.TurnResumed(), ("turn_resume",)),
    (on.TurnEnded(" a b c"), ("turn_end", " a b c")),
    (on.RecognizerClosed(), ("disconnected", "", "")),
]


def kept(name: str, is_async: bool) -> Any:
    def plain(self: Any, call: CallInfo, *arguments: Any) -> None:
        self.told.append((call.id, name, *arguments))

    async def waiting(self: Any, call: CallInfo, *arguments: Any) -> None:
        self.told.append((call.id, name, *arguments))
        await self.go.wait()

    return waiting if is_async else plain


class Kept(TurnHooks):
    """Keeps what it is told. The hooks in `WAITING` are asynchronous, and wait."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.go = asyncio.Event()


NAMES = [name for name in vars(TurnHooks) if not name.startswith("_")]
Plain = type("Plain", (Kept,), {name: kept(name, is_async=False) for name in NAMES})
Waiting = type("Waiting", (Kept,), {name: kept(name, is_async=name != "turn_resume") for name in NAMES})


def names(hooks: Kept) -> list[str]:
    return [told[1] for told in hooks.told]


async def test_each_event_of_speech_to_text_has_its_hook_at_once() -> None:
    hooks = Plain()
    observe = observer_of(hooks)(INFO)
    for event, told in TABLE:
        observe(0.0, event, [])
        assert hooks.told[-1] == ("c1", *told)
    assert len(hooks.told) == len(TABLE)


async def test_other_events_have_none() -> None:
    hooks = Plain()
    observe = observer_of(hooks)(INFO)
    for event in (on.StreamStarted(), on.DigitPressed("1"), on.SpeechFinished(1), on.DeadlineReached()):
        observe(0.0, event, [])
    assert hooks.told == []


async def test_hooks_that_nobody_wrote_do_nothing() -> None:
    observe = observer_of(TurnHooks())(INFO)
    with capture_logs() as logs:
        for event, _ in TABLE:
            observe(0.0, event, [])
        await settle()
    assert logs == []


async def test_asynchronous_hooks_come_one_after_the_other_and_plain_ones_in_their_place() -> None:
    hooks = Waiting()
    observe = observer_of(hooks)(INFO)
    for event, _ in TABLE:
        observe(0.0, event, [])
    await settle()
    assert names(hooks) == ["connected"]
    hooks.go.set()
    await settle()
    assert [told[1:] for told in hooks.told] == [told for _, told in TABLE]
    observe(0.0, on.TurnResumed(), [])
    assert len(hooks.told) == len(TABLE) + 1, "nothing is waited for any more"


async def test_one_call_does_not_wait_for_another() -> None:
    hooks = Waiting()
    make = observer_of(hooks)
    first, second = make(INFO), make(CallInfo("c2", "CA2", "a", "b"))
    first(0.0, on.TurnStarted(), [])
    second(0.0, on.TurnStarted(), [])
    await settle()
    assert [told[0] for told in hooks.told] == ["c1", "c2"]
    hooks.go.set()
    await settle()


class Broken(TurnHooks):
    def turn_start(self, call: CallInfo) -> None:
        raise ValueError("start")

    async def turn_end(self, call: CallInfo, transcript: str) -> None:
        await asyncio.sleep(0)
        raise ValueError("end")


async def test_what_a_hook_raises_is_logged_once_and_harms_nobody() -> None:
    observe = observer_of(Broken())(INFO)
    with capture_logs() as logs:
        for _ in range(3):
            observe(0.0, on.TurnStarted(), [])
            observe(0.0, on.TurnEnded("a"), [])
        await settle()
        observe(0.0, on.TurnStarted(), [])
    assert [(line["event"], line["hook"], line["call"]) for line in logs] == [
        ("hook_failed", "turn_start", "c1"),
        ("hook_failed", "turn_end", "c1"),
    ]
    assert str(logs[0]["exc_info"]) == "start"


async def test_hooks_that_hang_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING_AT_MOST", 3)
    hooks = Waiting()
    observe = observer_of(hooks)(INFO)
    with capture_logs() as logs:
        for number in range(10):
            observe(0.0, on.TurnUpdated(str(number)), [])
    assert [(line["event"], line["hook"]) for line in logs] == [("hooks_left_out", "turn_update")]
    hooks.go.set()
    await settle()
    assert [told[2] for told in hooks.told] == ["0", "1", "2", "3"]
