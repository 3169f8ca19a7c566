"""Interrupting at ten points of a long answer: the agent is told what the caller really heard, to the word.

The voice is that of the local speech server, in real time. What hears the interruption knows its words by their
sound (`hearing_speech.py`), so that it comes where it shall come, however busy the machine is. What was really
heard is reckoned from the bytes that the simulated phone played (`truth.py`). Run it with `-s` for the figures.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.lateness import Lateness
from tests.turn_taking import truth
from tests.turn_taking.hearing_speech import HearingSpeech, sound_of_words
from tests.turn_taking.speech_relay import RATE, SpeechRelay
from tests.turn_taking.stage import Stage, show, stage

ANSWER = (
    "Our workshop opens at nine in the morning from Monday to Friday, and on Saturday we begin an hour later. "
    "If your bicycle only needs a new chain or a pair of tyres, you can usually wait for it. "
    "For anything bigger, please leave it with us, and we will ring you before the evening."
)
POINTS_MS = (400, 1000, 1700, 2300, 3100, 3900, 4600, 5500, 6400, 7300)
INTERRUPTION = ["we", "were", "all", "going", "direct", "to", "heaven"]
LAGS_MS = (0, 80)
"""The even calls are made from next door, the odd ones over a slow network."""
MESSAGES = 4
"""That follow one another until it is silent: marks, the voice that interrupts, its turn, and the clear."""
_PATIENCE_S = 45.0
"""For ten long answers that are spoken at once, beside other tests."""


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
    under_way: int
    """Of the words that had sounded to their end, those that did so while messages were late."""
    late_ms: int
    """How late these were altogether: hardly at all on a machine of one's own."""
    silent_ms: int
    """From the beginning of the caller's voice to the end of the agent's."""


async def interrupted_call(there: Stage, relay: SpeechRelay, number: int) -> Cut:
    point_ms, lag_ms = POINTS_MS[number], LAGS_MS[number % 2]
    interruption = sound_of_words(len(INTERRUPTION))
    async with SimulatedCall(there.line(lag_ms=lag_ms)) as call:
        began = await call.wait_agent_speaking(_PATIENCE_S)
        assert began is not None
        late = Lateness()
        async with late.watched():
            said = await call.say(interruption, at=began + point_ms / 1000)
            await there.agent.until(
                lambda: any("interrupted" in one.body for one in there.agent.turns(call)), _PATIENCE_S
            )
        start = said.speech_start_s
        assert start is not None
        # Of the last question, for a speculative one may have been asked with half of the words.
        told = there.agent.turns(call)[-1].body["interrupted"]
        stretches = [one for one in call.heard if one.start_s < start]
        silent_s = max(one.end_s for one in stretches) - start
        await call.hang_up()
        journal = await there.journal(call)
    heard, late_s = truth.heard_of(relay, ANSWER, stretches), MESSAGES * late.worst_s
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
        heard.whole_words - heard.spoken.whole_words(heard.reached - round(late_s * RATE)),
        round(1000 * late_s),
        round(1000 * silent_s),
    )


@pytest.mark.timeout(120)
async def test_what_the_agent_is_told_is_what_the_phone_played(speech_url: str, tmp_path: Path) -> None:
    def answer(body: dict[str, object]) -> dict[str, object] | None:
        return {"say": ANSWER} if body["type"] == "call.started" else None

    ears = HearingSpeech(INTERRUPTION)
    async with (
        ears.running(),
        SpeechRelay(speech_url, listening=ears.url).running() as relay,
        stage(tmp_path, relay.url, answer) as there,
    ):
        # All at once: no two of them speak at the same time for long.
        cuts = await asyncio.gather(*(interrupted_call(there, relay, number) for number in range(len(POINTS_MS))))
    for cut in cuts:
        show(
            f"interrupted at {cut.point_ms:4} ms, lag {cut.lag_ms:2} ms: silent after {cut.silent_ms:3} ms,"
            f" told {cut.told:2} words, {cut.whole:2} had sounded, {cut.begun:2} had begun; {cut.late_ms} ms late"
        )
    exact = sum(cut.told == cut.whole for cut in cuts)
    show(f"{len(cuts)} interruptions, {exact} of them exact")
    for cut in cuts:
        assert cut.told <= cut.whole, f"told of a word that had not sounded: {cut}"
        assert cut.told >= cut.whole - 1 - cut.under_way, f"more than one word was forgotten: {cut}"
        assert cut.silent_ms < 2500 + cut.late_ms, cut  # About 300 on a machine of one's own.
