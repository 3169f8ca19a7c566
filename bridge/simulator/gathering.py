"""Acts the verbs that listen to one leg: `<Gather>` collects its keys, `<Record>` takes down what it says."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from functools import cache
from typing import Any, Final

from bridge.audio import codec
from bridge.simulator.legs import Legs
from bridge.simulator.record import laid_out
from bridge.simulator.sound import BYTES_PER_S
from bridge.simulator.verbs import Gather, Record
from bridge.tasks import spawn

_LOOK_S: Final = 0.02
_BEEP_S: Final = 0.3
_BEEP_HZ: Final = 1000


async def gather(verb: Gather, legs: Legs, nested: Coroutine[Any, Any, None]) -> str:
    """Collect keys as the verb says; empty if its time was up without one. A key cuts short what is nested.

    Cancelling collects no more; the keys so far are lost, as they are when a call is redirected.
    """
    legs.sound.run()
    keys: list[str] = []
    playing = spawn(nested, name="simulated_gather_prompt")
    first = spawn(legs.keypad.next(None), name="simulated_gather")
    try:
        await asyncio.wait({playing, first}, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            await asyncio.wait({first}, timeout=verb.timeout_s)
        key = first.result() if first.done() else None
    finally:
        playing.cancel()
        first.cancel()
        await asyncio.wait({playing, first})
    while key is not None and key != verb.finish_on_key:
        keys.append(key)
        if len(keys) == verb.num_digits:
            break
        key = await legs.keypad.next(verb.timeout_s)
    return "".join(keys)


class Taking:
    """Takes down what a leg says: until it is quiet, presses a key, hangs up, or the time is up."""

    def __init__(self, verb: Record, legs: Legs) -> None:
        self._verb = verb
        self._legs = legs
        self._begin: float | None = None
        self.key = ""
        """With which it was ended."""

    @property
    def seconds(self) -> float:
        """How long it is, without the quiet at its end; 0 if nothing was said."""
        return 0.0 if self._begin is None else max(0.0, self._legs.sound.last_loud_s - self._begin)

    @property
    def audio(self) -> bytes:
        """What was said, in mu-law."""
        begin = round((self._begin or 0.0) * BYTES_PER_S)
        return laid_out(self._legs.record.sent)[begin : begin + round(self.seconds * BYTES_PER_S)]

    async def run(self) -> None:
        """Play the tone, and take down what is said after it. Cancelling ends it where it is."""
        verb, legs = self._verb, self._legs
        if verb.play_beep:
            played = asyncio.Event()
            legs.sound.play(beep(), played.set)
            await played.wait()
        legs.sound.run()
        self._begin = begin = legs.clock()
        legs.record.report(begin, "recording")
        key = spawn(legs.keypad.next(None), name="simulated_record")
        try:
            while True:
                now, heard = legs.clock(), max(begin, legs.sound.last_loud_s)
                if key.done() and key.result() in set(verb.finish_on_key):
                    self.key = key.result() or ""
                    return
                if now - heard >= verb.timeout_s or now - begin >= verb.max_length_s:
                    return
                await asyncio.wait({key}, timeout=_LOOK_S)
        finally:
            key.cancel()


@cache
def beep() -> bytes:
    """The tone before a recording, in mu-law."""
    count = round(_BEEP_S * BYTES_PER_S)
    samples = (round(6000 * math.sin(2 * math.pi * _BEEP_HZ * at / BYTES_PER_S)) for at in range(count))
    return codec.linear16_to_mulaw(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
