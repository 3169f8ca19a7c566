"""Recognition in whole calls: recorded people through the simulated carrier, the bridge and the speech server.

Run it alone with `-s` to see the table of what was heard.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer  # type: ignore[import-untyped]  # it has no types

from bridge.app import Bridge, running
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line, SimulatedCall
from tests.speech_set import PACKAGES, Recorded, recordings, speech_end_s

AT_ONCE = 4
"""Calls at the same time: well below what one core carries."""


@dataclass(frozen=True)
class Heard:
    """What became of one utterance."""

    spoken: Recorded
    text: str
    turns: int
    delay_s: float
    """From the end of the speech to the end of the last turn."""
    left_is_exact: bool
    """The recording's left channel is what was sent, to the byte."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("whole", "limit"),
    [
        pytest.param(True, 0.08, id="all"),
        # Three sentences of 46 words: each wrong word counts for two per cent.
        pytest.param(False, 0.15, id="packaged"),
    ],
)
async def test_recorded_people_are_understood(whole: bool, limit: float, tmp_path: Path) -> None:
    chosen = [one for one in recordings() if whole or "moonshine_voice" in str(one.path)]
    missing = [one.name for one in chosen if not one.there]
    if missing:
        pytest.skip(f"{len(missing)} recordings are not installed: apt-get install {PACKAGES}")
    settings = load_settings(
        environment={
            "BRIDGE_SERVER__PORT": "0",
            "BRIDGE_AGENT__KIND": "none",
            "BRIDGE_STORE__RECORDINGS": str(tmp_path),
        },
        files=(),
    )
    sounds = await asyncio.to_thread(lambda: [(one, one.mulaw()) for one in chosen])
    slots = asyncio.Semaphore(AT_ONCE)
    async with running(settings) as up:
        heard = await asyncio.gather(*(one_call(up, spoken, sound, tmp_path, slots) for spoken, sound in sounds))
    judge(heard, limit)


async def one_call(up: Bridge, spoken: Recorded, sound: bytes, folder: Path, slots: asyncio.Semaphore) -> Heard:
    """Let one person say one utterance in a call of their own."""
    async with slots, SimulatedCall(Line(up.url, up.auth_token)) as call:
        said = await call.say(sound)
        await call.pause(2.5)
        await call.hang_up()
        if (session := up.registry.live.get(call.call_sid)) is not None:
            await session.ended.wait()
        (journal,) = [path for path in folder.rglob("journal.jsonl") if call.call_sid in path.read_text()]
        entries = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
        sent = b"".join(stretch.audio for stretch in call.sent)
        left = journal.with_name("recording.wav").read_bytes()[-2 * len(sent) :][::2]
    turns = [entry for entry in entries if entry["entry"] == "caller_spoke" and entry["meaning"] == "words"]
    assert said.start_s is not None
    end_s = said.start_s + speech_end_s(sound)
    return Heard(
        spoken=spoken,
        text="".join(turn["transcript"] for turn in turns),
        turns=len(turns),
        delay_s=turns[-1]["ended_ms"] / 1000 - end_s if turns else float("inf"),
        left_is_exact=sound in left,
    )


def judge(heard: list[Heard], limit: float) -> None:
    """Show the table, and hold it against the limits."""
    normal = EnglishTextNormalizer()
    rate = jiwer.wer([normal(one.spoken.reference) for one in heard], [normal(one.text) for one in heard])
    delays = sorted(one.delay_s for one in heard)
    p95 = delays[min(len(delays) - 1, round(0.95 * len(delays)))]
    cuts = sum(one.turns - 1 for one in heard)
    for one in heard:
        print(f"{one.delay_s:5.2f} s  {one.turns} turn  {one.spoken.name:32} {one.text!r}")  # noqa: T201  The table is what `-s` is for.
    print(f"{len(heard)} utterances, word error rate {rate:.1%}, end of turn p95 {p95:.2f} s, wrong cuts {cuts}")  # noqa: T201
    assert all(one.turns for one in heard)
    assert rate < limit
    assert cuts <= 1
    assert p95 < 1.6  # On a machine of one's own it is about 1.0; this one may be busy.
    assert all(one.left_is_exact for one in heard)
