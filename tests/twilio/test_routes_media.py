"""Twilio's media streams over real sockets; what stands behind them is scripted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from bridge.call.carrier import SILENT_S
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Say
from bridge.twilio import routes as module
from bridge.twilio.signature import sign
from tests.call.house import FACTS, TOKEN, House, Stream, house_up, script_conversations
from tests.call.peers import (
    Clock,
    Voices,
)
from tests.waiting import until


@pytest.fixture
async def real_talk() -> AsyncIterator[House]:
    """The routes with a real conversation behind them."""
    async with house_up() as house:
        yield house


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """The routes with scripted conversations."""
    script_conversations(monkeypatch)
    async with house_up() as house:
        yield house


class TestUpgrade:
    async def test_a_forged_one_is_refused_and_a_signed_one_let_in(self, house: House) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await house.connect({"X-Twilio-Signature": "forged"})
        assert (refused.value.status, house.refused("signature")) == (403, 1)
        url = "ws" + house.origin.removeprefix("http") + "/twilio/media"
        socket = await house.connect({"X-Twilio-Signature": sign(TOKEN, url, [])})
        await socket.close()

    async def test_a_call_begins_with_its_facts_and_parameters(self, house: House) -> None:
        await house.stream(parameters={"note": "a"})
        info = house.session.info
        assert (info.caller, info.called, info.direction) == (FACTS["from"], FACTS["to"], "inbound")
        assert info.parameters == {"note": "a"}

    @pytest.mark.parametrize("sound", [{"encoding": "audio/x-alaw"}, {"sampleRate": 16000}, {"channels": 2}])
    async def test_sound_that_cannot_be_read_is_refused(self, house: House, sound: dict[str, Any]) -> None:
        stream = Stream(await house.connect())
        await stream.start(house.tokens.issue("CA1", FACTS), **sound)
        assert await stream.closed() == 1008
        assert (house.refused("wrong_format"), house.registry.live) == (1, {})

    async def test_a_call_that_is_over_takes_no_stream(self, house: House) -> None:
        await house.stream()
        house.script.expects_stream = False
        stream = Stream(await house.connect())
        await stream.start(house.tokens.issue("CA1", FACTS))
        assert await stream.closed() == 1008
        assert house.refused("call_over") == 1
        assert house.script.events == [on.StreamStarted()]

    async def test_a_bridge_that_goes_down_takes_streams_of_its_calls_only(self, house: House) -> None:
        first = await house.stream()
        house.registry.draining = True
        await first.socket.close()
        await house.stream()
        stranger = Stream(await house.connect(), "CA2")
        await stranger.start(house.tokens.issue("CA2", FACTS))
        assert await stranger.closed() == 1008
        assert (house.refused("draining"), [*house.registry.live]) == (1, ["CA1"])

    @pytest.mark.parametrize("token", [None, "", "wrong"])
    async def test_without_a_ticket_nobody_comes_in(self, house: House, token: str | None) -> None:
        stream = Stream(await house.connect())
        with capture_logs() as logs:
            await stream.start(token)
            assert await stream.closed() == 1008
        reason = "token_wrong" if token else "token_missing"
        assert house.refused(reason) == 1
        assert [(line["event"], line["reason"]) for line in logs] == [("stream_refused", reason)]

    @pytest.mark.parametrize("frame", [b"\x00", "x" * (300 * 1024)])
    async def test_a_stream_that_does_not_start_is_let_go(self, house: House, frame: bytes | str) -> None:
        socket = await house.connect()
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_str(frame)
        with capture_logs() as logs:
            assert await Stream(socket).closed() == (1008 if isinstance(frame, bytes) else 1009)
            await until(lambda: house.refused("no_start") == 1)
        assert [(line["event"], line["reason"]) for line in logs] == [("stream_refused", "no_start")]
        assert ("size" in logs[0]["error"]) == isinstance(frame, str)

    async def test_it_has_four_messages_for_that(self, house: House) -> None:
        stream = Stream(await house.connect())
        await stream.send(*['{"event":"other"}'] * 2)
        await stream.start(house.tokens.issue("CA1", FACTS))
        await stream.taken()
        assert [*house.registry.live] == ["CA1"]
        late = Stream(await house.connect())
        await late.send(*['{"event":"other"}'] * 4)
        assert await late.closed() == 1008

    async def test_and_a_few_seconds(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_START_WITHIN_S", 0.05)
        stream = Stream(await house.connect())
        assert await stream.closed() == 1008
        assert house.refused("no_start") == 1


class TestCarrying:
    async def test_everything_goes_to_the_call_in_its_order(self, house: House) -> None:
        stream = await house.stream()
        wire = stream.wire
        outbound = json.loads(wire.media(b"\x09", 40))
        outbound["media"]["track"] = "outbound"
        frames = [wire.media(b"\x01\x02", 20), wire.mark("m1"), wire.dtmf("5"), json.dumps(outbound)]
        await stream.send(*frames)
        await stream.taken()
        assert house.recognizers.opened[0].told == [b"\x01\x02"]
        assert house.record.sound == [("caller", 20, b"\x01\x02")]
        assert house.script.events == [on.StreamStarted(), on.MarkReturned("m1"), on.DigitPressed("5")]

    async def test_what_the_call_says_goes_out(self, house: House) -> None:
        stream = await house.stream()
        house.script.answer(on.DigitPressed, do.SendAudio(1, b"\x01\x02\x03"), do.SendMark("m1"))
        await stream.send(stream.wire.dtmf("1"))
        await stream.taken()
        async with asyncio.timeout(5):
            while len(stream.came) < 2:
                stream.came.append(json.loads((await stream.socket.receive()).data))
        assert [(one["event"], one["streamSid"]) for one in stream.came] == [("media", "MZ1"), ("mark", "MZ1")]

    async def test_stop_is_the_callers_hang_up(self, house: House) -> None:
        stream = await house.stream()
        script = house.script
        await stream.send(stream.wire.stop(), stream.wire.dtmf("1"))
        await stream.closed()
        assert script.events == [on.StreamStarted(), on.StreamStopped("caller")]

    @pytest.mark.parametrize("politely", [True, False])
    async def test_a_socket_that_ends_without_it_is_a_lost_stream(self, house: House, politely: bool) -> None:
        stream = await house.stream()
        if politely:
            await stream.socket.close()
        else:
            assert stream.socket._response.connection is not None
            transport = stream.socket._response.connection.transport
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        await until(lambda: not house.session.attached)
        assert house.script.events == [on.StreamStarted(), on.StreamLost()]
        assert not house.session.over_for_carrier

    async def test_a_stream_that_brings_nothing_is_cut_and_may_come_back(self, house: House) -> None:
        stream = await house.stream()
        clock = Clock()
        await clock.forward(SILENT_S + 11)
        await stream.closed()
        assert house.script.events == [on.StreamStarted(), on.StreamLost()]
        await house.stream()
        assert house.script.events == [on.StreamStarted(), on.StreamLost(), on.StreamStarted()]


class TestBadInput:
    """Each of these leaves the call alive and the record whole."""

    async def talk_on(self, house: House, stream: Stream) -> Sequence[journal.Entry]:
        """Take a turn, hang up, and return the journal."""
        record = house.record
        before = len(house.agent.questions)
        emit = house.recognizers.opened[0].emit
        emit(on.TurnStarted())
        emit(on.TurnUpdated("Hello"))
        emit(on.TurnEnded("Hello"))
        await until(lambda: len(house.agent.questions) == before + 1)
        assert house.agent.questions[-1].transcript == "Hello"
        session = house.session
        await stream.send(stream.wire.stop())
        await until(lambda: "finish" in house.recognizers.opened[0].told)
        emit(on.RecognizerClosed())
        async with asyncio.timeout(5):
            await session.ended.wait()
        assert record.closed == 1
        assert isinstance(record.entries[0], journal.CallOpened)
        assert isinstance(record.entries[-1], journal.CallClosed)
        assert len([one for one in record.entries if isinstance(one, journal.CallClosed)]) == 1
        assert [one.transcript for one in record.entries if isinstance(one, journal.CallerSpoke)] == ["Hello"]
        return record.entries

    @pytest.mark.parametrize(
        "frame",
        [
            "not json",
            "[1]",
            "{}",
            '{"event":5}',
            '{"event":"media"}',
            '{"event":"media","media":{"payload":"*"}}',
            '{"event":"media","media":{"payload":7}}',
            '{"event":"mark","mark":{}}',
            '{"event":"dtmf"}',
            "[" * 5000,
            b"\x00\x01",
            b"",
        ],
    )
    async def test_what_is_no_message_is_counted_each_time_and_logged_once(
        self, real_talk: House, frame: str | bytes
    ) -> None:
        stream = await real_talk.stream()
        with capture_logs() as logs:
            for _ in range(3):
                if isinstance(frame, bytes):
                    await stream.socket.send_bytes(frame)
                else:
                    await stream.send(frame)
            await stream.send(stream.wire.media(b"\x12", 20))
            await stream.taken()
        assert real_talk.malformed == 3
        (line,) = [line for line in logs if line["event"] == "carrier_message_malformed"]
        assert line["sid"] == "CA1"
        assert ("binary" in line["error"]) == isinstance(frame, bytes)
        assert real_talk.recognizers.opened[0].told == [b"\x12"]
        await self.talk_on(real_talk, stream)

    @pytest.mark.parametrize(
        "frame",
        [
            '{"event":"connected","protocol":"Call","version":"1.0.0"}',
            '{"event":"start","start":{"streamSid":"MZ2","callSid":"CA2","customParameters":{}}}',
            '{"event":"new","streamSid":"MZ1","body":[1]}',
            '{"event":"mark","mark":{"name":"never sent"}}',
            '{"event":"mark","mark":{"name":""}}',
            '{"event":"media","streamSid":"MZ9","media":{"payload":"","timestamp":"x","more":1}}',
            '{"event":"dtmf","dtmf":{"digit":"#"}}',
        ],
    )
    async def test_what_is_odd_is_survived(self, real_talk: House, frame: str) -> None:
        stream = await real_talk.stream()
        await stream.send(frame, frame, frame)
        await stream.taken()
        assert (real_talk.malformed, [*real_talk.registry.live]) == (0, ["CA1"])
        assert real_talk.session.attached
        await self.talk_on(real_talk, stream)

    async def test_marks_that_come_twice_or_were_never_sent_are_nothing_heard(self, real_talk: House) -> None:
        real_talk.agent.pieces = [Say("One two three four.")]
        stream = await real_talk.stream()
        assert isinstance(real_talk.peers.synthesizer, Voices)
        voice = real_talk.peers.synthesizer.opened[0]
        await until(lambda: voice.told)
        voice.emit(on.SpeechArrived(voice.told[0][0], b"\x01" * 16_000))
        voice.emit(on.SpeechFinished(voice.told[0][0]))
        async with asyncio.timeout(5):
            while not (marks := [one["mark"]["name"] for one in stream.came if one["event"] == "mark"]):
                stream.came.append(json.loads((await stream.socket.receive()).data))
        await stream.send(*[stream.wire.mark(name) for name in (marks[0], marks[0], "never sent", marks[0])])
        await stream.taken()
        real_talk.agent.pieces = []
        entries = await self.talk_on(real_talk, stream)
        (spoke,) = [one for one in entries if isinstance(one, journal.AgentSpoke) and one.unheard]
        assert spoke.heard + spoke.unheard == "One two three four."
        assert len(spoke.heard.split()) <= 2, "the first mark stands behind the first of four words"

    async def test_sound_out_of_order_is_heard_as_it_comes_and_kept_where_it_belongs(
        self, real_talk: House
    ) -> None:
        stream = await real_talk.stream()
        times = [60, 20, 40, 40, 0, 20]
        await stream.send(*[stream.wire.media(bytes([number]), at) for number, at in enumerate(times)])
        await stream.taken()
        assert real_talk.recognizers.opened[0].told == [bytes([number]) for number in range(6)]
        assert [one[1] for one in real_talk.record.sound] == times
        await self.talk_on(real_talk, stream)

    async def test_a_frame_of_a_megabyte_is_refused_and_the_call_comes_back(self, real_talk: House) -> None:
        stream = await real_talk.stream()
        with capture_logs() as logs:
            await stream.send('{"event":"' + "x" * 1_000_000 + '"}')
            assert await stream.closed() == 1009
            await until(lambda: not real_talk.session.attached)
        (line,) = [line for line in logs if line["event"] == "stream_error"]
        assert (line["sid"], line["code"]) == ("CA1", 1009)
        assert "size" in line["error"]
        assert real_talk.malformed == 0
        assert not real_talk.session.over_for_carrier
        entries = await self.talk_on(real_talk, await real_talk.stream())
        kinds = [type(entry) for entry in entries]
        assert (kinds.count(journal.StreamBroke), kinds.count(journal.StreamResumed)) == (1, 1)
