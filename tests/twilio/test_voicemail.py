"""Messages left with the carrier: the documents, the callbacks, and a whole call in which speech is away."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.audio.wav import read_mulaw
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.journal import CallClosed, CallerSpoke, Entry, MessageLeft
from bridge.simulator.caller import CallEvent, SimulatedCall
from bridge.simulator.rest import FakeTwilioRest, Fault
from bridge.store.journal_file import read_journal
from bridge.voicemail.sounds import MessageSounds
from tests.call.house import FACTS, FORM, House, house_up, script_conversations
from tests.call.peers import settle
from tests.scripted_speech import ScriptedSpeech
from tests.simulator.scripted_bridge import loud
from tests.test_calls import TOKEN, bridge, line
from tests.waiting import until

ACCOUNT = "AC" + "1" * 32
URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE1"
LEFT = {**FORM, "CallStatus": "in-progress", "RecordingUrl": URL, "RecordingDuration": "7", "Digits": "#"}
READY = {"CallSid": "CA1", "RecordingUrl": URL, "RecordingDuration": "7", "RecordingStatus": "completed"}


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """The routes with scripted conversations."""
    script_conversations(monkeypatch)
    async with house_up() as house:
        yield house


async def left(house: House) -> ET.Element:
    """Let a live call be left for a message, and return the document."""
    await house.stream()
    house.script.answer(on.DigitPressed, do.LeaveCall("speech_failed", voicemail=True))
    house.session.take(on.DigitPressed("1"))
    return await house.ask("/twilio/stream-ended?leg=1", {**FORM, "CallStatus": "in-progress"})


def texts(document: ET.Element) -> list[tuple[str, str]]:
    return [(verb.tag, "".join(verb.itertext())) for verb in document]


class TestRoutes:
    async def test_the_document(self, house: House) -> None:
        say, record, redirect = await left(house)
        assert (say.text, say.attrib) == ("Please leave a message after the tone.", {"language": "en-US"})
        again = house.origin + "/twilio/message-ended?leg=1#rc=5&rp=ct,rt,5xx"
        assert record.attrib == {
            "action": again,
            "method": "POST",
            "maxLength": "120",
            "timeout": "5",
            "finishOnKey": "#",
            "playBeep": "true",
            "recordingStatusCallback": house.origin + "/twilio/message-ready?leg=1",
            "recordingStatusCallbackMethod": "POST",
        }
        assert (redirect.text, redirect.tag) == (again, "Redirect")

    async def test_a_live_call_is_told_once_however_often_the_carrier_tells(self, house: House) -> None:
        await left(house)
        for path in ("/twilio/message-ended?leg=1", "/twilio/message-ended?leg=1"):
            assert texts(await house.ask(path, LEFT)) == [("Hangup", "")]
        assert (await house.post("/twilio/message-ready?leg=1", READY))[0] == 204
        told = [event for event in house.script.events if isinstance(event, on.MessageRecorded)]
        assert told == [on.MessageRecorded(URL, 7)]
        assert len(house.store.records) == 1

    async def test_what_another_node_was_told_before_is_kept_by_that_one(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        async def used(token: str) -> bool:
            asked.append(token)
            return False

        object.__setattr__(house.gate, "once", used)
        await house.post("/twilio/message-ready?leg=1", READY)
        assert (asked, house.store.records) == ([URL], [])

    async def test_what_only_the_second_callback_tells_is_taken_too(self, house: House) -> None:
        await left(house)
        await house.post("/twilio/message-ready?leg=1", READY)
        assert house.script.events[-1] == on.MessageRecorded(URL, 7)

    async def test_who_says_nothing_ends_the_call(self, house: House) -> None:
        await left(house)
        await house.ask("/twilio/message-ended?leg=1", {**FORM, "CallStatus": "in-progress"})
        assert house.script.events[-1] == on.MessageRecorded("", 0)

    async def test_who_hangs_up_ends_it_too(self, house: House) -> None:
        await left(house)
        script = house.script
        await house.ask("/twilio/message-ended?leg=1", {**LEFT, "CallStatus": "completed"})
        tail = [event for event in script.events if not isinstance(event, on.StreamLost)][-2:]
        assert tail == [on.MessageRecorded(URL, 7), on.StreamStopped("caller")]

    async def test_a_caller_who_was_not_let_in_has_a_record_of_the_message_alone(self, house: House) -> None:
        folders: list[Path] = []
        house.routes.voicemail.on_message = folders.append
        for _ in range(2):
            await house.ask("/twilio/message-ended?leg=1", LEFT)
        await settle()
        assert len(folders) == 1
        (record,) = house.store.records
        header = record.header
        assert header is not None
        assert (header.sid, header.caller, header.called) == ("CA1", FACTS["from"], FACTS["to"])
        assert record.entries[1:] == [MessageLeft(1, "", 0, 7000, URL), CallClosed(7000, "message")]

    async def test_an_empty_message_of_theirs_leaves_nothing(self, house: House) -> None:
        await house.ask("/twilio/message-ended?leg=1", FORM)
        await house.post("/twilio/message-ready?leg=1", {**READY, "RecordingStatus": "absent"})
        assert house.store.records == []


@pytest.mark.timeout(30)
async def test_with_speech_away_the_message_is_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In real time, over real sockets; the recording can be fetched at the third attempt."""
    monkeypatch.setattr(MessageSounds.__init__, "__kwdefaults__", {"pauses_s": (0.05, 0.05, 0.05, 0.05)})
    events: list[CallEvent] = []
    async with (
        FakeTwilioRest(ACCOUNT, TOKEN) as rest,
        ScriptedSpeech(stt_status=401, tts_status=401).running() as away,
    ):
        rest.faults.append(Fault(404, path="Recordings", times=2))
        settings = {
            "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT,
            "BRIDGE_TWILIO__API_URL": rest.url,
            "BRIDGE_AGENT__GREETING": "Hello.",
            "BRIDGE_VOICEMAIL__AFTER_FAILURE": "true",
            "BRIDGE_VOICEMAIL__SILENCE_SECONDS": "2",
        }
        async with bridge(tmp_path, away.url, None, **settings) as up:
            call = SimulatedCall(line(up, account_sid=ACCOUNT), on_event=events.append, exchange=rest.exchange)
            async with call:
                await until(lambda: any(event.kind == "recording" for event in events))
                await call.say(loud(800))
                await call.ended()
            await until(lambda: [*tmp_path.glob("*/*/message-1.wav")])
            assert call.problems == []
    said = [event.detail for event in events if event.kind == "carrier_says"]
    assert [text.split(".")[0] for text in said] == ["Sorry, nobody can take your call right now", "Thank you"]
    sound, entries, transcript = await asyncio.to_thread(recorded, tmp_path)
    assert [key for key, _ in itertools.groupby(sound)] == [loud(1)[0]]
    (message,) = (entry for entry in entries if isinstance(entry, MessageLeft))
    assert message.url.startswith(rest.url)
    assert entries[-1] == CallClosed(entries[-1].at_ms, "speech_failed")  # type: ignore[union-attr]
    assert "left message 1, of which no words are known" in transcript


@pytest.mark.timeout(30)
async def test_the_words_of_a_message_are_kept_where_another_service_can_hear_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Speech is away on both sockets; the service that stands by takes files only, and knows a card number."""
    monkeypatch.setattr(MessageSounds.__init__, "__kwdefaults__", {"pauses_s": (0.05, 0.05)})
    files: list[tuple[str, str, bytes]] = []

    async def hear(request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        files.append((file.filename, str(form["language"]), file.file.read()))
        return web.json_response({"text": " It is 4111 1111 1111 1111, call me back. "})

    app = web.Application()
    app.router.add_post("/stt", hear)
    async with (
        FakeTwilioRest(ACCOUNT, TOKEN) as rest,
        ScriptedSpeech(stt_status=401, tts_status=401).running() as away,
        TestServer(app) as other,
    ):
        settings = {
            "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT,
            "BRIDGE_TWILIO__API_URL": rest.url,
            "BRIDGE_AGENT__GREETING": "Hello.",
            "BRIDGE_SPEECH__STANDBY": str(other.make_url("")).rstrip("/"),
            "BRIDGE_VOICEMAIL__AFTER_FAILURE": "true",
            "BRIDGE_VOICEMAIL__SILENCE_SECONDS": "2",
        }
        events: list[CallEvent] = []
        async with bridge(tmp_path, away.url, None, **settings) as up:
            call = SimulatedCall(line(up, account_sid=ACCOUNT), on_event=events.append, exchange=rest.exchange)
            async with call:
                await until(lambda: any(event.kind == "recording" for event in events))
                await call.say(loud(800))
                await call.ended()
            (transcript,) = await until(lambda: [*tmp_path.glob("*/*/transcript.txt")])
            await until(lambda: "call me back" in transcript.read_text(encoding="utf-8"))

            async def found() -> list[Any]:
                async with (
                    aiohttp.ClientSession() as http,
                    http.get(up.url + "/api/v1/search?q=call+back&speaker=caller") as answer,
                ):
                    return list((await answer.json()).get("items", []))

            async with asyncio.timeout(10):
                while not await found():  # noqa: ASYNC110  It is the database that is waited for.
                    await asyncio.sleep(0.05)
    (file,) = files
    assert file[:2] == ("message-1.wav", "en")
    sound, entries, text = await asyncio.to_thread(recorded, tmp_path)
    assert read_mulaw(file[2], name="the file") == sound
    (message,) = (entry for entry in entries if isinstance(entry, MessageLeft))
    spoke = entries[-1]
    assert isinstance(spoke, CallerSpoke)
    assert (spoke.started_ms, spoke.ended_ms, spoke.meaning) == (message.from_ms, message.to_ms, "words")
    assert spoke.transcript.startswith(" It is ")
    assert spoke.transcript.endswith(", call me back. ")
    assert "4111" not in spoke.transcript
    assert "(left message 1)" in text


def recorded(folder: Path) -> tuple[bytes, Sequence[Entry], str]:
    """Return the sound of the only message, and the journal and the transcript of its call."""
    (file,) = folder.glob("*/*/message-1.wav")
    _, entries = read_journal(file.with_name("journal.jsonl"))
    sound = read_mulaw(file.read_bytes(), name="the message")
    return sound, entries, file.with_name("transcript.txt").read_text(encoding="utf-8")
