"""Acts the verbs that listen to one leg: `<Gather>` collects its keys, `<Record>` takes down what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from bridge.simulator.legs import Legs
from bridge.simulator.verbs import Gather, Record
from bridge.tasks import spawn

_LOOK_S: Final = 0.02


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


async def record(verb: Record, legs: Legs) -> tuple[float, str]:
    """Take down what the leg says until it is quiet, presses a key or the time is up: seconds, and the key.

    0 seconds if nothing was said.
    """
    legs.sound.run()
    begin = legs.clock()
    key = spawn(legs.keypad.next(None), name="simulated_record")
    try:
        while True:
            now, heard = legs.clock(), max(begin, legs.sound.last_loud_s)
            if key.done() and key.result() in set(verb.finish_on_key):
                return max(0.0, heard - begin), key.result() or ""
            if now - heard >= verb.timeout_s or now - begin >= verb.max_length_s:
                return max(0.0, heard - begin), ""
            await asyncio.wait({key}, timeout=_LOOK_S)
    finally:
        key.cancel()
