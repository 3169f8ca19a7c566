"""The feed of events: for many listeners, who may come late, go, come again, and be slow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec

from bridge.live.events import News
from bridge.live.feed import Event, Feed, Listener
from bridge.tasks import spawn


def told(feed: Feed, *numbers: int, kind: str = "note", call: str = "c1") -> None:
    for number in numbers:
        feed.publish(News(kind, call, {"at_ms": number}))


def times(events: list[Event]) -> list[int]:
    return [event.data["at_ms"] for event in events]


async def some(listener: Listener, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(2):
        async for batch in listener.batches(beat_s=5):
            found += batch
            if len(found) >= count:
                break
    return found


async def test_who_listens_is_told_what_happens_from_now_on() -> None:
    feed = Feed()
    told(feed, 1)
    with feed.listen() as listener:
        told(feed, 2, 3)
        assert times(await some(listener, 2)) == [2, 3]
        asyncio.get_running_loop().call_later(0.02, told, feed, 4)
        assert times(await some(listener, 1)) == [4]


async def test_events_are_numbered_and_hold_what_they_say() -> None:
    feed = Feed()
    feed.publish(News("key", "c1", {"at_ms": 5, "digit": "é"}))
    with feed.listen(feed.last_id[:-1] + "0") as listener:
        (event,) = listener.take()
    data = json.loads(event.json)
    assert data.pop("time").endswith("+00:00")
    assert data == {"id": feed.last_id, "type": "key", "call": "c1", "at_ms": 5, "digit": "é"}


async def test_who_comes_again_goes_on_where_they_were() -> None:
    feed = Feed()
    with feed.listen() as listener:
        told(feed, 1, 2)
        last = (await some(listener, 2))[0].id
    told(feed, 3)
    with feed.listen(last) as listener:
        assert times(listener.take()) == [2, 3]


async def test_only_what_is_wanted_is_told() -> None:
    feed = Feed()
    with feed.listen(calls=["c2"], types=["key"]) as listener:
        told(feed, 1, kind="key")
        told(feed, 2, call="c2")
        told(feed, 3, kind="key", call="c2")
        assert times(listener.take()) == [3]


async def test_what_is_gone_is_told_as_a_gap_and_then_it_goes_on() -> None:
    feed = Feed(kept=3)
    told(feed, 1, 2, 3, 4, 5)
    first = feed.last_id[:-1] + "1"
    with feed.listen(first, types=["key"]) as listener:
        (gap,) = listener.take()
        assert (gap.type, gap.id) == ("gap", feed.last_id)
        told(feed, 6, kind="key")
        assert times(listener.take()) == [6]
    with feed.listen(feed.last_id[:-1] + "3") as listener:
        assert times(listener.take()) == [4, 5, 6]


async def test_ids_that_are_none_or_of_another_process_are_a_gap() -> None:
    feed = Feed()
    told(feed, 1)
    for after in ("x", "-", "0-1", feed.last_id + "7", feed.last_id[:-1] + "-1", feed.last_id[:-1] + "²"):
        with feed.listen(after) as listener:
            assert [event.type for event in listener.take()] == ["gap"], after


async def test_a_listener_that_is_too_slow_misses_events_and_is_told_so() -> None:
    feed = Feed(kept=2)
    with feed.listen() as listener:
        told(feed, 1, 2, 3)
        assert [event.type for event in listener.take()] == ["gap"]
        told(feed, 4)
        assert times(listener.take()) == [4]


async def test_long_texts_push_out_more_than_short_ones() -> None:
    feed = Feed(kept_bytes=100)
    for text in ("a" * 60, "b" * 60):
        feed.publish(News("turn.words", "c1", {"at_ms": 0, "text": text}))
    with feed.listen(feed.last_id[:-1] + "1") as listener:
        assert [event.data["text"] for event in listener.take()] == ["b" * 60]
    feed.publish(News("turn.words", "c1", {"at_ms": 0, "text": "c" * 200}))
    assert feed.oldest == 3


async def test_many_events_come_in_batches_and_none_is_lost() -> None:
    feed = Feed()
    with feed.listen() as listener:
        told(feed, *range(1000))
        assert times(await some(listener, 1000)) == list(range(1000))


async def test_silence_is_broken_by_a_beat() -> None:
    feed = Feed()
    with feed.listen() as listener:
        async with asyncio.timeout(2):
            async for batch in listener.batches(beat_s=0.01):
                assert batch == []
                break


async def test_at_the_end_each_listener_is_told_the_rest_and_let_go() -> None:
    feed = Feed()
    with feed.listen() as busy, feed.listen() as idle:
        waiting = spawn(all_of(idle), name="idle")
        await asyncio.sleep(0)
        told(feed, *range(450))
        feed.close()
        assert len(await all_of(busy)) == 450
        assert len(await waiting) == 450


async def all_of(listener: Listener) -> list[Event]:
    async with asyncio.timeout(2):
        return [event async for batch in listener.batches(beat_s=5) for event in batch]


async def test_the_fine_grain_is_wanted_while_somebody_listens_and_for_a_while_after() -> None:
    feed = Feed()
    wanted = [feed.fine]
    with feed.listen():
        wanted.append(feed.fine)
    wanted.append(feed.fine)
    assert wanted == [False, True, True]


async def test_what_notes_hold_counts_as_text_does() -> None:
    feed = Feed(kept_bytes=1100)
    for _ in range(10):
        feed.publish(News("note", "c1", {"at_ms": 1, "data": {"list": [{"text": "x" * 300}]}}))
    assert feed.next_number - feed.oldest == 3


async def test_a_note_that_json_cannot_hold_is_told_as_far_as_it_goes() -> None:
    feed = Feed()
    with feed.listen() as listener:
        feed.publish(News("note", "c1", {"data": {"half": "a\ud800", "path": Path("/x"), "one": 1}}))
        (event,) = listener.take()
    assert event.data["data"] == {"half": "a?", "path": "/x", "one": 1}
    assert msgspec.json.decode(event.json) == event.data
