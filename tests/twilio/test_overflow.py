"""What callers get for whom there is no room: the documents, and whole calls over real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from bridge.app import Bridge
from bridge.call.answering import Overflow
from bridge.simulator.caller import SimulatedCall
from bridge.twilio.overflow import turned_away
from bridge.twilio.signature import sign
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import TOKEN, bridge, line, live
from tests.waiting import until

QUEUE = Overflow("queue", say="Bye.", queue_say="Hold on.", wait_s=7, rounds=2)


def document(overflow: Overflow, waited: int = 0) -> list[tuple[str, str, dict[str, str]]]:
    text = turned_away(
        overflow,
        again_url="https://b/again",
        waited=waited,
        language="de",
        caller_id=None,
        take_message=lambda: "<Response><Record/></Response>",
    )
    return [(verb.tag, "".join(verb.itertext()), verb.attrib) for verb in ET.fromstring(text)]


@pytest.mark.parametrize(
    ("overflow", "waited", "verbs"),
    [
        (Overflow(), 0, [("Reject", "", {"reason": "busy"})]),
        (Overflow(say="Bye."), 1, [("Say", "Bye.", {"language": "de-DE"}), ("Hangup", "", {})]),
        (Overflow("sentence", say="Bye."), 0, [("Say", "Bye.", {"language": "de-DE"}), ("Hangup", "", {})]),
        (
            Overflow("transfer", transfer_to="+15550100009", transfer_say="A moment."),
            0,
            [("Say", "A moment.", {"language": "de-DE"}), ("Dial", "+15550100009", {}), ("Hangup", "", {})],
        ),
        (
            QUEUE,
            1,
            [
                ("Say", "Hold on.", {"language": "de-DE"}),
                ("Pause", "", {"length": "7"}),
                ("Redirect", "https://b/again", {"method": "POST"}),
            ],
        ),
        (Overflow("voicemail"), 1, [("Record", "", {})]),
        (QUEUE, 2, [("Say", "Bye.", {"language": "de-DE"}), ("Hangup", "", {})]),
    ],
)
def test_the_documents(overflow: Overflow, waited: int, verbs: list[tuple[str, str, dict[str, str]]]) -> None:
    assert document(overflow, waited) == verbs


async def voice(up: Bridge, sid: str, path: str = "/twilio/voice", to: str = "+15550100002") -> ET.Element:
    form = {"CallSid": sid, "From": "+15550100001", "To": to, "Direction": "inbound"}
    headers = {"X-Twilio-Signature": sign(TOKEN, up.url + path, [*form.items()])}
    async with aiohttp.ClientSession() as http, http.post(up.url + path, data=form, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return ET.fromstring(await answer.text())


async def voice_of_message(up: Bridge, sid: str, path: str) -> ET.Element:
    form = {
        "CallSid": sid,
        "To": "+15550100002",
        "RecordingUrl": "https://api.twilio.com/RE1",
        "RecordingDuration": "3",
    }
    headers = {"X-Twilio-Signature": sign(TOKEN, up.url + path, [*form.items()])}
    async with aiohttp.ClientSession() as http, http.post(up.url + path, data=form, headers=headers) as answer:
        return ET.fromstring(await answer.text())


async def ended(up: Bridge, sid: str) -> None:
    form = {"CallSid": sid, "CallStatus": "completed"}
    headers = {"X-Twilio-Signature": sign(TOKEN, up.url + "/twilio/status", [*form.items()])}
    async with aiohttp.ClientSession() as http:
        await http.post(up.url + "/twilio/status", data=form, headers=headers)


def refusals(up: Bridge, reason: str) -> float:
    name = "phone_bridge_admission_refusals_total"
    return up.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0


async def ready(up: Bridge) -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as http, http.get(up.url + "/readyz") as answer:
        return answer.status, await answer.json()


@pytest.fixture
async def speech() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


class TestCalls:
    async def test_the_third_of_two_gets_the_document_and_the_two_go_on(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        limits = {
            "BRIDGE_ADMISSION__MAX_CALLS": "2",
            "BRIDGE_ADMISSION__OVERFLOW": "sentence",
            "BRIDGE_ADMISSION__OVERFLOW_SAY": "We are full.",
        }
        async with bridge(tmp_path, speech.url, None, **limits) as up:
            assert (await ready(up))[1]["status"] == "ready"
            async with contextlib.AsyncExitStack() as stack:
                one = await stack.enter_async_context(SimulatedCall(line(up)))
                first = await speech.listener()
                two = await stack.enter_async_context(SimulatedCall(line(up)))
                await live(up, one.call_sid)
                await live(up, two.call_sid)
                say, hang_up = await voice(up, "CA" + "3" * 32)
                assert (say.tag, say.text, hang_up.tag) == ("Say", "We are full.", "Hangup")
                assert refusals(up, "calls") == 1
                status, told = await ready(up)
                assert (status, told["status"], told["reason"]) == (200, "full", "calls")
                said = bytes(range(256)) * 4
                await one.say(said)
                await until(lambda: said in first.audio)  # Who is there already is heard as before.
            await until(lambda: not up.registry.sessions)
            (connect,) = await voice(up, "CA" + "3" * 32)
            assert connect.tag == "Connect"

    async def test_a_short_call_leaves_its_place_behind(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        async with bridge(tmp_path, speech.url, BRIDGE_ADMISSION__MAX_CALLS="1") as up:
            async with SimulatedCall(line(up)) as call:
                await live(up, call.call_sid)
            await until(lambda: not up.registry.sessions)
            (connect,) = await voice(up, "CA" + "3" * 32)
            assert connect.tag == "Connect", "it does not go on holding the place that it was let in for"

    async def test_who_is_not_let_in_may_leave_a_message(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        limits = {"BRIDGE_ADMISSION__MAX_CALLS": "1", "BRIDGE_ADMISSION__OVERFLOW": "voicemail"}
        async with bridge(tmp_path, speech.url, None, **limits) as up:
            assert (await voice(up, "CA1"))[0].tag == "Connect"
            say, record, redirect = await voice(up, "CA2")
            assert (say.text or "").startswith("Sorry, nobody can take your call")
            assert (record.tag, record.attrib["maxLength"], redirect.text) == (
                "Record",
                "120",
                record.attrib["action"],
            )
            (thanks, hang_up) = await voice_of_message(up, "CA2", "/twilio/message-ended?leg=1")
            assert (thanks.text, hang_up.tag) == ("Thank you. Good-bye.", "Hangup")
            await until(lambda: [*tmp_path.glob("*/*/journal.jsonl")])
            await ended(up, "CA1")

    async def test_a_place_is_held_from_the_first_document_on(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        async with bridge(tmp_path, speech.url, BRIDGE_ADMISSION__MAX_CALLS="1") as up:
            assert (await voice(up, "CA1"))[0].tag == "Connect"
            assert (await voice(up, "CA2"))[0].tag == "Reject"
            assert (await voice(up, "CA1"))[0].tag == "Connect", "Twilio may ask twice"
            await ended(up, "CA1")
            assert (await voice(up, "CA2"))[0].tag == "Connect"

    async def test_a_queue_asks_again_so_often_and_lets_in_when_there_is_room(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        limits = {
            "BRIDGE_ADMISSION__MAX_CALLS": "1",
            "BRIDGE_ADMISSION__OVERFLOW": "queue",
            "BRIDGE_ADMISSION__QUEUE_ROUNDS": "2",
        }
        async with bridge(tmp_path, speech.url, None, **limits) as up:
            await voice(up, "CA1")
            path = "/twilio/voice"
            for waited in (1, 2):
                redirect = (await voice(up, "CA2", path))[-1]
                assert redirect.text == f"{up.url}/twilio/voice?waited={waited}"
                path = redirect.text.removeprefix(up.url)
            assert [verb.tag for verb in await voice(up, "CA2", path)] == ["Say", "Hangup"]
            await ended(up, "CA1")
            assert (await voice(up, "CA2", "/twilio/voice?waited=1"))[0].tag == "Connect"

    async def test_a_number_has_its_own_limit_and_answer(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        numbers = [
            {"number": "+15550100002", "max_calls": 1, "overflow": "sentence", "overflow_say": "Sales is busy."}
        ]
        async with bridge(tmp_path, speech.url, {"numbers": numbers}) as up:
            await voice(up, "CA1")
            assert (await voice(up, "CA2"))[0].text == "Sales is busy."
            assert (await voice(up, "CA3", to="+15550100003"))[0].tag == "Connect"
            assert refusals(up, "number") == 1

    async def test_a_bridge_that_stops_gives_the_same_answer(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        async with bridge(tmp_path, speech.url, BRIDGE_ADMISSION__OVERFLOW="sentence") as up:
            up.registry.draining = True
            assert [verb.tag for verb in await voice(up, "CA1")] == ["Say", "Hangup"]
            assert refusals(up, "draining") == 1
            assert (await ready(up))[0] == 503

    async def test_the_speech_plan_is_learned_from_its_refusals(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, SimulatedCall(line(up)) as one:
            await live(up, one.call_sid)
            await speech.listener()
            speech.stt_status = 429
            async with SimulatedCall(line(up)) as two:
                await live(up, two.call_sid)
                await until(
                    lambda: up.metrics.registry.get_sample_value(
                        "phone_bridge_speech_errors_total", {"code": "speech_limit"}
                    )
                )
                assert (await voice(up, "CA3"))[0].tag == "Reject"
                assert refusals(up, "speech") == 1
