"""Orders that wait outlive their process: each is one node's at a time, and nobody is called twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import update

from bridge.errors import StoreError
from bridge.outbound import book as book_module
from bridge.outbound.book import OrderBook
from bridge.outbound.order import Order
from bridge.outbound.progress import OutboundCall
from bridge.simulator.party import Party
from bridge.store.sql import orders as statements
from bridge.store.sql.database import Database
from bridge.store.sql.schema import orders
from bridge.tasks import spawn
from tests.outbound.world import HUMAN, world
from tests.postgres import start_postgres

ORDER = Order(HUMAN, "+15550100002", {"customer": "4711"}, greeting="Hello.")


class Taker:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, str]] = []
        self.over: list[tuple[str, str]] = []
        self.orders: list[Order] = []

    def adopt(self, call: OutboundCall, key: str) -> None:
        self.waiting.append((call.id, key))
        self.orders.append(call.order)

    def adopt_over(self, call: OutboundCall) -> None:
        self.over.append((call.id, call.reason))


class House:
    """Some nodes with one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dead: set[str] = set()

    def book(self, node: str) -> OrderBook:
        async def there(other: str) -> bool:
            return other not in self.dead

        return OrderBook(self.database, lambda: node, there)

    async def ready(self, node: str, *ids: str) -> OrderBook:
        """A book of a node that has looked around once, with these orders."""
        book, taker = self.book(node), Taker()
        await run(book, taker, lambda: book._statements is not None)
        for call_id in ids:
            assert await book.add(OutboundCall(call_id, ORDER, 0.0), f"key of {call_id}")
        return book


async def run(book: OrderBook, taker: Taker, until: object) -> None:
    assert callable(until)
    task = spawn(book.run(taker), name="book")
    async with asyncio.timeout(10):
        while not until():  # noqa: ASYNC110  Nobody tells.
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])


@pytest_asyncio.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(book_module, "_SWEEP_S", 0.01)
    database = Database("", tmp_path)
    await database.open()
    yield House(database)
    await database.close()


async def test_an_order_of_a_dead_node_is_taken_and_only_its_taker_may_place_it(house: House) -> None:
    first = await house.ready("a", "one")
    second, taker = house.book("b"), Taker()
    house.dead.add("a")
    await run(second, taker, lambda: taker.waiting)
    assert taker.waiting == [("one", "key of one")]
    assert taker.orders == [ORDER]
    call = OutboundCall("one", ORDER, 0.0)
    assert not await first.begin(call)  # It was not dead after all.
    await first.forget(call)
    assert await second.begin(call)


async def test_orders_of_a_node_that_lives_stay_there(house: House) -> None:
    first = await house.ready("a", "one")
    second, taker = await house.ready("b"), Taker()
    await run(second, taker, lambda: True)
    await second._sweep(Counter(), taker)
    assert taker.waiting == []
    assert await first.begin(OutboundCall("one", ORDER, 0.0))


async def test_what_was_handed_on_is_taken_once(house: House) -> None:
    first = await house.ready("a", "one", "two")
    await first.hand_on()
    takers = [Taker(), Taker()]
    books = [await house.ready(node) for node in "bc"]
    for book, taker in zip(books, takers, strict=True):
        await run(book, taker, lambda: len(takers[0].waiting + takers[1].waiting) == 2)
    assert sorted(takers[0].waiting + takers[1].waiting) == [("one", "key of one"), ("two", "key of two")]


async def test_an_order_whose_outcome_is_not_known_is_told_and_not_placed_again(house: House) -> None:
    first = await house.ready("a", "one", "two")
    assert await first.begin(OutboundCall("one", ORDER, 0.0))
    again, taker = house.book("a"), Taker()  # It died while it asked, and starts again.
    await run(again, taker, lambda: taker.waiting)
    assert (taker.waiting, taker.over) == ([("two", "key of two")], [("one", "unknown")])
    assert not await again.begin(OutboundCall("one", ORDER, 0.0))


async def test_one_that_has_waited_too_long_is_told_and_not_placed(house: House) -> None:
    await house.ready("a", "one")
    async with house.database.writing() as connection:
        await connection.execute(update(orders).values(ordered_at=1))
    again, taker = house.book("a"), Taker()
    await run(again, taker, lambda: taker.over)
    assert (taker.waiting, taker.over) == ([], [("one", "too_late")])
    async with house.database.reading() as connection:
        assert await statements.nodes(connection) == set()


async def test_without_the_database_an_order_is_taken_all_the_same(tmp_path: Path) -> None:
    book = OrderBook(Database("", tmp_path), lambda: "a", lambda _: asyncio.sleep(0, None))
    assert not await book.add(OutboundCall("one", ORDER, 0.0), "")


async def test_what_waits_when_a_bridge_stops_is_placed_when_it_is_back(tmp_path: Path) -> None:
    postgres = await asyncio.to_thread(start_postgres)
    try:
        settings = {
            "BRIDGE_STORE__URL": await asyncio.to_thread(postgres.new_database),
            "BRIDGE_OUTBOUND__CONCURRENT_CALLS": "1",
            "BRIDGE_SERVER__NODE": "one",
        }
        async with world(tmp_path, **settings) as it:
            book = it.up.dialer._book
            assert book is not None
            async with asyncio.timeout(20):
                while book._statements is None:  # noqa: ASYNC110  Nobody tells.
                    await asyncio.sleep(0.02)
            it.party(Party(after_s=60))
            rings = await it.order()
            await it.until(rings, "ringing")
            waits = await it.order()
            assert (await it.show(waits))["status"] == "queued"
        assert len(it.rest.placed) == 1
        async with world(tmp_path, **settings) as it:
            it.party(Party("busy"))
            async with asyncio.timeout(20):
                while (await it.ask("GET", f"/{waits}"))[0] != 200:  # noqa: ASYNC110  As above.
                    await asyncio.sleep(0.02)
            assert (await it.over(waits))["status"] == "busy"
            assert len(it.rest.placed) == 1
            assert (await it.ask("GET", f"/{rings}"))[0] == 404  # That one was taken back.
    finally:
        await asyncio.to_thread(postgres.close)


async def test_only_the_time_limit_itself_is_an_error_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimeoutError):
        async with book_module._soon():
            raise TimeoutError
    monkeypatch.setattr(book_module, "_ASKED_WITHIN_S", 0.01)
    with pytest.raises(StoreError) as late:
        async with book_module._soon():
            await asyncio.sleep(5)
    assert late.value.code == "store_unreachable"
