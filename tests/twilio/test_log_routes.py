"""Calls between two people, over real sockets: how they are connected, listened to, and how that ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.call.answering import Answering, Closed
from bridge.call.log_session import LogSession
from bridge.call.registry import Profile
from bridge.conversation import events as on
from bridge.conversation.journal import CallClosed, PartySpoke, TransferTried
from bridge.conversation.policy import Policy
from bridge.twilio.media_stream import CarrierStream
from tests.call.house import FORM, House, Stream, house_up
from tests.call.peers import KeptRecord, profiles
from tests.waiting import until

OTHER = "+15550100009"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with house_up() as house:
        listens(house)
        yield house
        house.registry.logs.stop_all("shutdown")
        for recognizer in house.recognizers.opened:
            recognizer.emit(on.RecognizerClosed())  # The bridge need not wait for their last words.


def listens(house: House, **answering: Any) -> None:
    """Let the number that is called connect two people."""
    how = Answering(**{"mode": "log", "forward_to": OTHER, **answering})
    house.registry._profile_of = profiles(Profile(Policy(), house.peers, "scripted", how))


def media(wire: CarrierStream, track: str, chunk: int, timestamp_ms: int, audio: bytes) -> str:
    message = json.loads(wire.media(audio, timestamp_ms))
    message["media"]["track"] = track
    message["media"]["chunk"] = str(chunk)
    return json.dumps(message)


async def overheard(house: House, **answering: Any) -> Stream:
    """Let a call come in, and open the stream that its document wants."""
    if answering:
        listens(house, **answering)
    document = await house.ask("/twilio/voice", FORM)
    stream = Stream(await house.connect())
    message = json.loads(stream.wire.start({"token": document.findall(".//Parameter")[0].attrib["value"]}))
    message["start"]["tracks"] = ["inbound", "outbound"]
    await stream.send(stream.wire.connected(), json.dumps(message))
    await stream.taken()
    return stream


def session(house: House) -> LogSession:
    return house.registry.logs.live["CA1"]


class TestDocument:
    async def test_a_stream_listens_to_both_sides_and_then_the_other_side_is_dialled(self, house: House) -> None:
        listens(house, ring_s=20, longest_s=600, announcement="This call is recorded & <kept>.", language="de")
        say, start, dial = await house.ask("/twilio/voice", FORM)
        assert (say.tag, say.text, say.attrib) == (
            "Say",
            "This call is recorded & <kept>.",
            {"language": "de-DE"},
        )
        (stream,) = start
        assert (start.tag, stream.tag) == ("Start", "Stream")
        assert stream.attrib == {
            "url": "ws" + house.origin.removeprefix("http") + "/twilio/media",
            "name": "listener",
            "track": "both_tracks",
            "statusCallback": house.origin + "/twilio/status",
            "statusCallbackMethod": "POST",
        }
        assert (dial.tag, dial.attrib) == (
            "Dial",
            {
                "action": house.origin + "/twilio/log-dial-ended",
                "method": "POST",
                "timeout": "20",
                "timeLimit": "600",
            },
        )
        assert [(one.tag, one.text) for one in dial] == [("Number", OTHER)]
        facts = house.tokens.redeem(stream[0].attrib["value"], "CA1")
        assert facts == {
            "mode": "log",
            "from": FORM["From"],
            "to": FORM["To"],
            "direction": "inbound",
            "other": OTHER,
        }
        assert house.recognizers.opened == []

    @pytest.mark.parametrize(
        ("to", "tag", "text"),
        [
            ("sip:ann@pbx.example.com", "Sip", "sip:ann@pbx.example.com"),
            ("client:ann", "Client", "ann"),
            ("conference:Monday stand-up", "Conference", "Monday stand-up"),
        ],
    )
    async def test_whom_callers_can_be_connected_with(self, house: House, to: str, tag: str, text: str) -> None:
        listens(house, forward_to=to)
        document = await house.ask("/twilio/voice", FORM)
        assert [(one.tag, one.text) for one in document[1]] == [(tag, text)]

    async def test_a_caller_without_a_number_is_shown_as_the_dialled_one(self, house: House) -> None:
        document = await house.ask("/twilio/voice", {**FORM, "From": "client:tom"})
        assert document[1].attrib["callerId"] == FORM["To"]
        listens(house, caller_id="+15550100077")
        assert (await house.ask("/twilio/voice", FORM))[1].attrib["callerId"] == "+15550100077"

    async def test_nobody_can_be_connected_with_nonsense(self, house: House) -> None:
        listens(house, forward_to="the boss")
        with capture_logs() as logs:
            say, hang_up = await house.ask("/twilio/voice", FORM)
        assert (say.tag, hang_up.tag) == ("Say", "Hangup")
        assert "the boss" in next(line["error"] for line in logs if line["event"] == "call_not_connected")

    async def test_agents_calls_can_be_announced_as_well(self, house: House) -> None:
        listens(house, mode="agent", announcement="Calls are recorded.")
        say, connect = await house.ask("/twilio/voice", FORM)
        assert (say.text, say.attrib, connect.tag) == ("Calls are recorded.", {"language": "en-US"}, "Connect")

    @pytest.mark.parametrize("mode", ["agent", "log"])
    async def test_that_a_call_is_recorded_is_said_behind_the_announcement(self, house: House, mode: str) -> None:
        listens(house, mode=mode, announcement="Hello.", recording_announcement="This call is recorded.")
        say, *_ = await house.ask("/twilio/voice", FORM)
        assert (say.tag, say.text) == ("Say", "Hello. This call is recorded.")


class TestHours:
    async def test_while_closed_nobody_is_asked(self, house: House) -> None:
        asked: list[datetime] = []

        def open_at(moment: datetime) -> bool:
            asked.append(moment)
            return False

        for mode in ("agent", "log"):
            listens(house, mode=mode, closed=Closed(open_at, "We are closed."), announcement="Recorded.")
            say, hang_up = await house.ask("/twilio/voice", FORM)
            assert (say.text, hang_up.tag) == ("We are closed.", "Hangup")
        assert all(moment.tzinfo is not None for moment in asked)
        assert house.recognizers.opened == []

    async def test_or_callers_are_passed_on(self, house: House) -> None:
        listens(house, closed=Closed(lambda _: False, "One moment.", "sip:night@pbx.example.com"))
        say, dial, hang_up = await house.ask("/twilio/voice", FORM)
        assert (say.text, dial[0].text, hang_up.tag) == ("One moment.", "sip:night@pbx.example.com", "Hangup")

    async def test_while_open_calls_are_taken(self, house: House) -> None:
        listens(house, mode="agent", closed=Closed(lambda _: True, "We are closed."))
        assert [one.tag for one in await house.ask("/twilio/voice", FORM)] == ["Connect"]


class TestStream:
    async def test_each_side_goes_to_its_own_session_and_nothing_comes_back(self, house: House) -> None:
        stream = await overheard(house)
        assert house.registry.live == {}
        assert session(house).attached
        for chunk in range(1, 4):
            await stream.send(media(stream.wire, "inbound", chunk, chunk * 20, b"c" * 160))
        await stream.send(media(stream.wire, "outbound", 1, 40, b"e" * 160))
        await stream.send(media(stream.wire, "sideways", 1, 40, b"x" * 160))
        await stream.taken()
        caller, callee = house.recognizers.opened
        call = session(house).info.id
        assert (caller.name, b"".join(caller.told)) == (f"{call} caller", b"c" * 480)
        assert (callee.name, callee.told) == (f"{call} callee", [b"e" * 160])
        record = house.record
        heard = [(at_ms, sound) for who, at_ms, sound in record.sound if who == "caller"]
        assert (heard[0][0], b"".join(sound for _, sound in heard)) == (20, b"c" * 480)
        assert [one for one in record.sound if one[0] == "callee"] == [("callee", 40, b"e" * 160)]
        callee.emit(on.TurnStarted())
        callee.emit(on.TurnEnded(" Ann here. "))
        caller.emit(on.TurnEnded("Hi."))
        assert [entry for entry in record.entries if isinstance(entry, PartySpoke)] == [
            PartySpoke("callee", 1, " Ann here. ", *times(record, 0)),
            PartySpoke("caller", 1, "Hi.", *times(record, 1)),
        ]
        assert record.header is not None
        assert (record.header.agent_kind, record.header.other) == ("log", OTHER)
        await stream.send(stream.wire.stop())
        await until(lambda: caller.told[-1] == callee.told[-1] == "finish")
        caller.emit(on.RecognizerClosed())
        callee.emit(on.RecognizerClosed())
        await until(lambda: not house.registry.logs.live)
        assert isinstance(record.entries[-1], CallClosed)
        assert record.closed == 1
        assert stream.came == []

    @pytest.mark.parametrize("track", ["inbound", "outbound"])
    async def test_one_side_alone_is_enough(self, house: House, track: str) -> None:
        stream = await overheard(house)
        await stream.send(media(stream.wire, track, 1, 0, b"s" * 160), stream.wire.stop())
        await until(lambda: house.recognizers.opened and house.recognizers.opened[0].told[-1:] == ["finish"])
        house.recognizers.opened[0].emit(on.RecognizerClosed())
        await until(lambda: not house.registry.logs.live)
        assert len(house.recognizers.opened) == 1

    async def test_a_stream_without_any_sound_is_a_call_all_the_same(self, house: House) -> None:
        stream = await overheard(house)
        await stream.send(stream.wire.stop())
        await until(lambda: not house.registry.logs.live)
        assert house.recognizers.opened == []
        assert house.record.closed == 1

    async def test_a_stream_that_breaks_off_may_come_back(self, house: House) -> None:
        stream = await overheard(house)
        await stream.socket.close()
        await until(lambda: not session(house).attached)
        await overheard(house)
        assert session(house).attached
        assert len(house.store.records) == 1

    async def test_bad_messages_are_survived(self, house: House) -> None:
        stream = await overheard(house)
        with capture_logs() as logs:
            await stream.send("nonsense", '{"event":"media"}', media(stream.wire, "inbound", 1, 0, b"c" * 160))
            await stream.socket.send_bytes(b"\x00")
            await stream.taken()
        assert house.malformed == 3
        assert [line["event"] for line in logs].count("carrier_message_malformed") == 1
        assert house.recognizers.opened[0].told == [b"c" * 160]

    async def test_a_call_that_is_over_is_not_listened_to_again(self, house: House) -> None:
        stream = await overheard(house)
        await stream.send(media(stream.wire, "inbound", 1, 0, b"c" * 160), stream.wire.stop())
        await until(lambda: session(house).over_for_carrier)
        second = Stream(await house.connect())
        await second.start(house.tokens.issue("CA1", {"mode": "log"}))
        assert await second.closed() == 1008
        assert house.refused("call_over") == 1

    async def test_a_bridge_that_goes_down_begins_to_listen_to_nobody(self, house: House) -> None:
        house.registry.draining = True
        stream = Stream(await house.connect())
        await stream.start(house.tokens.issue("CA1", {"mode": "log"}))
        assert await stream.closed() == 1008
        assert house.refused("draining") == 1

    async def test_a_bridge_that_stops_records_what_it_has(self, house: House) -> None:
        stream = await overheard(house)
        await stream.send(media(stream.wire, "inbound", 1, 0, b"c" * 160))
        await stream.taken()
        house.recognizers.opened[0].emit(on.TurnStarted())
        house.recognizers.opened[0].emit(on.TurnUpdated("I was"))
        record = house.record
        house.registry.logs.stop_all("shutdown")
        house.recognizers.opened[0].emit(on.RecognizerClosed())
        await until(lambda: not house.registry.logs.live)
        spoke, closed = record.entries[-2:]
        assert isinstance(spoke, PartySpoke)
        assert isinstance(closed, CallClosed)
        assert (spoke.transcript, spoke.incomplete, closed.reason) == ("I was", True, "shutdown")


class TestDialEnded:
    async def test_who_was_not_reached_is_told_of_and_not_transcribed(self, house: House) -> None:
        listens(house, not_reached="Nobody is there.")
        await overheard(house)
        stop, say, hang_up = await house.ask(
            "/twilio/log-dial-ended", {**FORM, "CallStatus": "in-progress", "DialCallStatus": "busy"}
        )
        assert (stop.tag, stop[0].attrib) == ("Stop", {"name": "listener"})
        assert (say.text, hang_up.tag) == ("Nobody is there.", "Hangup")
        assert [entry.status for entry in tried(house.record)] == ["busy"]

    async def test_after_the_talk_the_call_is_over(self, house: House) -> None:
        stream = await overheard(house)
        form = {
            **FORM,
            "CallStatus": "in-progress",
            "DialCallStatus": "completed",
            "DialCallDuration": "42",
        }
        for _ in range(2):
            assert [one.tag for one in await house.ask("/twilio/log-dial-ended", form)] == ["Hangup"]
        assert tried(house.record) == [
            TransferTried(tried(house.record)[0].at_ms, OTHER, "completed", duration_s=42)
        ]
        await stream.send(stream.wire.stop())
        await until(lambda: not house.registry.logs.live)
        assert house.record.entries[-1].reason == "callee"  # type: ignore[union-attr]  # It is the end.

    async def test_a_caller_who_hangs_up_ends_the_call(self, house: House) -> None:
        await overheard(house)
        form = {**FORM, "CallStatus": "completed", "DialCallStatus": "completed"}
        assert [one.tag for one in await house.ask("/twilio/log-dial-ended", form)] == ["Hangup"]
        await until(lambda: not house.registry.logs.live)
        assert house.record.entries[-1].reason == "caller"  # type: ignore[union-attr]  # It is the end.

    @pytest.mark.parametrize("duration", ["soon", "9" * 5000])
    async def test_a_callback_about_an_unknown_call_is_answered(self, house: House, duration: str) -> None:
        form = {**FORM, "DialCallStatus": "completed", "DialCallDuration": duration}
        assert [one.tag for one in await house.ask("/twilio/log-dial-ended", form)] == ["Hangup"]

    async def test_a_forged_one_is_refused(self, house: House) -> None:
        status, _ = await house.post("/twilio/log-dial-ended", FORM, signed_for="")
        assert status == 403

    async def test_the_status_callback_ends_a_call_whose_stream_never_stopped(self, house: House) -> None:
        await overheard(house)
        await house.post("/twilio/status", {**FORM, "CallStatus": "completed"})
        await until(lambda: not house.registry.logs.live)
        assert house.record.closed == 1


def tried(record: KeptRecord) -> list[TransferTried]:
    return [entry for entry in record.entries if isinstance(entry, TransferTried)]


def times(record: KeptRecord, number: int) -> tuple[int, int]:
    spoken = [entry for entry in record.entries if isinstance(entry, PartySpoke)]
    return spoken[number].started_ms, spoken[number].ended_ms
