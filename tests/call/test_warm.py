"""Speech to text that waits for its call."""

from __future__ import annotations

import asyncio

import pytest

from bridge.call import warm as module
from bridge.call.warm import STREAM_WITHIN_S, WarmRecognizer, WarmRecognizers
from bridge.conversation import events as on
from tests.call.peers import Clock, Recognizers, settle


@pytest.fixture
async def factory() -> Recognizers:
    return Recognizers()


@pytest.fixture
async def clock() -> Clock:
    return Clock()


class TestOne:
    async def test_its_events_are_kept_until_it_is_adopted_and_then_come_at_once(
        self, factory: Recognizers
    ) -> None:
        warm = WarmRecognizer(factory)
        (recognizer,) = factory.opened
        recognizer.emit(on.RecognizerConnected("r1"))
        recognizer.emit(on.RecognizerFailed("speech_auth", "no", final=True))
        came: list[on.Event] = []
        warm.adopt(came.append)
        assert came == [on.RecognizerConnected("r1"), on.RecognizerFailed("speech_auth", "no", final=True)]
        recognizer.emit(on.TurnStarted())
        assert came[2:] == [on.TurnStarted()]
        warm.adopt(came.append)
        assert len(came) == 3

    async def test_what_is_let_go_tells_nobody_anything(self, factory: Recognizers) -> None:
        warm = WarmRecognizer(factory)
        came: list[on.Event] = []
        warm.adopt(came.append)
        warm.let_go()
        factory.opened[0].emit(on.RecognizerClosed())
        assert came == []

    async def test_an_event_that_comes_during_the_replay_is_the_last(self, factory: Recognizers) -> None:
        warm = WarmRecognizer(factory)
        (recognizer,) = factory.opened
        recognizer.emit(on.RecognizerConnected("r1"))
        recognizer.emit(on.TurnStarted())
        came: list[on.Event] = []

        def take(event: on.Event) -> None:
            came.append(event)
            if isinstance(event, on.RecognizerConnected):
                recognizer.emit(on.TurnEnded(""))

        warm.adopt(take)
        assert came == [on.RecognizerConnected("r1"), on.TurnStarted(), on.TurnEnded("")]

    async def test_it_does_not_keep_events_without_end(self, factory: Recognizers) -> None:
        warm = WarmRecognizer(factory)
        for number in range(1000):
            factory.opened[0].emit(on.TurnUpdated(str(number)))
        came: list[on.Event] = []
        warm.adopt(came.append)
        assert len(came) == 100
        assert came[-1] == on.TurnUpdated("999")

    async def test_it_has_the_calls_name(self, factory: Recognizers) -> None:
        first, second = WarmRecognizer(factory), WarmRecognizer(factory)
        third = WarmRecognizer(factory, "c3")
        assert first.call_id != second.call_id
        assert third.call_id == "c3"
        assert [one.name for one in factory.opened] == [first.call_id, second.call_id, "c3"]


class TestAll:
    async def test_a_call_is_expected_once_and_claimed_once(self, factory: Recognizers, clock: Clock) -> None:
        waiting = WarmRecognizers()
        waiting.expect("CA1", factory)
        waiting.expect("CA1", factory)
        assert (len(factory.opened), len(waiting)) == (1, 1)
        claimed = waiting.claim("CA1", factory)
        assert claimed is not None
        assert claimed.recognizer is factory.opened[0]
        assert waiting.claim("CA1", factory) is None
        assert len(waiting) == 0
        await clock.forward(STREAM_WITHIN_S + 1)
        assert factory.opened[0].told == []

    async def test_one_that_is_not_claimed_in_time_is_given_up(self, factory: Recognizers, clock: Clock) -> None:
        waiting = WarmRecognizers()
        waiting.expect("CA1", factory)
        await clock.forward(STREAM_WITHIN_S - 2)
        assert factory.opened[0].told == []
        await clock.forward(3)
        assert factory.opened[0].told == ["abort"]
        assert len(waiting) == 0
        assert waiting.claim("CA1", factory) is None
        waiting.give_up("CA1")
        await settle()
        assert factory.opened[0].told == ["abort"]

    async def test_a_call_expected_anew_has_the_whole_time_again(self, factory: Recognizers, clock: Clock) -> None:
        waiting = WarmRecognizers()
        waiting.expect("CA1", factory)
        await clock.forward(STREAM_WITHIN_S - 2)
        waiting.give_up("CA1")
        waiting.expect("CA1", factory)
        await clock.forward(3)
        assert [one.told for one in factory.opened] == [["abort"], []]
        await waiting.close()

    async def test_one_that_was_claimed_leaves_nothing_behind_that_gives_up_the_next(
        self, factory: Recognizers, clock: Clock
    ) -> None:
        waiting = WarmRecognizers()
        waiting.expect("CA1", factory)
        waiting.claim("CA1", factory)
        await clock.forward(STREAM_WITHIN_S - 2)
        waiting.expect("CA1", factory)
        await clock.forward(3)
        assert len(waiting) == 1
        await waiting.close()

    async def test_one_of_another_service_is_of_no_use(self, factory: Recognizers) -> None:
        waiting = WarmRecognizers()
        waiting.expect("CA1", factory)
        assert waiting.claim("CA1", Recognizers()) is None
        await settle()
        assert factory.opened[0].told == ["abort"]
        assert len(waiting) == 0

    async def test_there_are_not_too_many(self, factory: Recognizers, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "AT_MOST", 2)
        waiting = WarmRecognizers()
        for number in range(5):
            waiting.expect(f"CA{number}", factory)
        assert (len(waiting), len(factory.opened)) == (2, 2)
        assert waiting.claim("CA4", factory) is None
        await waiting.close()

    async def test_closing_lets_all_go_even_one_that_fails_at_it(self, factory: Recognizers) -> None:
        waiting = WarmRecognizers()
        waiting.expect("CA1", factory)
        waiting.expect("CA2", factory)
        factory.opened[0].abort_fails = True
        await waiting.close()
        assert [one.told for one in factory.opened] == [["abort"], ["abort"]]
        assert len(waiting) == 0
        await waiting.close()

    async def test_closing_waits_until_they_are_let_go(self, factory: Recognizers) -> None:
        waiting = WarmRecognizers()
        waiting.expect("CA1", factory)
        factory.opened[0].hold = asyncio.Event()
        waiting.give_up("CA1")
        closing = asyncio.ensure_future(waiting.close())  # noqa: TID251  The test's own task.
        await settle()
        assert not closing.done()
        factory.opened[0].hold.set()
        await closing
