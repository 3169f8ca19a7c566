"""Recorded speech while the connection to the speech server breaks: one turn, and the words as if nothing had been.

Three drops run with the other tests. All sixty (each half second of the sentence, the server away for 0, 1 and 5 s)
take long, want a machine for themselves, and are run by asking for them:

    ALL_CUTS=1 python -m pytest -s tests/turn_taking/test_cut_connections.py
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer  # type: ignore[import-untyped]  # it has no types

from bridge.simulator.caller import SimulatedCall
from tests.turn_taking import voices
from tests.turn_taking.speech_relay import SpeechRelay
from tests.turn_taking.stage import show, stage

ALL = bool(os.environ.get("ALL_CUTS"))
CUTS = (
    [(0.5 * number, away_s) for away_s in (0.0, 1.0, 5.0) for number in range(1, 21)]
    if ALL
    else [(1.0, 5.0), (4.0, 1.0), (6.5, 0.0)]
)
AT_ONCE = 2 if ALL else 1
"""Calls at the same time: the local speech server has one core at most to listen with, and must keep up."""
START_S = 0.5
WITHIN_S = 60.0
"""In which the turn has to end after the last word. Nothing of it is measured: others use the machine too."""


@dataclass(frozen=True)
class Heard:
    """What became of the sentence."""

    at_s: float
    away_s: float
    turns: list[str]
    whole: bool
    late_s: float
    connections: int
    turned_away: int
    """How often the speech server took no connection, because it had fallen behind."""

    @property
    def text(self) -> str:
        return "".join(self.turns)


async def one_cut(speech_url: str, folder: Path, at_s: float, away_s: float, slots: asyncio.Semaphore) -> Heard:
    sound = voices.recorded(voices.LONG_S)
    environment = {"BRIDGE_AGENT__KIND": "none", "BRIDGE_AGENT__URL": "", "BRIDGE_TURNS__OUTAGE_SECONDS": "20"}
    async with (
        slots,
        SpeechRelay(speech_url).running() as relay,
        stage(folder, relay.url, lambda body: None, **environment) as there,
        SimulatedCall(there.line()) as call,
    ):
        async with asyncio.timeout(30):
            await relay.listening.wait()  # Else there is nothing to be cut yet on a busy machine.
        start_s = call.now + START_S
        await asyncio.gather(call.say(sound, at=start_s), cut(call, relay, start_s + at_s, away_s))
        end_s = start_s + len(sound) / 8000
        while call.now < end_s + WITHIN_S:
            (path,) = folder.rglob("journal.jsonl")
            if b"caller_spoke" in path.read_bytes():
                break
            await call.pause(0.2)
        await call.pause(1.0)  # for what may come behind it
        await call.hang_up()
        spoke = (await there.journal(call)).all("caller_spoke")
        return Heard(
            at_s,
            away_s,
            [turn["transcript"] for turn in spoke],
            not any(turn["degraded"] or turn["incomplete"] for turn in spoke),
            max((turn["ended_ms"] / 1000 for turn in spoke), default=99.0) - end_s,
            relay.listened,
            relay.turned_away,
        )


async def cut(call: SimulatedCall, relay: SpeechRelay, at_s: float, away_s: float) -> None:
    await call.pause(at_s - call.now)
    if away_s >= 0:
        relay.cut(away_s)


@pytest.mark.timeout(900 if ALL else 300)
async def test_a_recorded_sentence_outlives_a_broken_connection(speech_url: str, tmp_path: Path) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    cases = [(0.0, -1.0), *CUTS]  # The first is undisturbed.
    results = await asyncio.gather(
        *(one_cut(speech_url, tmp_path / str(number), *case, slots) for number, case in enumerate(cases))
    )
    for number, one in enumerate(results):
        if one.turned_away:  # That was not the cut's doing: once more, with the server to itself.
            results[number] = await one_cut(speech_url, tmp_path / f"{number} again", *cases[number], slots)
    first, *heard = results
    normal = EnglishTextNormalizer()
    reference = normal(first.text)
    rates = [jiwer.wer(reference, normal(one.text)) for one in heard]
    show(f"undisturbed: {first.turns}")
    for one, rate in zip(heard, rates, strict=True):
        show(
            f"cut at {one.at_s:4.1f} s for {one.away_s:g} s: {len(one.turns)} turn, {rate:5.1%} of the words"
            f" differ, ended {one.late_s:5.2f} s after the last, {one.connections} connections: {one.text!r}"
        )
    mean = sum(rates) / len(rates)
    show(f"{len(heard)} cuts, {sum(len(one.turns) == 1 for one in heard)} in one turn, mean difference {mean:.1%}")
    assert (len(first.turns), first.whole) == (1, True), "the recogniser cannot keep up, so nothing can be compared"
    assert first.connections == 1
    assert all(one.connections > 1 for one in heard)
    assert [one for one in heard if len(one.turns) != 1 or not one.whole] == []
    # A recogniser that begins in mid-sentence has less to go by, and may hear two words of thirty otherwise; more
    # is a phrase that was lost or said twice.
    assert max(rates) <= 0.1
    assert mean <= (0.04 if ALL else 0.06)
