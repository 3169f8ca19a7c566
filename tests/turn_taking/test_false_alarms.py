"""Coughs and "okay": the agent falls silent, goes on, and not a word is lost, judged from what the phone played."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.turn_taking import truth, voices
from tests.turn_taking.speech_relay import SpeechRelay
from tests.turn_taking.stage import Stage, heard_after, show, stage

ANSWER = (
    "Thank you for waiting. We have two rooms left for that weekend, one with a view of the lake and one that "
    "looks out on the garden, and both of them come with breakfast until eleven."
)


def answer(body: dict[str, Any]) -> dict[str, Any] | None:
    return {"say": ANSWER} if body["type"] == "call.started" else {"say": "This was not to be asked."}


async def disturbed(
    there: Stage, relay: SpeechRelay, sounds: list[tuple[float, bytes]], **line: Any
) -> truth.Heard:
    """Let the caller make `sounds`, and hear the agent to its end.

    The first is made at this second of the agent's speech, each other one so long after it has gone on speaking.
    """
    async with SimulatedCall(there.line(**line)) as call:
        for number, (at, sound) in enumerate(sounds):
            after = (call.said[-1].speech_end_s or 0.0) if number else 0.0
            began = await call.wait_agent_speaking(10, after=after)
            assert began is not None, "the agent did not go on"
            await call.say(sound, at=began + at)
        # Longer than any false alarm keeps the agent silent.
        assert await call.wait_until_agent_silent(3.5, 30)
        stretches = heard_after(call, 0.0)
        assert [one.type for one in there.agent.of(call)] == ["call.started"], "something was asked"
        await call.hang_up()
        journal = await there.journal(call)
    (spoke,) = journal.all("agent_spoke")
    assert (spoke["heard"], spoke["unheard"], spoke["interrupted"]) == (ANSWER, "", False)
    assert call.problems == []
    silenced = len(journal.all("agent_silenced"))
    assert silenced == len(journal.all("agent_resumed"))
    heard = truth.heard_of(relay, ANSWER, stretches)
    assert len(heard.pieces) == silenced + 1
    return heard


@pytest.mark.timeout(90)
async def test_coughs_and_an_okay_lose_no_word_and_are_not_asked_about(relay: SpeechRelay, tmp_path: Path) -> None:
    cough = await asyncio.to_thread(voices.cough)
    okay, right = await asyncio.gather(*(voices.synthetic(relay, text) for text in ("Okay.", "Right.")))
    cases: dict[str, tuple[list[tuple[float, bytes]], dict[str, Any]]] = {
        "a cough": ([(1.3, cough)], {}),
        "two coughs": ([(2.2, cough), (0.7, cough)], {}),
        "a cough, slow line": ([(3.6, cough)], {"lag_ms": 80}),
        "two coughs, slow line, no marks after a clear": (
            [(0.8, cough), (1.6, cough)],
            {"lag_ms": 80, "after_clear": "never"},
        ),
        "an okay": ([(2.0, okay)], {}),
        "a right and an okay": ([(3.0, right), (1.0, okay)], {}),
    }
    async with stage(tmp_path, relay.url, answer) as there:
        results = await asyncio.gather(
            *(disturbed(there, relay, sounds, **line) for sounds, line in cases.values())
        )
    for name, heard in zip(cases, results, strict=True):
        show(f"{name}: {heard}")
    for heard in results:
        # The voice sounds on until the clear is there, longer over a slow line or from a busy machine: nobody can
        # know to which word, so the last two may come again. None is lost.
        heard.check(most_repeated=2)
        assert len(heard.pieces) > 1, "no sound silenced the agent"
    # Not every made-up cough is taken for a voice when there was one shortly before.
    unnoticed = sum(len(sounds) + 1 for sounds, _ in cases.values()) - sum(len(heard.pieces) for heard in results)
    assert unnoticed <= 2, "sounds did not silence the agent"
