"""The speech socket dropped at every second of a ten-second sentence: every word once, in one turn.

Thirty calls at once: ten moments, and the service away for 0, 1 and 5 seconds. The service recognises each word
by its sound alone (`hearing_speech.py`), so what is missing or doubled here was lost or sent twice by the bridge.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.turn_taking.hearing_speech import WORD_BYTES, HearingSpeech, sound_of_words
from tests.turn_taking.stage import show, stage

SENTENCE = [
    "it",
    "was",
    "the",
    "best",
    "of",
    "times",
    "it",
    "was",
    "the",
    "worst",
    "of",
    "times",
    "it",
    "was",
    "the",
    "age",
    "of",
    "wisdom",
    "it",
    "was",
    "the",
    "age",
    "of",
    "foolishness",
    "it",
    "was",
    "the",
    "epoch",
    "of",
    "belief",
    "it",
    "was",
    "the",
    "epoch",
    "of",
    "incredulity",
    "it",
    "was",
    "the",
    "season",
]
MOMENTS_S = tuple(float(number) for number in range(1, 11))
AWAY_S = (0.0, 1.0, 5.0)
START_S = 0.6
"""Before the caller begins to speak."""


@dataclass(frozen=True)
class Outcome:
    """What became of the sentence."""

    at_s: float
    away_s: float
    turns: list[str]
    degraded: bool
    late_s: float
    """From the end of the sentence to the end of the turn."""
    connections: int
    replayed_s: float
    """Audio that the service got, beyond what the caller sent."""

    @property
    def right(self) -> bool:
        return [text.split() for text in self.turns] == [SENTENCE] and not self.degraded


async def one_drop(folder: Path, at_s: float, away_s: float) -> Outcome:
    speech = HearingSpeech(SENTENCE)
    environment = {"BRIDGE_AGENT__KIND": "none", "BRIDGE_AGENT__URL": ""}
    async with speech.running(), stage(folder, speech.url, lambda body: None, **environment) as there:
        async with SimulatedCall(there.line()) as call:
            await speech.listener()
            said = call.say(sound_of_words(len(SENTENCE)), at=START_S)
            await asyncio.gather(said, drop(call, speech, START_S + at_s, away_s))
            session = there.bridge.registry.live[call.call_sid]
            # The turn ends by itself. A connection takes as long as the machine needs to come back and to catch up.
            for _ in range(400):
                if (here := [*folder.rglob("journal.jsonl")]) and b"caller_spoke" in here[0].read_bytes():
                    break
                await call.pause(0.1)
            await call.pause(0.5)
            sent = sum(len(stretch.audio) for stretch in call.sent)
            assert not session.ended.is_set()
        journal = await there.journal(call)
    spoke = journal.all("caller_spoke")
    end_s = START_S + len(SENTENCE) * WORD_BYTES / 8000
    return Outcome(
        at_s,
        away_s,
        [turn["transcript"] for turn in spoke],
        any(turn["degraded"] or turn["incomplete"] for turn in spoke),
        max((turn["ended_ms"] / 1000 for turn in spoke), default=99.0) - end_s,
        len(speech.stt),
        (sum(len(peer.audio) for peer in speech.stt) - sent) / 8000,
    )


async def drop(call: SimulatedCall, speech: HearingSpeech, at_s: float, away_s: float) -> None:
    await call.pause(at_s - call.now)
    speech.cut(away_s)


@pytest.mark.timeout(120)
async def test_a_sentence_outlives_its_speech_socket_at_any_moment(tmp_path: Path) -> None:
    cases = [(at_s, away_s) for away_s in AWAY_S for at_s in MOMENTS_S]
    outcomes = await asyncio.gather(
        *(one_drop(tmp_path / str(number), at_s, away_s) for number, (at_s, away_s) in enumerate(cases))
    )
    for away_s in AWAY_S:
        group = [one for one in outcomes if one.away_s == away_s]
        show(
            f"away for {away_s:g} s: {sum(one.right for one in group)} of {len(group)} sentences whole in one turn,"
            f" ended {min(one.late_s for one in group):.2f} to {max(one.late_s for one in group):.2f} s after the"
            f" last word, at most {max(one.connections for one in group)} connections,"
            f" {max(one.replayed_s for one in group):.1f} s sent again"
        )
    wrong = [f"dropped at {one.at_s:g} s for {one.away_s:g} s: {one.turns}" for one in outcomes if not one.right]
    assert not wrong, "\n".join(wrong)
