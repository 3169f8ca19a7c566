"""The live calls: opened, expected, found, left and closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.call import registry as module
from bridge.call import session as session_module
from bridge.call.carrier import Carrier
from bridge.call.registry import Profile, Registry
from bridge.call.session import Observer, Session
from bridge.call.warm import STREAM_WITHIN_S
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Transfer
from bridge.conversation.policy import Policy
from bridge.errors import CarrierError
from tests.call.peers import (
    Clock,
    HangUps,
    KeptStore,
    Recognizers,
    Script,
    ScriptedAgent,
    ScriptedSocket,
    Voices,
    peers,
    profiles,
    settle,
)

SHOP = "+15550100002"


class Calls:
    """A registry, two numbers, and what stands around them."""

    def __init__(self, hang_up: HangUps | None = None) -> None:
        self.store = KeptStore()
        self.shop = Profile(Policy(), peers(ScriptedAgent()), "shop")
        self.rest = Profile(Policy(), peers(ScriptedAgent()), "rest")
        self.registry = Registry(profiles(self.rest, **{SHOP: self.shop}), self.store, hang_up)

    @property
    def recognizers(self) -> Recognizers:
        assert isinstance(self.shop.peers.recognizers, Recognizers)
        return self.shop.peers.recognizers

    @property
    def voices(self) -> Voices:
        assert isinstance(self.shop.peers.synthesizer, Voices)
        return self.shop.peers.synthesizer

    def open(self, sid: str = "CA1", called: str = SHOP, **parameters: str) -> Session:
        return self.registry.open(
            sid, caller="+15550100001", called=called, direction="inbound", parameters=parameters
        )

    def leave(self, session: Session, leave: do.LeaveCall | None = None) -> None:
        """Let the conversation end the call: by itself, or because the caller has gone."""
        script = session._conversation
        assert isinstance(script, Script)
        commands: list[do.Command] = [] if leave is None else [leave]
        script.answer(on.DigitPressed, *commands, do.Close())
        session.take(on.DigitPressed("1"))


@pytest.fixture(autouse=True)
async def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(_: Policy) -> Script:
        script = Script()
        script.answer(on.StreamStopped, do.Close())
        return script

    monkeypatch.setattr(session_module, "Conversation", scripted)


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def calls() -> Calls:
    return Calls()


GONE = do.LeaveCall("agent")


class TestOpening:
    async def test_a_call_is_opened_as_its_number_says_and_recorded(self, calls: Calls) -> None:
        with capture_logs() as logs:
            session = calls.open(note="a")
        info = session.info
        assert (info.sid, info.caller, info.called, info.direction) == ("CA1", "+15550100001", SHOP, "inbound")
        assert info.parameters == {"note": "a"}
        assert info.started_at.endswith("+00:00")
        header = calls.store.records[0].header
        assert header is not None
        assert (header.id, header.sid, header.caller, header.called) == (info.id, "CA1", info.caller, SHOP)
        assert (header.direction, header.started_at, header.agent_kind) == ("inbound", info.started_at, "shop")
        assert calls.registry.live == {"CA1": session}
        assert (len(calls.recognizers.opened), calls.recognizers.opened[0].name) == (1, info.id)
        assert [(line["event"], line["agent"], line["warm"]) for line in logs] == [("call_started", "shop", False)]

    async def test_another_number_is_held_otherwise(self, calls: Calls) -> None:
        calls.open(called="+15550100009")
        header = calls.store.records[0].header
        assert header is not None
        assert header.agent_kind == "rest"
        assert calls.recognizers.opened == []

    async def test_each_call_is_observed(self, calls: Calls) -> None:
        seen: list[Any] = []

        def observer(info: Any) -> Observer:
            return lambda now, event, commands: seen.append((info.sid, event))

        calls.registry.observers.append(observer)
        calls.open("CA1").take(on.DigitPressed("1"))
        calls.open("CA2").take(on.DigitPressed("2"))
        assert seen == [("CA1", on.DigitPressed("1")), ("CA2", on.DigitPressed("2"))]

    async def test_a_call_that_is_over_is_forgotten(self, calls: Calls) -> None:
        session = calls.open()
        calls.leave(session)
        assert calls.registry.live == {"CA1": session}
        await settle()
        assert calls.registry.live == {}
        assert calls.registry.departure("CA1") is None
        assert not calls.registry._asked
        assert not calls.registry._endings


class TestExpecting:
    async def test_the_call_gets_what_waited_for_it(self, calls: Calls) -> None:
        calls.registry.expect("CA1", called=SHOP)
        assert (calls.voices.warmed, calls.registry.expected) == (1, 1)
        (recognizer,) = calls.recognizers.opened
        recognizer.emit(on.RecognizerFailed("speech_auth", "no", final=True))
        with capture_logs() as logs:
            session = calls.open()
        assert logs[0]["warm"] is True
        assert (len(calls.recognizers.opened), calls.registry.expected) == (1, 0)
        assert session.info.id == recognizer.name
        session.attach(Carrier(ScriptedSocket(), "MZ1"))
        script = session._conversation
        assert isinstance(script, Script)
        assert script.events == [on.StreamStarted(), on.RecognizerFailed("speech_auth", "no", final=True)]

    async def test_asked_twice_it_gets_one(self, calls: Calls) -> None:
        calls.registry.expect("CA1", called=SHOP)
        calls.registry.expect("CA1", called=SHOP)
        assert len(calls.recognizers.opened) == 1

    async def test_a_live_call_gets_none(self, calls: Calls) -> None:
        calls.open()
        calls.registry.expect("CA1", called=SHOP)
        assert (len(calls.recognizers.opened), calls.voices.warmed) == (1, 0)

    async def test_a_call_that_does_not_come_is_given_up(self, calls: Calls, clock: Clock) -> None:
        calls.registry.expect("CA1", called=SHOP)
        with capture_logs() as logs:
            await clock.forward(STREAM_WITHIN_S + 1)
        assert calls.recognizers.opened[0].told == ["abort"]
        assert [(line["event"], line["sid"]) for line in logs] == [("call_did_not_come", "CA1")]

    @pytest.mark.parametrize("tell", ["carrier_ended", "stream_failed"])
    async def test_it_is_given_up_when_the_carrier_says_so(self, calls: Calls, tell: str) -> None:
        calls.registry.expect("CA1", called=SHOP)
        calls.registry.expect("CA2", called=SHOP)
        getattr(calls.registry, tell)("CA1")
        await settle()
        assert [one.told for one in calls.recognizers.opened] == [["abort"], []]
        await calls.registry.close(within_s=5)

    async def test_draining_gives_all_up_and_expects_nobody(self, calls: Calls) -> None:
        calls.registry.expect("CA1", called=SHOP)
        calls.registry.draining = True
        assert calls.registry.expected == 0
        calls.registry.expect("CA2", called=SHOP)
        await settle()
        assert [one.told for one in calls.recognizers.opened] == [["abort"]]
        assert calls.voices.warmed == 1

    async def test_not_draining_any_more_gives_nobody_up(self, calls: Calls) -> None:
        calls.registry.expect("CA1", called=SHOP)
        calls.registry.draining = False
        assert (calls.registry.expected, calls.registry.draining) == (1, False)
        await calls.registry.close(within_s=5)


class TestLeaving:
    async def test_the_carrier_is_told_how_we_left_a_live_call(self, calls: Calls) -> None:
        session = calls.open()
        assert calls.registry.departure("CA1") is None
        script = session._conversation
        assert isinstance(script, Script)
        script.answer(on.DigitPressed, GONE)
        session.take(on.DigitPressed("1"))
        assert calls.registry.departure("CA1") is GONE
        assert calls.registry.departure("CA2") is None

    async def test_and_how_we_left_one_that_is_over(self, calls: Calls) -> None:
        calls.leave(calls.open(), GONE)
        await settle()
        assert calls.registry.live == {}
        assert calls.registry.departure("CA1") is GONE

    async def test_the_oldest_departures_are_forgotten(self, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_REMEMBERED", 2)
        for number in range(4):
            calls.leave(calls.open(f"CA{number}"), GONE)
            await settle()
        assert [calls.registry.departure(f"CA{number}") for number in range(4)] == [None, None, GONE, GONE]

    async def test_a_call_opened_anew_is_not_left(self, calls: Calls) -> None:
        calls.leave(calls.open(), GONE)
        await settle()
        calls.leave(calls.open())
        await settle()
        assert calls.registry.departure("CA1") is None

    async def test_a_call_that_the_carrier_forgets_is_ended_by_request(self, clock: Clock) -> None:
        hang_ups = HangUps()
        calls = Calls(hang_ups)
        calls.leave(calls.open(), GONE)
        await clock.forward(4)
        assert hang_ups.asked == []
        with capture_logs() as logs:
            await clock.forward(2)
        assert hang_ups.asked == ["CA1"]
        assert logs == [{"event": "call_hung_up_by_request", "log_level": "info", "sid": "CA1"}]
        assert not calls.registry._asked

    @pytest.mark.parametrize("over", [False, True])
    async def test_one_of_which_it_asked_is_left_to_it(self, clock: Clock, over: bool) -> None:
        hang_ups = HangUps()
        calls = Calls(hang_ups)
        session = calls.open()
        if over:
            calls.leave(session, GONE)
            await settle()
            calls.registry.departure("CA1")
        else:
            script = session._conversation
            assert isinstance(script, Script)
            script.answer(on.DigitPressed, GONE)
            session.take(on.DigitPressed("1"))
            calls.registry.departure("CA1")
            calls.leave(session)
        await settle()
        assert not calls.registry._endings, "nothing is waited for"
        await clock.forward(10)
        assert hang_ups.asked == []

    async def test_asking_before_we_left_does_not_count(self, clock: Clock) -> None:
        hang_ups = HangUps()
        calls = Calls(hang_ups)
        session = calls.open()
        assert calls.registry.departure("CA1") is None, "the stream broke, and is taken up again"
        calls.leave(session, GONE)
        await clock.forward(6)
        assert hang_ups.asked == ["CA1"]

    async def test_one_that_left_by_itself_is_not_asked_for(self, clock: Clock) -> None:
        hang_ups = HangUps()
        calls = Calls(hang_ups)
        calls.leave(calls.open())
        await clock.forward(10)
        assert hang_ups.asked == []

    async def test_one_that_the_carrier_brings_back_is_not_ended(self, clock: Clock) -> None:
        hang_ups = HangUps()
        calls = Calls(hang_ups)
        calls.leave(calls.open(), GONE)
        await settle()
        calls.open()
        await clock.forward(10)
        assert hang_ups.asked == []
        assert [*calls.registry._asked] == ["CA1"], "the new call's own"

    async def test_a_request_that_is_refused_is_a_line_in_the_log(self, clock: Clock) -> None:
        hang_ups = HangUps(CarrierError("no such call", code="carrier_request"))
        calls = Calls(hang_ups)
        calls.leave(calls.open(), GONE)
        with capture_logs() as logs:
            await clock.forward(6)
        (line,) = [line for line in logs if line["event"] == "call_not_hung_up"]
        assert (line["sid"], line["code"], line["error"]) == ("CA1", "carrier_request", "no such call")

    @pytest.mark.parametrize("asks", [False, True])
    async def test_a_transfer_that_the_carrier_does_not_ask_about_has_failed(
        self, clock: Clock, asks: bool
    ) -> None:
        calls = Calls(HangUps())
        session = calls.open()
        script = session._conversation
        assert isinstance(script, Script)
        calls.registry.departure("CA1")  # Asked before, about a stream that broke.
        script.answer(on.DigitPressed, do.LeaveCall("transfer", Transfer("+15550100009")))
        session.take(on.DigitPressed("1"))
        if asks:
            calls.registry.departure("CA1")
        await clock.forward(6)
        assert script.events == [on.DigitPressed("1")] + [on.TransferEnded("failed")] * (not asks)

    async def test_the_carriers_end_is_the_callers(self, calls: Calls) -> None:
        session, other = calls.open(), calls.open("CA2")
        calls.registry.carrier_ended("CA1")
        calls.registry.carrier_ended("CA3")
        calls.registry.stream_failed("CA2")
        await settle()
        script = session._conversation
        assert isinstance(script, Script)
        assert script.events == [on.StreamStopped("caller")]
        assert calls.registry.live == {"CA2": other}


class TestClosing:
    async def test_all_calls_are_stopped_and_waited_for(self, calls: Calls) -> None:
        sessions = [calls.open(f"CA{number}") for number in range(3)]
        calls.registry.expect("CA9", called=SHOP)
        await calls.registry.close(within_s=5)
        assert calls.registry.draining
        for session in sessions:
            script = session._conversation
            assert isinstance(script, Script)
            assert script.events == [on.StreamStopped("shutdown")]
            assert session.ended.is_set()
        assert [record.closed for record in calls.store.records] == [1, 1, 1]
        assert calls.recognizers.opened[3].told == ["abort"]

    async def test_without_calls_it_is_done_at_once(self, calls: Calls) -> None:
        await calls.registry.close(within_s=5)

    async def test_a_call_that_was_just_left_is_ended_at_the_carrier_first(self, clock: Clock) -> None:
        hang_ups = HangUps()
        calls = Calls(hang_ups)
        calls.leave(calls.open(), GONE)
        await settle()
        closing = asyncio.ensure_future(calls.registry.close(within_s=15))  # noqa: TID251  The test's own task.
        await settle()
        assert not closing.done()
        await clock.forward(6)
        assert hang_ups.asked == ["CA1"]
        assert closing.done()
        await closing

    async def test_what_waited_for_a_call_is_let_go_first(self, calls: Calls) -> None:
        calls.registry.expect("CA1", called=SHOP)
        calls.recognizers.opened[0].hold = hold = asyncio.Event()
        closing = asyncio.ensure_future(calls.registry.close(within_s=5))  # noqa: TID251  As above.
        await settle()
        assert not closing.done()
        hold.set()
        await closing
        assert calls.recognizers.opened[0].told == ["abort"]

    async def test_one_that_takes_too_long_is_cut_short(self, clock: Clock) -> None:
        calls = Calls()
        calls.open()
        calls.store.records[0].hold = asyncio.Event()
        closing = asyncio.ensure_future(calls.registry.close(within_s=5))  # noqa: TID251  As above.
        with capture_logs() as logs:
            await clock.forward(6)
            await closing
        assert "call_end_cut_short" in [line["event"] for line in logs]
        await settle()
        assert not calls.registry._endings
        calls.store.records[0].hold.set()
        await settle()
