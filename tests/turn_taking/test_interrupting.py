"""Interrupting at ten points of a long answer: the agent is told what the caller really heard, to the word.

The interruption is recorded human speech, in real time, through the local speech server. What was really heard is
reckoned from the bytes that the simulated phone played (`truth.py`). Run it with `-s` for the figures.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.turn_taking import truth, voices
from tests.turn_taking.speech_relay import SpeechRelay
from tests.turn_taking.stage import Stage, show, stage

ANSWER = (
    "Our workshop opens at nine in the morning from Monday to Friday, and on Saturday we begin an hour later. "
    "If your bicycle only needs a new chain or a pair of tyres, you can usually wait for it. "
    "For anything bigger, please leave it with us, and we will ring you before the evening."
)
POINTS_MS = (400, 1000, 1700, 2300, 3100, 3900, 4600, 5500, 6400, 7300)
LAGS_MS = (0, 80)
"""The even calls are made from next door, the odd ones over a slow network."""


@dataclass(frozen=True)
class Cut:
    """One interrupted answer."""

    point_ms: int
    lag_ms: int
    told: int
    """Words that the agent was told the caller had heard."""
    whole: int
    """Words that had sounded to their end."""
    begun: int
    """Words of which at least something had sounded."""
    silent_ms: int
    """From the beginning of the caller's voice to the end of the agent's."""


async def interrupted_call(there: Stage, relay: SpeechRelay, number: int) -> Cut:
    point_ms, lag_ms = POINTS_MS[number], LAGS_MS[number % 2]
    interruption = voices.recorded(voices.HEAVEN_S)
    async with SimulatedCall(there.line(lag_ms=lag_ms)) as call:
        began = await call.wait_agent_speaking(10)
        assert began is not None
        said = await call.say(interruption, at=began + point_ms / 1000)
        await there.agent.until(lambda: any("interrupted" in one.body for one in there.agent.turns(call)), 10)
        start = said.speech_start_s
        assert start is not None
        # Of the last question, for a speculative one may have been asked with half of the words.
        told = there.agent.turns(call)[-1].body["interrupted"]
        stretches = [one for one in call.heard if one.start_s < start]
        silent_s = max(one.end_s for one in stretches) - start
        await call.hang_up()
        journal = await there.journal(call)
    heard = truth.heard_of(relay, ANSWER, stretches)
    words = told["heard"].split()
    assert told["heard"] + told["unheard"] == ANSWER
    assert words == ANSWER.split()[: len(words)]
    (entry,) = [one for one in journal.all("agent_spoke") if one["interrupted"]]
    assert (entry["heard"], entry["unheard"]) == (told["heard"], told["unheard"])
    assert call.problems == []
    return Cut(
        point_ms,
        lag_ms,
        len(words),
        heard.whole_words,
        heard.begun_words,
        round(1000 * silent_s),
    )


@pytest.mark.timeout(120)
async def test_what_the_agent_is_told_is_what_the_phone_played(relay: SpeechRelay, tmp_path: Path) -> None:
    def answer(body: dict[str, object]) -> dict[str, object] | None:
        return {"say": ANSWER} if body["type"] == "call.started" else None

    async with stage(tmp_path, relay.url, answer) as there:
        # All at once: no two of them speak at the same time for long.
        cuts = await asyncio.gather(*(interrupted_call(there, relay, number) for number in range(len(POINTS_MS))))
    for cut in cuts:
        show(
            f"interrupted at {cut.point_ms:4} ms, lag {cut.lag_ms:2} ms: silent after {cut.silent_ms:3} ms,"
            f" told {cut.told:2} words, {cut.whole:2} had sounded, {cut.begun:2} had begun"
        )
    exact = sum(cut.told == cut.whole for cut in cuts)
    show(f"{len(cuts)} interruptions: {exact} exact, the others one word less; never one more")
    for cut in cuts:
        assert cut.told <= cut.whole, f"told of a word that had not sounded: {cut}"
        assert cut.told >= cut.whole - 1, f"more than one word was forgotten: {cut}"
        assert cut.silent_ms < 2500, cut  # About 500 on a machine of one's own.
