"""The steps of a scripted call, as values. Pure."""

from __future__ import annotations

import re
from typing import Final, TypeAlias, get_args

import msgspec

_KEYS: Final = frozenset("0123456789*#ABCDw")


class _Step(msgspec.Struct, tag_field="do", forbid_unknown_fields=True, kw_only=True):
    """Every step: a table with `do`, its name, and the fields below."""


class Say(_Step, tag="say"):
    """Say a WAV file, a sentence that is spoken by text to speech, or silence."""

    text: str = ""
    wav: str = ""
    """A WAV file; a relative path starts from the scenario's folder."""
    silence_ms: int = 0
    """Said before it, or alone."""


class Pause(_Step, tag="pause"):
    """Say nothing for `ms`."""

    ms: int


class Interrupt(_Step, tag="interrupt"):
    """Wait until the agent talks, and cut in: `after_ms` after it began to sound, or once it has said something."""

    text: str = ""
    wav: str = ""
    after_ms: int = 500
    when_agent_says: str = ""
    """A regular expression: cut in as soon as this is recognised, some tenths of a second after it was said."""
    timeout_ms: int = 15_000


class WaitForAgent(_Step, tag="wait_for_agent"):
    """Wait until the agent has said something after the caller's last word or key, and is quiet again."""

    silence_ms: int = 1200
    """So long is quiet."""
    timeout_ms: int = 30_000


class WaitUntilSilent(_Step, tag="wait_until_silent"):
    """Wait until nothing was heard of the agent for `silence_ms`."""

    silence_ms: int = 1200
    timeout_ms: int = 30_000


class Digits(_Step, tag="digits"):
    """Press keys: `0-9 * # A-D`; `w` waits for half a second."""

    keys: str


class HangUp(_Step, tag="hang_up"):
    """The caller hangs up."""


class DropStream(_Step, tag="drop_stream"):
    """The stream's connection breaks, as a network does: the bridge may take the call up again on a new one."""


class ExpectAgent(_Step, tag="expect_agent"):
    """The agent began to sound within `within_ms` of the caller's last word or key."""

    within_ms: int


class ExpectText(_Step, tag="expect_text"):
    """Within `within_ms` of the caller's last word or key, the agent has said something that fits."""

    matches: str
    """A regular expression, found anywhere in what was recognised; capitals do not matter."""
    within_ms: int = 15_000


class ExpectDigits(_Step, tag="expect_digits"):
    """Within `within_ms` of the caller's last word or key, these keys were heard as tones, in this order."""

    keys: str
    within_ms: int = 10_000


class ExpectTransfer(_Step, tag="expect_transfer"):
    """Within `within_ms` from here the caller has been connected with, or has failed to reach, somebody."""

    to: str = ""
    """A regular expression for the whole number, address or conference name; empty: anybody."""
    status: str = ""
    """`completed` or, for a conference, `answered`: connected. Else `busy`, `no-answer`, `failed` or `canceled`.
    Empty: any."""
    within_ms: int = 15_000


class ExpectCut(_Step, tag="expect_cut"):
    """The agent fell silent within `within_ms` of the beginning of the caller's last words or keys.

    One that happened to be quiet between two sentences was kept from going on.
    """

    within_ms: int


class ExpectNoCut(_Step, tag="expect_no_cut"):
    """The agent was heard on for at least `for_ms` from the beginning of the caller's last words or keys."""

    for_ms: int


class ExpectEnd(_Step, tag="expect_end"):
    """The bridge ends the call within `within_ms` from here."""

    within_ms: int


class ExpectHeard(_Step, tag="expect_heard"):
    """At least so many seconds of the agent have sounded so far."""

    at_least_s: float


Step: TypeAlias = (
    Say
    | Pause
    | Interrupt
    | WaitForAgent
    | WaitUntilSilent
    | Digits
    | HangUp
    | DropStream
    | ExpectAgent
    | ExpectText
    | ExpectDigits
    | ExpectTransfer
    | ExpectCut
    | ExpectNoCut
    | ExpectEnd
    | ExpectHeard
)
PartyStep: TypeAlias = Say | Pause | Digits | HangUp
"""What somebody does who was rung up: each waits for its moment, `digits` until keys are asked for, `say` until
somebody listens."""

MAIN_FIELD: Final = {
    "say": "text",
    "pause": "ms",
    "interrupt": "text",
    "digits": "keys",
    "expect_agent": "within_ms",
    "expect_text": "matches",
    "expect_digits": "keys",
    "expect_transfer": "to",
    "expect_cut": "within_ms",
    "expect_no_cut": "for_ms",
    "expect_end": "within_ms",
    "expect_heard": "at_least_s",
}
"""Step → the field that is meant by what stands right behind its name: `pause: 500`."""
NAMES: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Step))


def name_of(step: Step) -> str:
    """What a step is called in files and reports."""
    return str(step.__struct_config__.tag)


def wrong(step: Step) -> str | None:
    """What is the matter with the values of a step; None: nothing."""
    for key in step.__struct_fields__:
        value = getattr(step, key)
        if isinstance(value, int | float) and value < 0:
            return f"{key} is {value}: it cannot be negative"
    match step:
        case Say(wav="", silence_ms=0, text=""):
            return "say needs wav or silence_ms, or text"
        case Interrupt(wav="", text=""):
            return "interrupt needs wav or text"
        case Say(wav=wav, text=text) | Interrupt(wav=wav, text=text) if wav and text:
            return "wav and text are two things to say: give one of them"
        case Digits(keys=keys) if not keys or set(keys) - _KEYS:
            return f"keys is {keys!r}: give keys of 0-9 * # A-D, and w for a pause"
        case ExpectDigits(keys=keys) if not keys or set(keys) - (_KEYS - {"w"}):
            return f"keys is {keys!r}: give keys of 0-9 * # A-D"
        case Interrupt(when_agent_says=pattern) | ExpectText(matches=pattern) | ExpectTransfer(to=pattern):
            return _wrong_pattern(pattern)
        case _:
            return None


def _wrong_pattern(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return f"{pattern!r} is no regular expression: {error}"
    return None
