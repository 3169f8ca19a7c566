"""The ends of calls that could not be delivered: kept on disk, and delivered by whoever comes next."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from bridge.agents.webhook import end as webhook_end
from bridge.agents.webhook import spool as ended_spool
from bridge.agents.webhook.agent import WebhookAgent, WebhookOptions
from bridge.agents.webhook.spool import EndedSpool
from bridge.conversation.actions import Note
from tests.agents.asking import ENDED, hear
from tests.agents.bench import Bench, failure

NOW = 1_800_000_000.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

# --- the folder --------------------------------------------------------------------------------------------


def spool(folder: Path, **limits: int) -> EndedSpool:
    return EndedSpool(folder, "http://127.0.0.1:3000/", **limits)


def keep(kept: EndedSpool, message_id: str, *, now: float = NOW, due: float | None = None) -> int:
    return kept.keep(message_id, "call-1", b'{"type": "call.ended"}', now=now, due=now if due is None else due)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_kept_is_found_by_another_process_until_it_is_removed(tmp_path: Path) -> None:
    keep(spool(tmp_path), "msg_a")
    taken = spool(tmp_path).take(NOW)
    assert taken is not None
    assert (taken.message_id, taken.call_id, taken.body) == ("msg_a", "call-1", b'{"type": "call.ended"}')
    assert (taken.created, taken.attempts, len(files(tmp_path))) == (NOW, 1, 1)
    spool(tmp_path).remove("msg_a")
    assert files(tmp_path) == []


def test_nothing_is_taken_before_it_is_due(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    keep(kept, "msg_a", due=NOW + 10)
    assert (kept.take(NOW + 9), kept.next_due()) == (None, NOW + 10)
    assert kept.take(NOW + 10) is not None


def test_the_pauses_grow(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    keep(kept, "msg_a")
    now, pauses = NOW, []
    for attempt in range(1, 11):
        taken = kept.take(now)
        assert taken is not None
        assert taken.attempts == attempt
        due = kept.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
    assert pauses == [15, 30, 60, 120, 300, 900, 1800, 3600, 3600, 3600]


def test_two_processes_do_not_take_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = spool(tmp_path), spool(tmp_path)
    keep(first, "msg_a")
    seen_by_both = second._entries()
    assert first.take(NOW) is not None
    monkeypatch.setattr(second, "_entries", lambda: seen_by_both)
    assert second.take(NOW) is None


def test_the_same_event_is_kept_once(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    keep(kept, "msg_a")
    kept.take(NOW)
    keep(kept, "msg_a", now=NOW + 5)
    assert len(files(tmp_path)) == 1
    assert kept.take(NOW + 6) is None, "its pause goes on"


def test_agents_do_not_get_each_others_events(tmp_path: Path) -> None:
    keep(spool(tmp_path), "msg_a")
    assert EndedSpool(tmp_path, "http://127.0.0.1:3001/").take(NOW) is None


def test_the_oldest_make_room(tmp_path: Path) -> None:
    kept = spool(tmp_path, max_entries=2)
    assert [keep(kept, f"msg_{number}", now=NOW + number) for number in range(4)] == [0, 0, 1, 1]
    assert sorted(path.name.split(".")[3] for path in files(tmp_path)) == ["msg_2", "msg_3"]


def test_a_day_later_it_is_given_up_whoever_kept_it(tmp_path: Path) -> None:
    keep(spool(tmp_path), "msg_a")
    keep(spool(tmp_path), "msg_b", now=NOW + 100)
    other = EndedSpool(tmp_path, "http://another.example.com/")
    assert other.sweep(NOW + 24 * 3600) == []
    assert other.sweep(NOW + 24 * 3600 + 1) == ["msg_a"]
    assert len(files(tmp_path)) == 1


def test_what_is_too_large_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_spool, "MAX_BODY_BYTES", 10)
    with pytest.raises(ValueError, match="10 may be kept"):
        keep(spool(tmp_path), "msg_a")


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    keep(spool(tmp_path / "ends"), "msg_a")
    (file,) = files(tmp_path)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep(spool(tmp_path), "msg_a")
    assert files(tmp_path) == []


def test_strange_files_do_no_harm(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    keep(kept, "msg_a", now=NOW)
    (folder,) = tmp_path.iterdir()
    (folder / "notes.txt").write_text("hello")
    (folder / f"{int(NOW) - 9}.{int(NOW) - 9}.0.msg_0.json").write_bytes(b'{"call_id": "x"')
    (tmp_path / "file").write_text("hello")
    taken = kept.take(NOW)
    assert taken is not None
    assert taken.message_id == "msg_a"
    assert kept.sweep(NOW) == []
    assert (folder / "notes.txt").exists()


# --- at work -----------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses of a day in a moment."""
    monkeypatch.setattr(webhook_end, "END_SECONDS", 0.5)
    monkeypatch.setattr(webhook_end, "MARGIN_SECONDS", 0.6)
    monkeypatch.setattr(ended_spool, "PAUSES_S", (0,))


class Flaky:
    """Refuses ends of calls until it is well."""

    def __init__(self, *, well_after: int, status: int = 503) -> None:
        self.deliveries: list[tuple[str, str, bytes]] = []
        self.taken = asyncio.Event()
        self._well_after = well_after
        self._status = status

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        self.deliveries.append((request.headers["webhook-id"], request.headers["traceparent"], body))
        if len(self.deliveries) <= self._well_after:
            return web.Response(status=self._status)
        self.taken.set()
        return web.json_response({"type": "note", "data": {"mood": "good"}})


def keeping(bench: Bench, url: str, folder: Path) -> WebhookAgent:
    agent = WebhookAgent(url, secret=SECRET, end_pauses=(0.01,), options=WebhookOptions(ended_folder=folder))
    bench.agents.append(agent)
    return agent


async def emptied(folder: Path) -> None:
    """Wait until nothing is undelivered."""
    async with asyncio.timeout(10):
        while files(folder):  # noqa: ASYNC110 - files do not tell when they vanish
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("hasty")
async def test_an_end_that_was_delivered_leaves_nothing_on_disk(bench: Bench, tmp_path: Path) -> None:
    flaky = Flaky(well_after=1)
    agent = keeping(bench, (await bench.agent(flaky.answer)).url, tmp_path)
    assert await hear(agent, ENDED) == [Note({"mood": "good"})]
    assert (len(flaky.deliveries), files(tmp_path)) == (2, [])


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("status", [503, 404])
async def test_an_end_is_delivered_later_by_the_same_process(bench: Bench, tmp_path: Path, status: int) -> None:
    flaky = Flaky(well_after=3, status=status)
    agent = keeping(bench, (await bench.agent(flaky.answer)).url, tmp_path)
    with capture_logs() as lines:
        assert (await failure(agent, ENDED)).code == "agent_status"
        await asyncio.wait_for(flaky.taken.wait(), 10)
        await emptied(tmp_path)
        await agent.close()
    assert len({message_id for message_id, _, _ in flaky.deliveries}) == 1
    assert len({body for _, _, body in flaky.deliveries}) == 1
    assert len({span for _, span, _ in flaky.deliveries}) == len(flaky.deliveries) == 4
    assert [line["event"] for line in lines][:2] == ["agent_end_kept", "agent_end_undelivered"]


@pytest.mark.usefixtures("hasty")
async def test_an_end_is_delivered_by_the_next_process(bench: Bench, tmp_path: Path) -> None:
    flaky = Flaky(well_after=2)
    url = (await bench.agent(flaky.answer)).url
    first = keeping(bench, url, tmp_path)
    first._ends.start = lambda: None  # type: ignore[method-assign]  # this process ends before its second attempt
    await failure(first, ENDED)
    await first.close()
    assert (len(files(tmp_path)), flaky.taken.is_set()) == (1, False)

    second = keeping(bench, url, tmp_path)
    second.start()
    await asyncio.wait_for(flaky.taken.wait(), 10)
    await emptied(tmp_path)
    assert len({message_id for message_id, _, _ in flaky.deliveries}) == 1


DYING = """
import asyncio, sys
from pathlib import Path
from bridge.agents.webhook import end as webhook_end
from bridge.agents.base import CallInfo, Question
from bridge.agents.webhook.agent import WebhookAgent, WebhookOptions

webhook_end.END_SECONDS, webhook_end.MARGIN_SECONDS = 1.0, 0.0
ended = Question("call.ended", CallInfo("call-1", "CA1", "+15550100001", "+15550100002"), reply=3)

async def main():
    options = WebhookOptions(ended_folder=Path(sys.argv[2]))
    async for _ in WebhookAgent(sys.argv[1], secret=sys.argv[3], options=options).ask(ended):
        pass

asyncio.run(main())
"""


async def test_an_end_survives_a_process_that_is_killed_over_it(bench: Bench, tmp_path: Path) -> None:
    asked = asyncio.Event()
    dead = asyncio.Event()
    ids: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        ids.append(request.headers["webhook-id"])
        asked.set()
        await dead.wait()
        return web.Response(status=204)

    url = (await bench.agent(handler)).url
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, url, str(tmp_path), SECRET)
    try:
        await asyncio.wait_for(asked.wait(), 30)
    finally:
        process.kill()
        await process.wait()
    assert len(files(tmp_path)) == 1
    dead.set()
    keeping(bench, url, tmp_path).start()
    await emptied(tmp_path)
    assert len(ids) == 2
    assert len(set(ids)) == 1


@pytest.mark.usefixtures("hasty")
async def test_an_agent_that_is_gone_for_good_is_not_bothered_again(bench: Bench, tmp_path: Path) -> None:
    flaky = Flaky(well_after=100, status=410)
    agent = keeping(bench, (await bench.agent(flaky.answer)).url, tmp_path)
    await failure(agent, ENDED)
    assert (len(flaky.deliveries), files(tmp_path)) == (1, [])


@pytest.mark.usefixtures("hasty")
async def test_an_answer_that_makes_no_sense_was_delivered_all_the_same(bench: Bench, tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="<p>OK</p>", content_type="text/html")

    agent = keeping(bench, (await bench.agent(handler)).url, tmp_path)
    assert (await failure(agent, ENDED)).code == "agent_answer"
    assert files(tmp_path) == []


@pytest.mark.usefixtures("hasty")
async def test_a_folder_that_cannot_be_written_does_not_keep_it_from_being_sent(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    flaky = Flaky(well_after=1)
    agent = keeping(bench, (await bench.agent(flaky.answer)).url, tmp_path / "file")
    with capture_logs() as lines:
        assert await hear(agent, ENDED) == [Note({"mood": "good"})]
    assert "agent_end_not_kept" in [line["event"] for line in lines]


async def test_closing_does_not_wait_for_the_undelivered(bench: Bench, tmp_path: Path) -> None:
    hanging = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        hanging.set()
        await asyncio.Event().wait()
        return web.Response()

    url = (await bench.agent(handler)).url
    agent = keeping(bench, url, tmp_path)
    await asyncio.to_thread(keep, EndedSpool(tmp_path, url), "msg_a", due=0)
    agent.start()
    await asyncio.wait_for(hanging.wait(), 10)
    async with asyncio.timeout(1):
        await agent.close()
    assert len(files(tmp_path)) == 1
