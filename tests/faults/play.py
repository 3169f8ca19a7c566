"""Plays the call of a cell: up to its state, with the fault, and on as a caller would go on."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

from wsproto.utilities import LocalProtocolError

from bridge.simulator.caller import CallError
from tests.faults.catalogue import (
    AGENT_SPEAKS,
    BEFORE,
    CALLER_SPEAKS,
    COLD,
    END,
    SILENCE,
    THINKING,
    TRANSFER,
    VOICEMAIL,
)
from tests.faults.stage import Stage, warm
from tests.scripted_speech import Peer

EVERYTHING: Final = "Please tell me everything."
QUESTION: Final = "What about tomorrow then?"
HUMAN: Final = "A human, please."
FIRST_HALF: Final = "I would like to know"
SECOND_HALF: Final = " when you are open."
MESSAGE: Final = b"\x25" * 8000
"""The sound of a message."""
_HEARD_WITHIN_S: Final = 2.5
"""How long a caller's words wait for a speech service that is away."""
_ANSWER_WITHIN_S: Final = 14.0
_MOST_S: Final = 45.0
"""How long a caller stays, from the fault on."""


class StuckError(Exception):
    """The call was not over 20 s after the caller had hung up."""


@dataclass
class Said:
    """What the caller has said, and whether a speech service could hear it."""

    finished: list[str] = field(default_factory=list)
    """Turns whose end the service has told."""
    unheard: list[str] = field(default_factory=list)
    """Words that no service heard."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """(from, to) in call time: the caller waited for the bridge."""
    to_ask: int = 2
    """How many questions the caller has after the fault."""


async def play(there: Stage, said: Said) -> None:
    """Play the call to its end; the caller hangs up if the bridge does not. Raises StuckError."""
    call = there.call
    try:
        stream = there.cell.dependency == "stream"
        if there.cell.state == BEFORE and not stream:
            await there.fail()
        await call.place()
        if there.cell.state == BEFORE and stream:
            await there.fail()
        if there.cell.state in {COLD, BEFORE}:
            await _waits(there, said, 6.0)
        else:
            await warm(there.up)
            assert await call.wait_for_agent(10, silence_s=0.3), "the greeting was not heard"
            await _reach(there, said)
        await _go_on(there, said)
    except CallError as error:
        if error.code != "call_over":
            raise
    finally:
        with contextlib.suppress(CallError):
            await call.hang_up()
    if (session := there.up.registry.live.get(call.call_sid)) is not None:
        try:
            async with asyncio.timeout(20):
                await session.ended.wait()
        except TimeoutError:
            raise StuckError from None


async def _reach(there: Stage, said: Said) -> None:
    """Come to the state of the cell, let the fault begin, and do what the state has begun to its end."""
    call = there.call
    match there.cell.state:
        case state if state == AGENT_SPEAKS:
            await say(there, said, EVERYTHING)
            assert await call.wait_agent_speaking(10), "no answer was heard"
            await call.pause(1.2)
            await there.fail()
            await _waits(there, said, _ANSWER_WITHIN_S)
        case state if state == CALLER_SPEAKS:
            await _half(there)
            await there.fail()
            await _rest(there, said)
            await _waits(there, said, _ANSWER_WITHIN_S)
        case state if state == THINKING:
            there.agent.think_s = 1.2
            await say(there, said, QUESTION)
            await call.pause(0.4)
            await there.fail()
            there.agent.think_s = 0.0
            await _waits(there, said, _ANSWER_WITHIN_S)
        case state if state == SILENCE:
            await say(there, said, QUESTION)
            await call.wait_for_agent(10, silence_s=0.5)
            await there.fail()
            await _waits(there, said, 8.0)
        case state if state == TRANSFER:
            await _transfer(there, said)
        case state if state == END:
            await _half(there)
            said.unheard.append(FIRST_HALF)
            await there.fail()
            if there.cell.way == "late stop":
                await call.pause(2.0)
            await call.hang_up()


async def _transfer(there: Stage, said: Said) -> None:
    """The caller is passed on, while the other phone rings it breaks, and nobody picks up."""
    call = there.call
    if there.rest is not None:
        await there.fail()  # It is asked when the transfer begins.
        await say(there, said, HUMAN)
    else:
        await say(there, said, HUMAN)
        async with asyncio.timeout(10):
            while not _dialling(there):  # noqa: ASYNC110  Nobody is told.
                await asyncio.sleep(0.02)
        await there.fail()
        await call.pause(1.2)
    await _waits(there, said, _ANSWER_WITHIN_S)


def _dialling(there: Stage) -> bool:
    return any(event.kind == "dialling" for event in there.events)


async def _go_on(there: Stage, said: Said) -> None:
    """Ask more, as a caller would who has time."""
    call, loop = there.call, asyncio.get_running_loop()
    if there.cell.dependency == VOICEMAIL:
        await _leave_message(there)
        return
    limit = (there.broken_at or loop.time()) + _MOST_S
    for _ in range(said.to_ask):
        if not call.live:
            return
        await say(there, said, QUESTION)
        await _waits(there, said, min(_ANSWER_WITHIN_S, limit - loop.time()))
    while said.to_ask and call.live and loop.time() < limit and _lasting(there):
        # A service that stays away: whoever holds on must be let go in the end.
        await _waits(there, said, limit - loop.time())
        await say(there, said, QUESTION)


async def _leave_message(there: Stage) -> None:
    """Hold on until the carrier's tone, say something, and wait until it thanks."""
    async with asyncio.timeout(_MOST_S):
        while there.call.live and not any(event.kind == "recording" for event in there.events):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await there.call.say(MESSAGE)
    await there.call.ended()


def _lasting(there: Stage) -> bool:
    return there.spare is None and bool(there.speech.ways["stt"] or there.speech.ways["tts"])


async def _half(there: Stage) -> None:
    peer = there.ear
    assert peer is not None
    await peer.turn("start")
    await peer.turn("update", FIRST_HALF)
    await there.call.pause(0.3)


async def _rest(there: Stage, said: Said) -> None:
    """Say the second half of a turn, to a new connection if the one of the first half is gone."""
    await there.call.pause(0.3)
    peer = await _ear(there)
    if peer is None:
        said.unheard.append(SECOND_HALF)
        return
    if peer is not there.speech.stt[0]:
        await peer.has_audio(12_000)  # It hears all of the turn once more.
        await peer.turn("start")
        await peer.turn("update", FIRST_HALF)
    await peer.turn("end", FIRST_HALF + SECOND_HALF)
    said.finished.append(FIRST_HALF + SECOND_HALF)


async def say(there: Stage, said: Said, text: str) -> None:
    """Say a turn; it is known whether a speech service heard it to its end."""
    peer = await _ear(there)
    if peer is None or not there.call.live:
        said.unheard.append(text)
        return
    try:
        await peer.turn("start")
        await peer.turn("update", text)
        await there.call.pause(0.1)
        await peer.turn("end", text)
    except (ConnectionError, LocalProtocolError):
        said.unheard.append(text)  # The bridge has closed the session: the call is over.
    else:
        said.finished.append(text)


async def _ear(there: Stage) -> Peer | None:
    """Wait for a speech-to-text connection that works."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _HEARD_WITHIN_S
    while there.call.live and loop.time() < until:
        if (peer := there.ear) is not None:
            return peer
        await asyncio.sleep(0.05)
    return None


async def _waits(there: Stage, said: Said, within_s: float) -> None:
    """Wait for something to be said, and for its end."""
    call = there.call
    begin = call.now
    await call.wait_for_agent(max(0.0, within_s), silence_s=1.2, after=begin)
    said.waits.append((begin, call.now))
