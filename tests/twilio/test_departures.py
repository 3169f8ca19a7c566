"""What comes next when a stream or a dialled talk is over: asked over real sockets, with scripted conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import pytest
from structlog.testing import capture_logs

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Transfer
from bridge.twilio.once import AnsweredOnce
from tests.call.house import FACTS, FORM, House, Stream, house_up, script_conversations
from tests.call.peers import settle


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """The routes with scripted conversations."""
    script_conversations(monkeypatch)
    async with house_up() as house:
        yield house


def texts(document: ET.Element) -> list[tuple[str, str]]:
    return [(verb.tag, "".join(verb.itertext())) for verb in document]


class TestStreamEnded:
    async def ended(self, house: House, status: str = "in-progress") -> ET.Element:
        return await house.ask("/twilio/stream-ended?leg=1", {**FORM, "CallStatus": status})

    def leave(self, house: House, leave: do.LeaveCall) -> None:
        house.script.answer(on.DigitPressed, leave)
        house.session.take(on.DigitPressed("1"))

    async def test_a_call_that_nobody_knows_is_hung_up_and_not_waited_for(self, house: House) -> None:
        await house.ask("/twilio/voice", FORM)
        assert texts(await self.ended(house)) == [("Hangup", "")]
        await settle()
        assert house.recognizers.opened[0].told == ["abort"]

    async def test_a_transfer_is_announced_and_dialled_with_the_number_that_was_called(self, house: House) -> None:
        await house.stream()
        self.leave(house, do.LeaveCall("agent_failed", Transfer("+15550100300"), farewell="I will connect you."))
        document = await self.ended(house)
        assert texts(document) == [("Say", "I will connect you."), ("Dial", "+15550100300")]
        assert document[1].attrib == {
            "callerId": FACTS["to"],
            "timeout": "30",
            "action": house.origin + "/twilio/dial-ended?leg=1#rc=5&rp=ct,rt,5xx",
        }

    async def test_a_transfer_without_a_word(self, house: House) -> None:
        await house.stream()
        self.leave(house, do.LeaveCall("transfer", Transfer("sip:desk@example.com")))
        assert texts(await self.ended(house)) == [("Dial", "sip:desk@example.com")]

    async def test_a_transfer_may_have_its_own_number_time_and_extension(self, house: House) -> None:
        await house.stream()
        wanted = Transfer("+15550100300", timeout_s=12.4, caller_id="+15550100999", digits="ww12#")
        self.leave(house, do.LeaveCall("transfer", wanted))
        (dial,) = await self.ended(house)
        assert (dial.attrib["callerId"], dial.attrib["timeout"]) == ("+15550100999", "12")
        assert dial[0].attrib == {"sendDigits": "ww12#"}

    async def test_a_transfer_to_nowhere_has_failed_and_the_caller_comes_back(self, house: House) -> None:
        await house.stream()
        self.leave(house, do.LeaveCall("transfer", Transfer("the desk")))
        with capture_logs() as logs:
            (connect,) = await self.ended(house)
        assert connect.attrib["action"].endswith("/twilio/stream-ended?leg=1#rc=5&rp=ct,rt,5xx")
        assert house.script.events[-1] == on.TransferEnded("failed")
        assert [(line["event"], line["sid"]) for line in logs] == [("transfer_refused", "CA1")]

    async def test_keys_of_the_carrier_come_before_the_stream_that_goes_on(self, house: House) -> None:
        await house.stream()
        self.leave(house, do.LeaveCall("digits", digits="12w#"))
        play, connect = await self.ended(house)
        assert (play.tag, play.attrib) == ("Play", {"digits": "12w#"})
        assert connect.tag == "Connect"

    async def test_who_has_accepted_is_joined_in_a_conference(self, house: House) -> None:
        await house.stream()
        self.leave(house, do.LeaveCall("transfer", Transfer("+15550100300", "A caller."), "room-1"))
        joined: list[str] = []
        house.routes.departures.joined = joined.append
        (dial,) = await self.ended(house)
        assert joined == ["room-1"]
        assert dial.attrib == {"action": house.origin + "/twilio/dial-ended?leg=1#rc=5&rp=ct,rt,5xx"}
        assert (dial[0].tag, dial[0].text, dial[0].attrib["endConferenceOnExit"]) == (
            "Conference",
            "room-1",
            "true",
        )

    async def test_a_farewell_is_said_by_twilio(self, house: House) -> None:
        await house.stream()
        self.leave(house, do.LeaveCall("speech_failed", farewell="Good-bye."))
        assert texts(await self.ended(house)) == [("Say", "Good-bye."), ("Hangup", "")]

    async def test_a_broken_stream_is_taken_up_again_with_a_ticket_of_its_own(self, house: House) -> None:
        stream = await house.stream()
        session = house.session
        await stream.socket.close()
        with capture_logs() as logs:
            document = await self.ended(house)
        assert [(line["event"], line["call"]) for line in logs] == [("stream_resuming", session.info.id)]
        token = document[0][0][0].attrib["value"]
        again = Stream(await house.connect())
        await again.start(token)
        await again.taken()
        assert house.session is session
        assert house.script.events == [on.StreamStarted(), on.StreamLost(), on.StreamStarted()]
        assert (len(house.recognizers.opened), house.registry.expected) == (1, 0)
        with pytest.raises(Exception, match="used before"):
            house.tokens.redeem(token, "CA1")

    async def test_the_ticket_carries_the_calls_facts(self, house: House) -> None:
        await house.stream()
        document = await house.ask("/twilio/stream-ended", {"CallSid": "CA1"})
        facts = house.tokens.redeem(document[0][0][0].attrib["value"], "CA1")
        assert facts.pop("leg").isdecimal()
        assert facts == FACTS

    @pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
    async def test_a_call_that_is_over_is_stopped(self, house: House, status: str) -> None:
        await house.stream()
        script = house.script
        assert texts(await self.ended(house, status)) == [("Hangup", "")]
        assert script.events == [on.StreamStarted(), on.StreamStopped("caller")]

    async def test_a_call_that_is_being_closed_is_hung_up(self, house: House) -> None:
        await house.stream()
        house.script.expects_stream = False
        assert texts(await self.ended(house)) == [("Hangup", "")]
        assert house.script.events == [on.StreamStarted()]


class TestDialEnded:
    async def away(self, house: House) -> Stream:
        """Leave the call for a transfer; the carrier has asked and dials."""
        stream = await house.stream()
        house.script.answer(on.DigitPressed, do.LeaveCall("transfer", Transfer("+15550100300")))
        house.session.take(on.DigitPressed("1"))
        await house.ask("/twilio/stream-ended?leg=1", FORM)
        return stream

    async def ended(self, house: House, status: str, leg: str = "1", **more: str) -> ET.Element:
        form = {**FORM, "CallStatus": "in-progress", "DialCallStatus": status, **more}
        return await house.ask(f"/twilio/dial-ended?leg={leg}", form)

    async def test_who_was_not_reached_the_caller_comes_back_from(self, house: House) -> None:
        await self.away(house)
        (connect,) = await self.ended(house, "busy")
        assert connect.tag == "Connect"
        assert house.script.events[-1] == on.TransferEnded("busy")
        facts = house.tokens.redeem(connect[0][0].attrib["value"], "CA1")
        assert facts.pop("leg").isdecimal()
        assert facts == FACTS

    async def test_two_who_have_talked_are_done(self, house: House) -> None:
        await self.away(house)
        house.script.expects_stream = False
        assert texts(await self.ended(house, "completed", DialCallDuration="42")) == [("Hangup", "")]
        assert house.script.events[-1] == on.TransferEnded("completed", 42)

    async def test_a_last_resort_that_failed_ends_with_a_farewell(self, house: House) -> None:
        await self.away(house)
        house.script.answer(on.TransferEnded, do.LeaveCall("agent_failed", farewell="Good-bye."))
        house.script.expects_stream = False
        assert texts(await self.ended(house, "busy")) == [("Say", "Good-bye."), ("Hangup", "")]

    async def test_a_caller_who_has_hung_up_meanwhile_is_gone(self, house: House) -> None:
        await self.away(house)
        script = house.script
        await self.ended(house, "canceled", CallStatus="completed")
        assert script.events[-2:] == [on.TransferEnded("canceled"), on.StreamStopped("caller")]

    @pytest.mark.parametrize("duration", ["", "soon", "-3", "9" * 5000])
    async def test_what_the_carrier_does_not_tell_is_failed_and_took_no_time(
        self, house: House, duration: str
    ) -> None:
        await self.away(house)
        await self.ended(house, "", DialCallDuration=duration)
        assert house.script.events[-1] == on.TransferEnded("failed", 0)

    async def test_a_call_that_nobody_knows_is_hung_up(self, house: House) -> None:
        assert texts(await self.ended(house, "busy")) == [("Hangup", "")]

    async def test_it_must_be_signed(self, house: House) -> None:
        await self.away(house)
        assert (await house.post("/twilio/dial-ended?leg=1", FORM, ""))[0] == 403
        assert not [event for event in house.script.events if isinstance(event, on.TransferEnded)]

    @pytest.mark.parametrize("path", ["/twilio/stream-ended?leg=1", "/twilio/dial-ended?leg=1"])
    async def test_asked_twice_the_answer_is_the_same_and_nothing_happens_twice(
        self, house: House, path: str
    ) -> None:
        await house.ask("/twilio/voice", FORM)
        await self.away(house)
        form = {**FORM, "DialCallStatus": "busy"}
        first = await house.post(path, form)
        seen = len(house.script.events)
        assert await house.post(path, form) == first
        assert len(house.script.events) == seen

    async def test_a_late_question_about_a_leg_that_is_over_does_not_dial_again(self, house: House) -> None:
        await house.ask("/twilio/voice", FORM)
        await self.away(house)
        dialled = await house.post("/twilio/stream-ended?leg=1", FORM)
        (connect,) = await self.ended(house, "busy")
        again = Stream(await house.connect())
        await again.start(connect[0][0].attrib["value"])
        await again.taken()
        events = [*house.script.events]
        assert await house.post("/twilio/stream-ended?leg=1", FORM) == dialled
        assert house.script.events == events
        assert house.session.attached

    async def test_one_about_a_dialling_before_the_return_says_nothing_about_what_came_after(
        self, house: House
    ) -> None:
        await self.away(house)
        (connect,) = await self.ended(house, "busy")
        again = Stream(await house.connect())
        await again.start(connect[0][0].attrib["value"])
        await again.taken()
        events = [*house.script.events]
        (connect,) = await self.ended(house, "failed", leg="7")
        assert connect.tag == "Connect"
        assert house.script.events == events

    async def test_a_new_stream_may_come_before_the_old_ones_end_is_seen(self, house: House) -> None:
        old = await self.away(house)
        (connect,) = await self.ended(house, "busy")
        again = Stream(await house.connect())
        await again.start(connect[0][0].attrib["value"])
        await again.taken()
        await old.closed()
        await settle()
        assert house.script.events[-1] == on.StreamStarted()
        assert house.session.attached

    async def test_a_call_that_is_over_is_told_so_before_the_dialling_that_ends_it(self, house: House) -> None:
        await self.away(house)
        script = house.script
        house.registry.carrier_ended("CA1")
        assert texts(await self.ended(house, "canceled", CallStatus="completed")) == [("Hangup", "")]
        assert script.events[-1] == on.StreamStopped("caller")

    async def test_nobody_in_the_conference_brings_the_caller_back(self, house: House) -> None:
        stream = await house.stream()
        left = do.LeaveCall("transfer", Transfer("+15550100300", "A caller."), "room-1")
        house.script.answer(on.DigitPressed, left)
        house.session.take(on.DigitPressed("1"))
        departures = house.routes.departures
        assert departures.bring_back("CA1", "room-1") is None  # The caller is still here.
        await stream.closed()
        await settle()
        assert departures.bring_back("CA1", "another") is None
        assert "<Connect" in (departures.bring_back("CA1", "room-1") or "")
        assert house.script.events[-1] == on.TransferEnded("canceled")
        assert departures.bring_back("CA2", "room-1") is None


def test_the_oldest_calls_answers_are_forgotten() -> None:
    once = AnsweredOnce(remembered=2)
    assert [once.next_leg(sid) for sid in ("CA1", "CA1", "CA2")] == ["1", "2", "1"]
    once.keep("CA1", "stream", "1", "a")
    assert (once.given("CA1", "stream", "1"), once.given("CA1", "stream", "2")) == ("a", None)
    assert once.given("CA1", "dial", "1") is None
    once.next_leg("CA3")
    assert once.given("CA1", "stream", "1") is None
    assert once.next_leg("CA1") == "1"


def test_a_question_without_a_number_is_always_new() -> None:
    once = AnsweredOnce()
    once.next_leg("CA1")
    assert once.keep("CA1", "stream", "", "a") == "a"
    assert once.given("CA1", "stream", "") is None


def test_of_one_call_only_the_last_answers_are_kept() -> None:
    once = AnsweredOnce()
    once.next_leg("CA1")
    for number in range(1000):
        once.keep("CA1", "stream", f"x{number}", "answer")
    kept = [number for number in range(1000) if once.given("CA1", "stream", f"x{number}") is not None]
    assert kept == list(range(900, 1000))


def test_legs_go_on_behind_those_that_another_process_has_numbered() -> None:
    once = AnsweredOnce()
    once.count_from("CA1", "3")
    assert once.next_leg("CA1") == "4"
    once.count_from("CA1", "2")
    once.count_from("CA1", "x")
    assert once.next_leg("CA1") == "5"
