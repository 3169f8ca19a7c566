"""The demo with `--agent flow`: a reception made of a flow file, a caller who speaks and presses keys, a transfer.

The flow is `config/flows/reception.yaml`, open around the clock. Support is busy at first, and then answers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bridge.conversation.journal import (
    AgentSpoke,
    CallClosed,
    DigitsGathered,
    Entry,
    KeyPressed,
    NoteTaken,
    ProblemMet,
    TransferTried,
)
from bridge.demo.acting import Caller, WentWrongError
from bridge.demo.lines import Line
from bridge.demo.sounds import Sounds
from bridge.demo.story import Story
from bridge.demo.verdict import turns
from bridge.errors import SettingsError
from bridge.simulator.caller import CallError, Party, SimulatedCall
from bridge.simulator.report import Report

SUPPORT_NUMBER: Final = "+442079460102"
"""As the flow has it."""
CUSTOMER: Final = "421356"

# What the local recogniser understands of the local voice wherever in the audio it begins. An answer has no comma:
# the voice pauses there, and half an answer is heard worse than a whole one.
OPENING: Final = Line("When do you open?")
CORRECT: Final = Line("That is exactly right.")
AGAIN: Final = Line("Absolutely.")
SUPPORT: Final = Line("Hello, this is the support team. How can I help you?", speaker="en-US")
TROUBLE: Final = Line("Hello. My order did not arrive.")
LINES: Final = (OPENING, CORRECT, AGAIN, SUPPORT, TROUBLE)

_INTERRUPT_AFTER_S: Final = 3.5
_KEY_AFTER_S: Final = 3.5
_NUMBER_AFTER_S: Final = 2.0
_WITHIN_S: Final = 40.0
_ANSWERS_WITHIN_S: Final = 4.0
"""After the reception's sentence; longer than the support team lets it ring, shorter than the reception waits."""

INTRODUCTION: Final = """\
A simulated phone call, through the addresses that Twilio uses. All speech is
made and recognised on this machine; there is no account, key or network.
  bridge  {url}
  agent   the flow {flow}, open around the clock
          for this call; synthetic voice (en-US)
  caller  synthetic voice (en-GB), and keys
  others  the support team: busy at first, then it answers; the TwiML that
          passes the caller on is carried out by the simulated carrier
  times   seconds since the call began. Of each answer: how long the caller
          heard nothing; when the turn was certain to be over; and, counted
          from there, when the agent's text and the first audio were ready
"""


def reception_path() -> Path:
    """Where the sample lies: in the installed package, or in a clone. Raises SettingsError."""
    here = Path(__file__)
    for path in (here.with_name("flows") / "reception.yaml", here.parents[2] / "config/flows/reception.yaml"):
        if path.is_file():
            return path
    raise SettingsError("the sample flow reception.yaml is not there: install phone-bridge again")


def always_open(folder: Path) -> Path:
    """Write the reception into `folder`, as it is but for its hours. Blocks on the disk."""
    text = reception_path().read_text(encoding="utf-8")
    changed, times = re.subn(r"(\n  office:\n)(?:    - .*\n)+", r"\1    - daily 00:00-24:00\n", text)
    if times != 1:
        raise SettingsError("the sample flow has no hours named office, which the demo needs")
    path = folder / "reception.yaml"
    path.write_text(changed, encoding="utf-8")
    return path


def callees() -> dict[str, Party]:
    """Who is rung, by number; the caller changes it in the course of the call."""
    return {SUPPORT_NUMBER: Party("busy", after_s=1.0)}


async def hold(call: SimulatedCall, sounds: Sounds, story: Story, parties: dict[str, Party]) -> None:
    """Hold the whole conversation; returns when the call is over.

    Raises `WentWrongError` as soon as something does not come that the caller waits for; the call goes on then, and
    also when cancelled: hang up.
    """
    caller = Caller(call, sounds, story)
    try:
        began = await caller.agent_speaks("the reception did not greet")
        await caller.say(OPENING, began + _INTERRUPT_AFTER_S)  # Into the menu.
        began = await caller.hear_begin("the reception did not tell its hours")
        await caller.press("2", began + _KEY_AFTER_S)  # The caller knows the menu by now.
        began = await caller.hear_begin("the reception did not ask for the customer number")
        await caller.press(CUSTOMER, began + _NUMBER_AFTER_S)
        await caller.hear_whole("the reception did not repeat the customer number")
        await caller.say(CORRECT)
        await caller.hear_whole("the reception did not say that it connects")
        await caller.agent_speaks("the reception did not come back from the busy line")
        await caller.agent_is_done()
        parties[SUPPORT_NUMBER] = Party(after_s=0.5, talk=sounds[SUPPORT], hang_up_after_s=4.0)
        await caller.say(AGAIN)
        await caller.hear_whole("the reception did not try again")
        if not await _somebody_answers(call):
            await caller.say(AGAIN)  # A machine mishears a "yes" now and then; a person says it once more.
        await _talk_to_support(call, sounds)
        async with asyncio.timeout(_WITHIN_S):
            await call.ended()
    except CallError as error:
        raise WentWrongError(error.message) from error
    except TimeoutError:
        raise WentWrongError("the caller was not connected with support") from None


async def _somebody_answers(call: SimulatedCall, within_s: float = _ANSWERS_WITHIN_S) -> bool:
    """Wait until the caller is connected with somebody, or the call is over; False: neither within that time."""
    try:
        async with asyncio.timeout(within_s):
            while not any(child.live for child in call.children) and call.live:  # noqa: ASYNC110 - as the caller looks
                await asyncio.sleep(0.1)
    except TimeoutError:
        return False
    return True


async def _talk_to_support(call: SimulatedCall, sounds: Sounds) -> None:
    """Wait until somebody has answered, and say what the matter is."""
    if not await _somebody_answers(call, _WITHIN_S):
        raise TimeoutError
    await call.pause(len(sounds[SUPPORT]) / 8000)  # Support says its sentence.
    if call.live:
        await call.say(sounds[TROUBLE], label=TROUBLE.text)


def missing(entries: Sequence[Entry], report: Report) -> list[str]:
    """What should have happened and did not, in words; empty when all went well."""
    problems = [
        f"{one.source} failed ({one.code}: {one.message})" for one in entries if isinstance(one, ProblemMet)
    ]
    tried = [one.status for one in entries if isinstance(one, TransferTried)]
    noted = [one.data.get("customer") for one in entries if isinstance(one, NoteTaken)]
    cut = any(isinstance(one, AgentSpoke) and one.interrupted and one.heard.strip() for one in entries)
    gathered = [one.digits for one in entries if isinstance(one, DigitsGathered)]
    checks = (
        (turns(entries) >= 3, f"the caller had {turns(entries)} turns instead of 3"),
        (cut, "the menu was not interrupted"),
        (CUSTOMER in gathered, f"the customer number was not gathered ({', '.join(gathered)})"),
        (noted == [CUSTOMER], "the customer number was not noted"),
        (tried == ["busy", "completed"], f"the transfers ended otherwise: {', '.join(tried) or 'there was none'}"),
        (any(one.status == "completed" for one in report.transfers), "nobody was connected with the caller"),
        (any(isinstance(one, CallClosed) for one in entries), "the call's record has no end"),
    )
    return problems + [sentence for held, sentence in checks if not held]


def summary(entries: Sequence[Entry], report: Report) -> list[str]:
    """What the call came to, some lines for people."""
    keys = sum(isinstance(one, KeyPressed) for one in entries)
    tried = [f"{one.status} ({one.to})" for one in entries if isinstance(one, TransferTried)]
    answers = sorted(turn.response_ms for turn in report.turns if turn.response_ms is not None)
    lines = [
        f"{turns(entries)} turns of the caller, {keys} keys, {report.seconds:.0f} s",
        f"transfers: {', then '.join(tried)}",
    ]
    if answers:
        lines.append(f"silence before an answer: {answers[len(answers) // 2]} ms in the middle")
    return lines
