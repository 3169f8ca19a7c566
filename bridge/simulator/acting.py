"""Carries a scenario out on a simulated call."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from bridge.simulator.caller import CallError, SimulatedCall
from bridge.simulator.hearing import expect_digits, expect_text, wait_until_said
from bridge.simulator.listening import EARLY_S
from bridge.simulator.party import Party
from bridge.simulator.scenario import PartyScript, Scenario, sound_of
from bridge.simulator.speech import Speech
from bridge.simulator.steps import (
    Digits,
    DropStream,
    ExpectAgent,
    ExpectCut,
    ExpectDigits,
    ExpectEnd,
    ExpectHeard,
    ExpectNoCut,
    ExpectText,
    ExpectTransfer,
    HangUp,
    Interrupt,
    Pause,
    Say,
    Step,
    WaitForAgent,
    WaitUntilSilent,
    name_of,
)

_LOOK_S: Final = 0.02
_MARGIN_S: Final = 0.1
"""How much longer than the limit an expectation is waited for, so that a report can say what came instead."""

_NOT_SPEAKING: Final = "the agent was not speaking when the caller began"


async def act(call: SimulatedCall, scenario: Scenario, speech: Speech | None = None) -> list[str]:
    """Carry the steps out in order; returns what did not hold, a sentence each.

    An expectation that fails does not stop the call; a call that ends before its steps do is a failure and stops
    it. `speech` is needed by a scenario that says so. Cancelling leaves the call going on: hang up. Raises
    `SpeechError` if the speech service fails.
    """
    failures: list[str] = []
    for number, step in enumerate(scenario.steps, 1):
        where = f"step {number} ({name_of(step)})"
        try:
            failure = await _step(call, step, scenario, speech)
        except CallError as error:
            return [*failures, f"{where}: {error.message}"]
        if failure is not None:
            failures.append(f"{where}: {failure}")
    return failures


def party_of(script: PartyScript, scenario: Scenario) -> Party:
    """Somebody who does on its leg what the script says."""

    async def does(leg: SimulatedCall) -> None:
        for step in script.does:
            match step:
                case Say():
                    if not await leg.connected():
                        return
                    await leg.say(sound_of(step, scenario), label=step.wav or step.text)
                case Digits(keys=keys):
                    await leg.asked_for_keys()
                    await leg.digits(keys)
                case Pause(ms=ms):
                    await leg.pause(ms / 1000)
                case HangUp():
                    await leg.hang_up()

    return Party(script.answer, script.after_ms / 1000, answered_by=script.answered_by, does=does)


async def _step(call: SimulatedCall, step: Step, scenario: Scenario, speech: Speech | None) -> str | None:
    """Carry a step out; what did not hold, in a sentence."""
    match step:
        case Say() | Pause() | Digits() | HangUp() | DropStream():
            await _do(call, step, scenario)
            return None
        case Interrupt():
            return await _interrupt(call, step, scenario, speech)
        case WaitForAgent():
            return await _wait_for_agent(call, step)
        case WaitUntilSilent(silence_ms=silence_ms, timeout_ms=timeout_ms):
            silent = await call.wait_until_agent_silent(silence_ms / 1000, timeout_ms / 1000)
            return None if silent else f"the agent was not silent within {timeout_ms} ms"
        case ExpectText():
            return await expect_text(call, step, _last_words(call), speech)
        case _:
            return await _expect(call, step)


async def _do(call: SimulatedCall, step: Say | Pause | Digits | HangUp | DropStream, scenario: Scenario) -> None:
    match step:
        case Say():
            await call.say(sound_of(step, scenario), label=step.wav or step.text)
        case Pause(ms=ms):
            await call.pause(ms / 1000)
        case Digits(keys=keys):
            await call.digits(keys)
        case HangUp():
            await call.hang_up()
        case DropStream():
            call.drop_stream()


async def _interrupt(call: SimulatedCall, step: Interrupt, scenario: Scenario, speech: Speech | None) -> str | None:
    last, sound, label = _last_words(call), sound_of(step, scenario), step.wav or step.text
    if step.when_agent_says:
        failure = await wait_until_said(call, step.when_agent_says, last, step.timeout_ms / 1000, speech)
        if failure is None:
            await call.say(sound, label=label)
        return failure
    began = await call.wait_agent_speaking(step.timeout_ms / 1000, after=last)
    if began is None:
        return f"the agent was not heard within {step.timeout_ms} ms"
    await call.say(sound, began + step.after_ms / 1000, label=label)
    return None


async def _wait_for_agent(call: SimulatedCall, step: WaitForAgent) -> str | None:
    if await call.wait_for_agent(step.timeout_ms / 1000, silence_s=step.silence_ms / 1000, after=_last_words(call)):
        return None
    heard = call.agent.heard_after(_last_words(call))
    if not call.live:  # an agent that says good-bye hangs up behind it
        return None if heard else "the call ended without an answer"
    what = "did not come to an end" if heard else "was not heard"
    return f"the agent {what} within {step.timeout_ms} ms"


async def _expect(call: SimulatedCall, step: Step) -> str | None:
    match step:
        case ExpectAgent(within_ms=within_ms):
            return await _expect_agent(call, within_ms)
        case ExpectDigits():
            return await expect_digits(call, step, _last_words(call))
        case ExpectTransfer():
            return await _expect_transfer(call, step)
        case ExpectCut(within_ms=within_ms):
            return await _expect_cut(call, within_ms)
        case ExpectNoCut(for_ms=for_ms):
            return await _expect_no_cut(call, for_ms)
        case ExpectEnd(within_ms=within_ms):
            await call.pause(within_ms / 1000)
            if call.live:
                return f"the call was still going on after {within_ms} ms"
            return None if call.outcome != "caller_hung_up" else "it was the caller who hung up"
        case ExpectHeard(at_least_s=at_least_s):
            heard_s = sum(phone.sounded_bytes for phone in call.phones) / 8000
            return None if heard_s >= at_least_s else f"{heard_s:.2f} s were heard, expected {at_least_s:g} s"
        case _:
            raise AssertionError(step)


async def _expect_agent(call: SimulatedCall, within_ms: int) -> str | None:
    end = _last_words(call)
    left = end + within_ms / 1000 - call.now
    began = await call.wait_agent_speaking(max(0.0, left) + _MARGIN_S, after=end - EARLY_S)
    if began is None:
        return f"the agent was not heard within {within_ms} ms"
    took = round((began - end) * 1000)
    return None if took <= within_ms else f"the agent was heard after {took} ms, expected {within_ms} ms"


async def _expect_transfer(call: SimulatedCall, step: ExpectTransfer) -> str | None:
    loop = asyncio.get_running_loop()
    end = loop.time() + step.within_ms / 1000

    def came() -> bool:
        return any(
            (not step.to or re.fullmatch(step.to, one.to)) and step.status in {"", one.status}
            for one in call.transfers
        )

    while not came() and call.live and loop.time() < end:
        await call.pause(_LOOK_S)
    if came():
        return None
    wanted = " ".join(filter(None, ["to", step.to or "anybody", step.status and f"({step.status})"]))
    others = ", ".join(f"{one.to} ({one.status})" for one in call.transfers)
    return f"there was no transfer {wanted} within {step.within_ms} ms" + (f", but to {others}" if others else "")


async def _expect_cut(call: SimulatedCall, within_ms: int) -> str | None:
    took = await _heard_on(call, within_ms)
    if took is None:
        return None if await _cleared(call, within_ms) else _NOT_SPEAKING
    return None if took <= within_ms else f"the agent was still heard after {took} ms, expected {within_ms} ms"


async def _expect_no_cut(call: SimulatedCall, for_ms: int) -> str | None:
    # A pause inside what it says is no cut: it is known for one when it has lasted too long.
    took = await _heard_on(call, for_ms + round(call.agent.pause_s * 1000))
    if took is None:
        return _NOT_SPEAKING
    return None if took >= for_ms else f"the agent fell silent after {took} ms, expected {for_ms} ms"


async def _cleared(call: SimulatedCall, within_ms: int) -> bool:
    """Tell whether the agent, in a pause between two sentences when the caller began, was kept from the next."""
    begin = _began(call)
    if begin is None:
        return False
    await call.pause(max(0.0, begin + within_ms / 1000 - call.now) + _MARGIN_S)
    return any(begin <= one.at_s <= begin + within_ms / 1000 and one.dropped_bytes for one in call.clears)


def _began(call: SimulatedCall) -> float | None:
    """When the caller's last words or keys began, as call time; None before the first."""
    begins = [one.speech_start_s for one in call.said if not one.silent and one.speech_start_s is not None][-1:]
    if call.pressed_s is not None:
        begins.append(call.pressed_s[0])
    return max(begins, default=None)


async def _heard_on(call: SimulatedCall, watch_ms: int) -> int | None:
    """For how many ms the agent was heard from where the caller's last words began, watched for `watch_ms`.

    None if it was not speaking then.
    """
    begin = _began(call)
    spurt = None if begin is None else call.agent.at(begin)
    if begin is None or spurt is None:
        return None
    await call.pause(max(0.0, begin + watch_ms / 1000 - call.now) + _MARGIN_S)
    return round((spurt.end_s - begin) * 1000)


def _last_words(call: SimulatedCall) -> float:
    """When the caller's last words ended, or its last key was pressed, as call time; 0 before the first."""
    ends = [one.speech_end_s for one in call.said if not one.silent and one.speech_end_s is not None]
    return max([*ends[-1:], *(call.pressed_s or ())[1:]], default=0.0)
