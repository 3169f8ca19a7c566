"""Whole calls of ours: the API is asked, the carrier's REST API places them, and somebody answers, or does not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.party import Party
from bridge.simulator.rest import Fault
from tests.outbound.world import HUMAN, OURS, true, world, world_of
from tests.scripted_speech import sound_of

MESSAGE = "Please call us back."
VOICEMAIL = {"voicemail": MESSAGE}
PROMPT = "You have reached Jo. Please leave a message."


def sound(text: str) -> bytes:
    """How the scripted service speaks a text."""
    return b"".join(sound_of(number) for number in range(len(text.split())))


def heard(leg: SimulatedCall) -> bytes:
    return b"".join(stretch.audio for stretch in leg.heard)


def journal(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.rglob("journal.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def entries(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in journal(folder) if line.get("entry") == kind]


class TestAnswered:
    async def test_a_person_hears_the_greeting_and_talks_with_the_agent(self, tmp_path: Path) -> None:
        async with world(tmp_path, BRIDGE_AGENT__GREETING="Hello from the clinic.") as it:
            it.party(Party(after_s=0.05))
            call_id = await it.order(parameters={"customer": "4711", "name": "Jo"})
            leg = await it.leg()
            assert await leg.connected()
            assert (await it.until(call_id, "in-progress"))["sid"] == leg.call_sid
            assert await leg.wait_for_agent(5, silence_s=0.3)
            peer = await it.speech.listener()
            await peer.say_turn("Yes please.")
            assert await leg.wait_for_agent(5, silence_s=0.3)
            session = it.up.registry.live[leg.call_sid]
            assert (session.info.id, session.info.direction) == (call_id, "outbound")
            assert (session.info.caller, session.info.called) == (OURS, HUMAN)
            assert session.info.parameters == {"customer": "4711", "name": "Jo"}
            await leg.hang_up()
            call = await it.over(call_id)
            assert (call["status"], call["reason"], call["answered_by"]) == ("completed", "caller", None)
            assert call["duration_s"] is not None
            assert it.counted("outbound_calls_total", status="completed") == 1
        assert [entry["heard"] for entry in entries(tmp_path, "agent_spoke")] == [
            "Hello from the clinic.",
            "Yes please.",
        ]
        assert leg.problems == []

    async def test_a_call_has_a_greeting_of_its_own(self, tmp_path: Path) -> None:
        async with world(tmp_path, BRIDGE_AGENT__GREETING="Hello from the clinic.") as it:
            call_id = await it.order(greeting="Hello Jo!")
            leg = await it.leg()
            assert await leg.connected()
            assert await leg.wait_for_agent(5, silence_s=0.3, after=0)
            await leg.hang_up()
            await it.over(call_id)
        assert [entry["heard"] for entry in entries(tmp_path, "agent_spoke")] == ["Hello Jo!"]

    async def test_a_stream_that_is_there_before_the_carrier_has_answered_is_tied_to_its_order(
        self, tmp_path: Path
    ) -> None:
        async with world(tmp_path) as it:
            it.rest.faults.append(Fault(delay_s=0.5))
            call_id = await it.order(parameters={"name": "Jo"})
            leg = await it.leg()
            assert await leg.connected()
            call = await it.until(call_id, "in-progress")
            assert call["sid"] == leg.call_sid
            assert it.up.registry.live[leg.call_sid].info.id == call_id
            await leg.hang_up()
            assert (await it.over(call_id))["status"] == "completed"

    async def test_the_number_that_is_called_from_says_how_the_call_is_held(self, tmp_path: Path) -> None:
        config = tmp_path / "bridge.toml"
        config.write_text(
            f'[[numbers]]\nnumber = "{OURS}"\nagent = {{ kind = "echo", greeting = "Sales here." }}\n'
        )
        calls = tmp_path / "calls"
        async with world_of(calls, config, {}) as it:
            call_id = await it.order()
            leg = await it.leg()
            assert await leg.connected()
            assert await leg.wait_for_agent(5, silence_s=0.3, after=0)
            await leg.hang_up()
            await it.over(call_id)
        assert [entry["heard"] for entry in entries(calls, "agent_spoke")] == ["Sales here."]


class TestNotAnswered:
    @pytest.mark.parametrize("answer", ["busy", "no-answer", "failed"])
    async def test_nobody_can_be_talked_to(self, tmp_path: Path, answer: Any) -> None:
        async with world(tmp_path) as it:
            it.party(Party(answer))
            call = await it.over(await it.order(ring_seconds=5))
            assert (call["status"], call["duration_s"]) == (answer, 0)
            assert (call["reason"] == "call_failed") == (answer == "failed")
            assert it.up.registry.live == {}
            assert it.counted("outbound_calls_total", status=answer) == 1
        assert [*tmp_path.rglob("journal.jsonl")] == []

    async def test_the_phone_rings_as_long_as_is_asked_for(self, tmp_path: Path) -> None:
        async with world(tmp_path, BRIDGE_OUTBOUND__RING_SECONDS="31") as it:
            it.party(Party("busy"))
            await it.over(await it.order())
            await it.over(await it.order(ring_seconds=17))
            assert [form["Timeout"] for form in it.rest.created] == [["31"], ["17"]]

    async def test_a_call_that_rings_is_taken_back(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.party(Party(after_s=60))
            call_id = await it.order()
            await it.until(call_id, "ringing")
            status, call = await it.ask("DELETE", f"/{call_id}")
            assert (status, call["status"], call["reason"]) == (200, "canceled", "canceled")
            await true(lambda: it.rest.placed[0].status == "canceled")
            assert (await it.ask("DELETE", f"/{call_id}"))[0] == 200, "again is fine"

    async def test_a_live_call_is_hung_up(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            call_id = await it.order()
            leg = await it.leg()
            assert await leg.connected()
            await true(lambda: leg.call_sid in it.up.registry.live)
            assert (await it.ask("DELETE", f"/{leg.call_sid}"))[0] == 200
            assert await leg.ended() == "bridge_hung_up"
            call = await it.over(call_id)
            assert (call["status"], call["reason"]) == ("completed", "canceled")


class TestMachines:
    async def test_a_machine_hears_the_whole_message_and_nothing_else(self, tmp_path: Path) -> None:
        async with world(tmp_path, BRIDGE_AGENT__GREETING="Hello from the clinic.") as it:
            it.party(Party(answered_by="machine_end_beep", detection_s=0.05))
            call_id = await it.order(detect_machines="sync", **VOICEMAIL)
            leg = await it.leg()
            call = await it.over(call_id)
            assert (call["status"], call["answered_by"], call["reason"]) == (
                "completed",
                "machine_end_beep",
                "voicemail",
            )
            assert it.rest.created[0]["MachineDetection"] == ["DetectMessageEnd"]
            assert "AsyncAmd" not in it.rest.created[0]
            assert heard(leg) == sound(MESSAGE)
            assert [stretch for phone in leg.phones for stretch in phone.clears] == []
        assert [entry["heard"] for entry in entries(tmp_path, "agent_spoke")] == [MESSAGE]
        assert [entry["kind"] for entry in entries(tmp_path, "answerer_told")] == ["machine_end_beep"]

    async def test_a_machine_that_is_found_out_in_mid_greeting_hears_the_whole_message(
        self, tmp_path: Path
    ) -> None:
        greeting = "Hello, this is the clinic, am I speaking to Jo by any chance?"
        async with world(tmp_path, BRIDGE_AGENT__GREETING=greeting) as it:
            it.party(Party(answered_by="machine_end_silence", detection_s=1.5))
            call_id = await it.order(detect_machines="async", **VOICEMAIL)
            leg = await it.leg()
            peer = await it.speech.listener()
            await peer.turn("start")
            await peer.turn("update", PROMPT)
            call = await it.over(call_id)
            assert (call["status"], call["answered_by"], call["reason"]) == (
                "completed",
                "machine_end_silence",
                "voicemail",
            )
            assert it.rest.created[0]["AsyncAmd"] == ["true"]
            assert heard(leg).endswith(sound(MESSAGE))
        spoken = entries(tmp_path, "agent_spoke")
        assert [entry["interrupted"] for entry in spoken] == [True, False]
        assert spoken[1]["heard"] == MESSAGE

    async def test_a_machine_without_a_message_is_hung_up_on_before_there_is_a_stream(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.party(Party(answered_by="machine_start"))
            call = await it.over(await it.order(detect_machines="sync"))
            assert (call["status"], call["answered_by"], call["reason"]) == (
                "completed",
                "machine_start",
                "machine",
            )
            assert it.rest.created[0]["MachineDetection"] == ["Enable"]
            assert it.rest.placed[0].phones == []

    async def test_a_machine_without_a_message_that_is_found_out_later_is_hung_up_on(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.party(Party(answered_by="machine_start", detection_s=0.3))
            call = await it.over(await it.order(detect_machines="async"))
            assert (call["status"], call["answered_by"], call["reason"]) == (
                "completed",
                "machine_start",
                "machine",
            )

    async def test_a_fax_is_hung_up_on(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.party(Party(answered_by="fax"))
            call = await it.over(await it.order(detect_machines="sync", **VOICEMAIL))
            assert (call["status"], call["answered_by"], call["reason"]) == ("completed", "fax", "fax")

    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_a_person_is_talked_to_after_the_detection(self, tmp_path: Path, how: str) -> None:
        async with world(tmp_path, BRIDGE_AGENT__GREETING="Hello.", BRIDGE_OUTBOUND__DETECT_MACHINES=how) as it:
            it.party(Party(answered_by="human", detection_s=0.05))
            call_id = await it.order()
            leg = await it.leg()
            assert await leg.connected()
            assert await leg.wait_for_agent(5, silence_s=0.5, after=0)
            await leg.hang_up()
            call = await it.over(call_id)
            assert (call["status"], call["answered_by"], call["reason"]) == ("completed", "human", "caller")
        assert [entry["heard"] for entry in entries(tmp_path, "agent_spoke")] == ["Hello."]
        assert len(entries(tmp_path, "answerer_told")) == 1


class TestLimits:
    async def test_twenty_orders_against_two_at_a_time_and_five_a_second(self, tmp_path: Path) -> None:
        limits = {"BRIDGE_OUTBOUND__CONCURRENT_CALLS": "2", "BRIDGE_OUTBOUND__CALLS_PER_SECOND": "5"}
        async with world(tmp_path, **limits) as it:
            started: list[float] = []
            on_the_line, most = 0, 0

            async def short(leg: SimulatedCall) -> None:
                nonlocal on_the_line, most
                started.append(asyncio.get_running_loop().time())
                on_the_line += 1
                most = max(most, on_the_line)
                await leg.pause(0.35)
                on_the_line -= 1
                await leg.hang_up()

            numbers = [f"+155501000{number:02}" for number in range(20)]
            it.parties(**{number.replace("+", "p"): Party(does=short) for number in numbers})
            ids = await asyncio.gather(*(it.order(number) for number in numbers))
            assert {(await it.over(call_id))["status"] for call_id in ids} == {"completed"}
            assert most == 2
            created = [form["To"][0] for form in it.rest.created]
            assert created == numbers, "in the order in which they came"
            for begin in started:
                assert sum(begin <= at < begin + 0.95 for at in started) <= 6
            assert started[-1] - started[0] > 3.0
            assert it.counted("outbound_waiting") == 0

    async def test_a_full_queue_is_told(self, tmp_path: Path) -> None:
        limits = {"BRIDGE_OUTBOUND__CONCURRENT_CALLS": "1", "BRIDGE_OUTBOUND__QUEUE_LENGTH": "1"}
        async with world(tmp_path, **limits) as it:
            it.party(Party(after_s=60))
            first, waiting = await it.order(), await it.order()
            status, problem = await it.ask("POST", body={"to": HUMAN})
            assert (status, problem["code"]) == (429, "queue_full")
            assert it.counted("outbound_waiting") == 1
            assert (await it.ask("DELETE", f"/{waiting}"))[1]["status"] == "canceled"
            await it.ask("DELETE", f"/{first}")
            assert len(it.rest.created) == 1
