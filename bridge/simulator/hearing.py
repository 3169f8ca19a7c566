"""Judges what a caller has heard: words, through a speech service, and keys."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.listening import BYTES_PER_S, EARLY_S
from bridge.simulator.record import laid_out
from bridge.simulator.speech import Speech
from bridge.simulator.steps import ExpectDigits, ExpectText
from bridge.simulator.tones import keys_in

_LOOK_S: Final = 0.3
"""How often something is looked for while the agent talks."""
_SHORTEST_BYTES: Final = 1600
"""Nothing is recognised in less."""


async def expect_text(call: SimulatedCall, step: ExpectText, since_s: float, speech: Speech | None) -> str | None:
    """Wait until what was heard since then fits; a sentence if it did not in time.

    Only what sounded within the time counts; recognising it may take longer.
    """
    end_s = since_s + step.within_ms / 1000
    said = await _recognised(call, step.matches, since_s, end_s, speech)
    if said is None:
        return None
    if not said:
        return f"nothing was heard of the agent within {step.within_ms} ms that could be understood"
    return f"within {step.within_ms} ms the agent said {said!r}, which does not fit {step.matches!r}"


async def wait_until_said(
    call: SimulatedCall, pattern: str, since_s: float, timeout_s: float, speech: Speech | None
) -> str | None:
    """Wait until the agent has said something that fits; a sentence if it did not in time."""
    said = await _recognised(call, pattern, since_s, call.now + timeout_s, speech)
    if said is None:
        return None
    return f"the agent did not say {pattern!r} within {round(timeout_s * 1000)} ms, but {said!r}"


async def expect_digits(call: SimulatedCall, step: ExpectDigits, since_s: float) -> str | None:
    """Wait until the keys have sounded since then; a sentence if they did not in time."""
    end_s = since_s + step.within_ms / 1000
    while True:
        now = call.now
        keys = await asyncio.to_thread(keys_in, heard(call, since_s, min(now, end_s)))
        if step.keys in keys:
            return None
        if now >= end_s or not call.live:
            return f"the keys {step.keys!r} were not heard within {step.within_ms} ms, but {keys or 'none'!r}"
        await call.pause(_LOOK_S)


def heard(call: SimulatedCall, begin_s: float, end_s: float) -> bytes:
    """What sounded for the caller from `begin_s` to `end_s`, both call times."""
    audio = laid_out(call.heard)
    begin, end = (max(0, round(at_s * BYTES_PER_S)) for at_s in (begin_s, end_s))
    return audio[begin:end]


async def _recognised(
    call: SimulatedCall, pattern: str, since_s: float, end_s: float, speech: Speech | None
) -> str | None:
    """None as soon as what was heard from `since_s` to `end_s` fits; else all that was understood by then."""
    if speech is None:
        raise RuntimeError("a scenario that needs speech is run with it")
    wanted = re.compile(pattern, re.IGNORECASE)
    said, looked_at = "", b""
    while True:
        now = call.now
        audio = heard(call, max(0.0, since_s - EARLY_S), min(now, end_s)).rstrip(b"\xff")
        if len(audio) >= _SHORTEST_BYTES and audio != looked_at:
            said, looked_at = await speech.recognise(audio), audio
            if wanted.search(said):
                return None
        if now >= end_s or not call.live:
            return said
        await call.pause(_LOOK_S)
