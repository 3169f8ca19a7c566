"""A speech service that breaks the rules of its protocol: the call stays alive, and the record whole."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from wsproto import WSConnection
from wsproto.events import BytesMessage, Request, TextMessage

from bridge.simulator.caller import SimulatedCall
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.turn_taking.stage import Stage, stage

Fault = Sequence[dict[str, Any] | str | bytes]
"""Messages of the service, in order: JSON, or what is no JSON at all."""


def turn(kind: str, transcript: str | None = None, **more: Any) -> dict[str, Any]:
    text = {} if transcript is None else {"transcript": transcript}
    return {"type": f"turn.{kind}", "request_id": "r", **text, **more}


FAULTS: dict[str, tuple[Fault, list[str]]] = {
    "an end without a start": ([turn("end", "Without a start.")], ["Without a start."]),
    "an update without a start": ([turn("update", "No"), turn("end", "No start.")], ["No start."]),
    "an update after the eager end": (
        [turn("start"), turn("eager_end", "Half"), turn("update", "Half of it"), turn("end", "Half of it.")],
        ["Half of it."],
    ),
    "two starts": ([turn("start"), turn("start"), turn("end", "Once.")], ["Once."]),
    "two starts with words between": (
        [turn("start"), turn("update", "First"), turn("start"), turn("end", "Second.")],
        ["First", "Second."],
    ),
    "a resume out of nothing": ([turn("resume"), turn("start"), turn("resume"), turn("end", "Fine.")], ["Fine."]),
    "an end with less text than before": (
        [turn("start"), turn("update", "All of this"), turn("end", "All of")],
        ["All of"],
    ),
    "unknown events": (
        [{"type": "turn.whisper"}, {"type": "weather", "sun": True}, turn("start"), turn("end", "Known.")],
        ["Known."],
    ),
    "unknown fields": (
        [turn("start", mood="good"), turn("end", "Plain.", words=[{"w": 1}], score=0.5, transcript_2="x")],
        ["Plain."],
    ),
    "no JSON": (
        ["not json", "", "[1, 2", "null", "[]", '"text"', turn("start"), turn("end", "Sound.")],
        ["Sound."],
    ),
    "JSON of the wrong kinds": (
        [
            turn("start"),
            {"type": "turn.update", "transcript": 5},
            {"type": "turn.end"},
            {"type": 7},
            {},
            turn("end", "Right."),
        ],
        ["Right."],
    ),
    "bytes": ([b"\x00\xff\x10", turn("start"), turn("end", "Text.")], ["Text."]),
    "an error that ends nothing": (
        [
            turn("start"),
            {"type": "error", "title": "Oops", "message": "try later", "error_code": "odd", "status_code": 500},
            turn("end", "Still here."),
        ],
        ["Still here."],
    ),
    "greeted twice": (
        [turn("start"), {"type": "connected", "request_id": "r2"}, turn("end", "Once more.")],
        ["Once more."],
    ),
}
GOOD = "And this is heard."


async def send(peer: Peer, message: dict[str, Any] | str | bytes) -> None:
    match message:
        case dict():
            text: TextMessage | BytesMessage = TextMessage(json.dumps(message))
        case str():
            text = TextMessage(message)
        case _:
            text = BytesMessage(message)
    peer.writer.write(peer.wire.send(text))
    await peer.writer.drain()


async def faulty_call(there: Stage, speech: ScriptedSpeech, opening: asyncio.Lock, name: str) -> None:
    messages, expected = FAULTS[name]
    call = SimulatedCall(there.line())
    async with opening:
        number = len(speech.stt)
        await call.place()
        peer = await speech.listener(number)
    try:
        for message in messages:
            await send(peer, message)
            await call.pause(0.05)
        assert await call.wait_for_agent(10, silence_s=0.4, after=0.0), "the turn was not answered"
        begin = call.now
        await peer.say_turn(GOOD)
        assert await call.wait_for_agent(10, silence_s=0.4, after=begin), "the turn behind it was not answered"
        assert call.live
    finally:
        await call.hang_up()
    journal = await there.journal(call)
    # A turn without words may be in the record; words may neither be missing nor be there twice.
    turns = [entry["transcript"] for entry in journal.all("caller_spoke") if entry["transcript"]]
    assert turns == [*expected, GOOD]
    assert journal.entries[-1]["entry"] == "call_closed"
    assert journal.entries[-1]["reason"] == "caller"
    assert call.problems == []
    heard = [entry["heard"] for entry in journal.all("agent_spoke") if entry["occasion"] == "turn.ended"]
    assert heard[-1] == "Understood."


async def faulty_calls(folder: Path) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any] | None:
        return {"say": "Understood."} if body["type"] == "turn.ended" else None

    opening = asyncio.Lock()
    async with ScriptedSpeech().running() as speech, stage(folder, speech.url, answer) as there:
        results = await asyncio.gather(
            *(faulty_call(there, speech, opening, name) for name in FAULTS), return_exceptions=True
        )
    wrong = {name: result for name, result in zip(FAULTS, results, strict=True) if result is not None}
    assert not wrong


class StrangeVoice(ScriptedSpeech):
    """Speaks also of contexts that nobody asked for, and what is no message, before each answer."""

    async def _speak(self, peer: Peer, message: dict[str, Any]) -> None:
        if not message.get("cancel"):
            data = base64.b64encode(b"\x05" * 4000).decode()
            for odd in (
                {"type": "chunk", "context_id": "nobody", "data": data, "done": False, "status_code": 206},
                {"type": "done", "context_id": "nobody", "done": True, "status_code": 200},
                {"type": "chunk", "context_id": message["context_id"], "data": "*** no base64 ***", "done": False},
                {"type": "hum", "context_id": message["context_id"]},
                "no json",
                b"\x01\x02",
            ):
                await send(peer, odd)
        await super()._speak(peer, message)


async def strange_voice(folder: Path) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any] | None:
        return {"say": "Only this."} if body["type"] == "call.started" else None

    async with StrangeVoice().running() as speech, stage(folder, speech.url, answer) as there:
        async with SimulatedCall(there.line()) as call:
            assert await call.wait_for_agent(10, silence_s=0.5, after=0.0)
            heard = b"".join(stretch.audio for stretch in call.heard)
            assert call.live
            await call.hang_up()
        journal = await there.journal(call)
    assert b"\x05" * 100 not in heard
    assert len(heard) == 2 * 2000
    (spoke,) = journal.all("agent_spoke")
    assert (spoke["heard"], spoke["unheard"]) == ("Only this.", "")


class MuteService(ScriptedSpeech):
    """Accepts every connection, and never says a word on those of `paths`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    async def _open(self, request: Request, writer: asyncio.StreamWriter, wire: WSConnection) -> Peer | None:
        peer = await super()._open(request, writer, wire)
        if peer is not None and peer.path.startswith(self._path):
            peer.send = _nothing  # type: ignore[method-assign]  # as mute as can be
        return peer


async def _nothing(message: dict[str, Any]) -> None:
    pass


async def mute_service(folder: Path, path: str) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any] | None:
        return {"say": "Hello there."} if body["type"] == "call.started" else {"say": "Yes."}

    async with MuteService(path).running() as speech, stage(folder, speech.url, answer) as there:
        async with SimulatedCall(there.line()) as call:
            peer = await speech.listener()
            if path == "/stt/":
                assert await call.wait_for_agent(10, silence_s=0.5, after=0.0), "the greeting was not heard"
                await call.pause(5.0)
                assert call.live
                await call.hang_up()
            else:
                await call.pause(1.0)
                await peer.say_turn("Is anybody there?")
                async with asyncio.timeout(45):
                    # Without a voice there is no call: it ends by itself, with the carrier's own voice.
                    assert await call.ended() == "bridge_hung_up"
                assert "<Say" in call.twiml[-1].text
        journal = await there.journal(call)
    assert journal.entries[-1]["entry"] == "call_closed"
    if path == "/tts/":
        assert [one["transcript"] for one in journal.all("caller_spoke")] == ["Is anybody there?"]
        assert "speech_timeout" in journal.problems


@pytest.mark.timeout(70)
async def test_a_service_that_breaks_the_rules_costs_no_call_and_no_word(tmp_path: Path) -> None:
    await asyncio.gather(
        faulty_calls(tmp_path / "turns"),
        strange_voice(tmp_path / "voice"),
        mute_service(tmp_path / "mute_listener", "/stt/"),
        mute_service(tmp_path / "mute_voice", "/tts/"),
    )
