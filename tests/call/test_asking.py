"""A question goes out when what it is about is recorded; a slow disk is waited for, but not for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from bridge.agents.base import Question
from bridge.call import asking as module
from bridge.call.asking import Asking
from bridge.conversation import commands as do
from bridge.conversation.journal import CallerSpoke, CallOpened
from bridge.store.files import FileStore
from bridge.store.writer import DiskThread
from tests.call.live_call import Call, ask, scripted
from tests.call.peers import INFO, ScriptedAgent, settle
from tests.store.samples import HEADER


@pytest.fixture
async def call(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Call]:
    call = Call(scripted(monkeypatch))
    call.record.unsettled = asyncio.Event()
    yield call
    call.do(do.Close())
    await call.over()


async def test_a_question_waits_until_its_turn_is_recorded(call: Call) -> None:
    assert call.record.unsettled is not None
    call.do(do.Record(CallerSpoke(1, "Hello", 0, 1)), ask(2))
    await settle()
    assert call.record.entries == [CallerSpoke(1, "Hello", 0, 1)]
    assert call.agent.questions == []

    call.record.unsettled.set()
    await settle()
    assert [question.reply for question in call.agent.questions] == [2]


async def test_a_slow_disk_is_not_waited_for_any_longer_and_told_of_once(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_WITHIN_S", 0.05)
    loop = asyncio.get_running_loop()
    with capture_logs() as logs:
        for reply in (2, 3):
            began = loop.time()
            call.do(ask(reply))
            async with asyncio.timeout(5):
                while not call.agent.questions or call.agent.questions[-1].reply != reply:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            assert loop.time() - began >= 0.045
    assert [line["event"] for line in logs] == ["question_before_record"]


def test_no_question_waits_longer_than_a_caller_would_not_notice() -> None:
    assert module._SETTLED_WITHIN_S == 0.25


async def test_the_greeting_waits_for_nothing(call: Call) -> None:
    call.do(msgspec.structs.replace(ask(1), occasion="call.started"))
    await settle()
    assert [question.reply for question in call.agent.questions] == [1]


async def test_a_question_that_is_taken_back_meanwhile_never_goes_out(call: Call) -> None:
    assert call.record.unsettled is not None
    call.do(ask(2))
    await settle()
    call.do(do.CancelReply(2))
    call.record.unsettled.set()
    await settle()
    assert call.agent.questions == []


async def test_with_a_real_disk_the_turn_is_in_the_journal_before_the_question(tmp_path: Path) -> None:
    store = FileStore(tmp_path, disk=DiskThread())
    seen: list[bytes] = []

    class Looking(ScriptedAgent):
        async def ask(self, question: Question) -> AsyncIterator[object]:  # type: ignore[override]
            (journal,) = tmp_path.rglob("journal.jsonl")
            seen.append(await asyncio.to_thread(journal.read_bytes))
            for action in self.pieces:
                yield action

    record = store.open(HEADER)
    asking = Asking(Looking(), INFO, lambda _: None, record.settled)
    record.append(CallOpened())
    for turn in range(1, 20):
        record.append(CallerSpoke(turn, f"turn {turn}", turn, turn))
        asking.carry_out(ask(turn))
        async with asyncio.timeout(5):
            while len(seen) < turn:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert f'"transcript":"turn {turn}"'.encode() in seen[-1]
    await record.close()
    await store.close()
