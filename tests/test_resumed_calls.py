"""A bridge is killed in mid-call and started again: the caller goes on talking with it. Real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.conversation import journal as j
from bridge.store.files import read_journal
from tests.resumed_calls import FLOW, begin, crash_in_flow, kill, world
from tests.waiting import until


async def test_a_call_goes_on_when_its_process_was_killed(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        agent = made.agent
        async with made.serving() as process:
            talk = await begin(made)
            await talk.say("I want a bike")
            await until(lambda: agent.turns(agent.asked[0].call) if agent.asked else False)
            assert await talk.call.wait_for_agent(10, silence_s=0.5, after=0.0)
            agent.slow_for = "A red one"
            await talk.say("A red one")
            await until(lambda: len(agent.turns(agent.asked[0].call)) == 2)
            died = talk.call.now
            await kill(made, process, None)
        agent.slow_for = ""
        async with made.serving():
            await until(lambda: talk.heard_again() is not None)
            await until(lambda: len(agent.turns(agent.asked[0].call)) == 3)
            peer = await made.speech.listener(1)
            await peer.say_turn("And a bell")
            await until(lambda: len(agent.turns(agent.asked[0].call)) == 4)
            await talk.call.hang_up()
            (journal,) = made.journals()
            await until((journal.parent / "timeline.svg").exists)

    assert {problem.code for problem in talk.call.problems} <= {"status_callback"}  # Nobody was there to be told.
    assert len({one.call for one in agent.asked}) == 1
    bike, red, again, bell = agent.turns(agent.asked[0].call)
    assert (again.transcript, again.turn, again.id) == (red.transcript, 2, red.id)
    assert again.messages == red.messages
    assert bell.turn == 3
    assert [one["content"] for one in bell.messages if one["role"] == "user"] == [
        "I want a bike",
        "A red one",
        "And a bell",
    ]
    assert bike.messages == bell.messages[: len(bike.messages)]

    _, entries = await asyncio.to_thread(read_journal, journal)
    kinds = [type(entry) for entry in entries]
    assert kinds.count(j.CallOpened) == kinds.count(j.CallTakenOver) == kinds.count(j.CallClosed) == 1
    (resumed,) = [entry for entry in entries if isinstance(entry, j.StreamResumed)]
    (taken,) = [entry for entry in entries if isinstance(entry, j.CallTakenOver)]
    assert taken.epoch == 2
    assert died * 1000 < taken.at_ms + 500
    assert taken.at_ms <= resumed.at_ms
    assert [entry.turn for entry in entries if isinstance(entry, j.CallerSpoke)] == [1, 2, 3]
    replies = [entry.reply for entry in entries if isinstance(entry, j.AgentSpoke)]
    assert replies == sorted({*replies})
    assert any("cut off" in entry.heard + entry.unheard for entry in entries if isinstance(entry, j.AgentSpoke))


async def test_a_flow_goes_on_at_the_step_at_which_its_process_was_killed(tmp_path: Path) -> None:
    async with world(tmp_path, flow=FLOW) as made:
        await crash_in_flow(made)
        (journal,) = made.journals()
        await until((journal.parent / "timeline.svg").exists)
    _, entries = await asyncio.to_thread(read_journal, journal)
    assert [entry.digits for entry in entries if isinstance(entry, j.DigitsGathered) and entry.digits] == ["1234"]
    assert len([entry for entry in entries if isinstance(entry, j.CallTakenOver)]) == 2
