"""Twilio's webhooks over real sockets; what stands behind them is scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from bridge.call.answering import Answering
from bridge.call.registry import Profile
from bridge.conversation import events as on
from bridge.conversation.policy import Policy
from tests.call.house import FACTS, FORM, House, Stream, house_up, script_conversations
from tests.call.peers import (
    Voices,
    profiles,
    settle,
)


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """The routes with scripted conversations."""
    script_conversations(monkeypatch)
    async with house_up() as house:
        yield house


class TestVoice:
    async def test_a_call_is_answered_with_a_stream_and_its_ticket(self, house: House) -> None:
        document = await house.ask("/twilio/voice", {**FORM, "Direction": "outbound-api"})
        (connect,) = document
        assert connect.attrib == {
            "action": house.origin + "/twilio/stream-ended?leg=1#rc=5&rp=ct,rt,5xx",
            "method": "POST",
        }
        stream = connect[0]
        assert stream.attrib["url"] == "ws" + house.origin.removeprefix("http") + "/twilio/media"
        assert stream.attrib["statusCallback"] == house.origin + "/twilio/status"
        (parameter,) = stream
        assert parameter.attrib["name"] == "token"
        facts = house.tokens.redeem(parameter.attrib["value"], "CA1")
        assert facts == {**FACTS, "direction": "outbound", "leg": "1"}

    async def test_who_is_called_is_told_that_the_call_is_recorded_but_no_machine(self, house: House) -> None:
        how = Answering(announcement="Hello.", recording_announcement="This call is recorded.", language="de")
        house.registry._profile_of = profiles(Profile(Policy(), house.peers, "scripted", how))
        form = {**FORM, "Direction": "outbound-api"}
        say, connect = await house.ask("/twilio/voice", form)
        assert (say.text, say.attrib, connect.tag) == ("This call is recorded.", {"language": "de-DE"}, "Connect")
        (connect,) = await house.ask("/twilio/voice", {**form, "AnsweredBy": "machine_end_beep"})
        assert connect.tag == "Connect"

    async def test_what_twilio_does_not_tell_is_empty(self, house: House) -> None:
        document = await house.ask("/twilio/voice", {"CallSid": "CA1"})
        facts = house.tokens.redeem(document[0][0][0].attrib["value"], "CA1")
        assert facts == {"from": "", "to": "", "direction": "inbound", "leg": "1"}

    async def test_behind_https_the_stream_is_wss(self, house: House) -> None:
        house.public_url = "https://voice.example.com"
        document = await house.ask("/twilio/voice", FORM)
        assert document[0][0].attrib["url"] == "wss://voice.example.com/twilio/media"
        assert (
            document[0].attrib["action"] == "https://voice.example.com/twilio/stream-ended?leg=1#rc=5&rp=ct,rt,5xx"
        )

    async def test_speech_gets_ready_while_twilio_opens_the_stream(self, house: House) -> None:
        document = await house.ask("/twilio/voice", FORM)
        await house.ask("/twilio/voice", FORM)
        (recognizer,) = house.recognizers.opened
        assert isinstance(house.peers.synthesizer, Voices)
        assert house.peers.synthesizer.warmed >= 1
        recognizer.emit(on.RecognizerConnected("r1"))
        stream = Stream(await house.connect())
        await stream.start(document[0][0][0].attrib["value"])
        await stream.taken()
        assert house.session.info.id == recognizer.name
        assert house.script.events == [on.StreamStarted(), on.RecognizerConnected("r1")]
        assert len(house.recognizers.opened) == 1

    async def test_a_request_without_a_call_is_not_twilios(self, house: House) -> None:
        status, text = await house.post("/twilio/voice", {"From": "+1"})
        assert (status, "CallSid is missing" in text) == (400, True)

    async def test_a_bridge_that_goes_down_is_busy(self, house: House) -> None:
        house.registry.draining = True
        (reject,) = await house.ask("/twilio/voice", FORM)
        assert (reject.tag, reject.attrib) == ("Reject", {"reason": "busy"})
        assert house.recognizers.opened == []

    @pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/stream-ended", "/twilio/status"])
    async def test_a_request_that_twilio_did_not_sign_does_nothing(self, house: House, path: str) -> None:
        await house.stream()
        form = {**FORM, "CallStatus": "completed"}
        with capture_logs() as logs:
            assert (await house.post(path, form, ""))[0] == 403
            status, text = await house.post(path, form, "http://elsewhere" + path)
        assert (status, house.origin + path in text) == (403, True)
        assert [(line["event"], line["signed"]) for line in logs] == [
            ("request_refused", False),
            ("request_refused", True),
        ]
        assert house.refused("signature") == 2
        assert house.script.events == [on.StreamStarted()]

    async def test_the_query_is_part_of_what_is_signed(self, house: House) -> None:
        assert (await house.post("/twilio/voice?a=%20b", FORM))[0] == 200
        assert (await house.post("/twilio/voice?a=%20b", FORM, house.origin + "/twilio/voice"))[0] == 403

    async def test_signatures_can_be_left_out_where_that_is_wanted(self) -> None:
        async with house_up(validate=False) as house:
            assert (await house.post("/twilio/voice", FORM, ""))[0] == 200
            socket = await house.connect({"X-Twilio-Signature": "whatever"})
            await socket.close()


class TestStatus:
    @pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
    async def test_the_end_of_a_call_stops_it_or_what_waits_for_it(self, house: House, status: str) -> None:
        await house.stream()
        script = house.script
        await house.ask("/twilio/voice", {**FORM, "CallSid": "CA2"})
        for sid in ("CA1", "CA2", "CA3"):
            assert await house.post("/twilio/status", {"CallSid": sid, "CallStatus": status}) == (204, "")
        assert script.events == [on.StreamStarted(), on.StreamStopped("caller")]
        await settle()
        assert house.recognizers.opened[1].told == ["abort"]

    @pytest.mark.parametrize("form", [{"CallStatus": "in-progress"}, {"StreamEvent": "stream-stopped"}, {}])
    async def test_anything_else_changes_nothing(self, house: House, form: dict[str, str]) -> None:
        await house.stream()
        await house.ask("/twilio/voice", {**FORM, "CallSid": "CA2"})
        for sid in ("CA1", "CA2"):
            assert (await house.post("/twilio/status", {"CallSid": sid, **form}))[0] == 204
        assert house.script.events == [on.StreamStarted()]
        assert house.registry.expected == 1

    async def test_a_stream_that_cannot_be_opened_is_told_to_the_operator(self, house: House) -> None:
        await house.ask("/twilio/voice", FORM)
        form = {"CallSid": "CA1", "StreamEvent": "stream-error", "StreamError": "31920"}
        with capture_logs() as logs:
            assert (await house.post("/twilio/status", form))[0] == 204
        lines = [(line["event"], line.get("error"), line["sid"]) for line in logs]
        assert lines == [("stream_failed", "31920", "CA1"), ("call_did_not_come", None, "CA1")]
        assert house.registry.expected == 0
