"""Scripted calls: a TOML or JSON file of steps. Reading them is pure; `bridge.simulator.acting` carries them out.

name = "order with an interruption"

[[steps]]
do = "wait_for_agent"        # the greeting

[[steps]]
do = "say"
wav = "order.wav"            # beside this file

[[steps]]
do = "expect_agent"
within_ms = 1500
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import msgspec

from bridge.audio import codec, wav
from bridge.errors import SettingsError


class _Step(msgspec.Struct, tag_field="do", forbid_unknown_fields=True, kw_only=True):
    """Every step: a table with `do`, its name, and the fields below."""


class Say(_Step, tag="say"):
    """Say a WAV file, or silence."""

    wav: str = ""
    """A WAV file; a relative path starts from the scenario's folder."""
    silence_ms: int = 0
    """Said before the file, or alone."""


class Pause(_Step, tag="pause"):
    """Say nothing for `ms`."""

    ms: int


class Interrupt(_Step, tag="interrupt"):
    """Wait until the agent talks, and start to speak `after_ms` after it began to sound."""

    wav: str
    after_ms: int = 500
    timeout_ms: int = 15_000


class WaitForAgent(_Step, tag="wait_for_agent"):
    """Wait until the agent has said something, since the caller last spoke, and was silent for `silence_ms`."""

    silence_ms: int = 1200
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
    """The agent began to sound within `within_ms` of the end of what the caller last said."""

    within_ms: int


class ExpectCut(_Step, tag="expect_cut"):
    """The agent fell silent within `within_ms` of the beginning of what the caller last said."""

    within_ms: int


class ExpectNoCut(_Step, tag="expect_no_cut"):
    """The agent was heard on for at least `for_ms` from the beginning of what the caller last said."""

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
    | ExpectCut
    | ExpectNoCut
    | ExpectEnd
    | ExpectHeard
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A call from the caller's point of view."""

    name: str
    steps: tuple[Step, ...]
    sounds: Mapping[str, bytes] = field(default_factory=dict)
    """Mu-law audio of each WAV file the steps name; only `load` fills it in."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    steps: tuple[Step, ...]
    name: str = ""


def parse(text: str | bytes, *, name: str, as_json: bool) -> Scenario:
    """Read a scenario, without its WAV files. Raises `SettingsError`, one line that names the step and field."""
    try:
        file = msgspec.json.decode(text, type=_File) if as_json else msgspec.toml.decode(text, type=_File)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SettingsError(f"scenario {name}: {error}", code="scenario") from error
    for number, step in enumerate(file.steps, 1):
        if (wrong := _wrong(step)) is not None:
            raise SettingsError(f"scenario {name}, step {number}: {wrong}", code="scenario")
    return Scenario(file.name or name, file.steps)


def load(path: Path) -> Scenario:
    """Read a scenario and its WAV files from the disk, which it waits for. `.json` is JSON, everything else TOML.

    Raises `SettingsError`, in one line, if a file is not there or is of the wrong kind.
    """
    scenario = parse(_read(path), name=str(path), as_json=path.suffix.lower() == ".json")
    names = {step.wav for step in scenario.steps if isinstance(step, Say | Interrupt) and step.wav}
    return replace(scenario, sounds={name: load_sound(path.parent / name) for name in names})


def load_sound(path: Path) -> bytes:
    """A WAV file as mu-law at 8000 Hz; waits for the disk. Raises `SettingsError` if it is not there or no WAV."""
    return wav.read_mulaw(_read(path), name=str(path))


def sound_of(step: Say | Interrupt, scenario: Scenario) -> bytes:
    """What a step says."""
    before = codec.silence(step.silence_ms) if isinstance(step, Say) else b""
    return before + (scenario.sounds[step.wav] if step.wav else b"")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}", code="scenario") from error


def _wrong(step: Step) -> str | None:
    for key in step.__struct_fields__:
        value = getattr(step, key)
        if isinstance(value, int | float) and value < 0:
            return f"{key} is {value}: it cannot be negative"
    match step:
        case Say(wav="", silence_ms=0):
            return "say needs wav or silence_ms"
        case Digits(keys=keys) if not keys or set(keys) - set("0123456789*#ABCDw"):
            return f"keys is {keys!r}: give keys of 0-9 * # A-D, and w for a pause"
        case _:
            return None
