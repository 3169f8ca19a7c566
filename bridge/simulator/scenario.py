"""Scripted calls: a YAML, TOML or JSON file of steps. `bridge.simulator.acting` carries them out.

name: order with an interruption
steps:
  - wait_for_agent                # the greeting
  - say: I would like to order    # or: {wav: order.wav}, a file beside this one
  - expect_agent: 1500            # ms
  - expect_text: what would you like
    within_ms: 5000
from: "+15550100009"              # who calls, and which number
to: "+15550100008"
parties:                          # who may be rung up
  "+15553334444": {answer: busy}
carrier: {lag_ms: 80}             # how the network behaves

Every step also has a long form, a table with `do`: `{do: expect_text, matches: …, within_ms: …}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bridge.audio import codec, wav
from bridge.errors import SettingsError
from bridge.simulator.party import Answer
from bridge.simulator.scenario_files import Kind, Plain, hint, read, scenario_error, step_table
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
    PartyStep,
    Pause,
    Say,
    Step,
    WaitForAgent,
    WaitUntilSilent,
    wrong,
)

__all__ = [
    "Digits",
    "DropStream",
    "ExpectAgent",
    "ExpectCut",
    "ExpectDigits",
    "ExpectEnd",
    "ExpectHeard",
    "ExpectNoCut",
    "ExpectText",
    "ExpectTransfer",
    "HangUp",
    "Interrupt",
    "PartyScript",
    "Pause",
    "Say",
    "Scenario",
    "Step",
    "WaitForAgent",
    "WaitUntilSilent",
    "load",
    "load_sound",
    "parse",
    "sound_of",
]

_TABLES = {"name", "from", "to", "steps", "parties", "carrier"}
SUFFIXES: Mapping[str, Kind] = {".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


class PartyScript(msgspec.Struct, forbid_unknown_fields=True):
    """What happens when a number is rung."""

    answer: Answer = "answers"
    after_ms: int = 0
    """Rings so long before that."""
    answered_by: str = "human"
    """What answering-machine detection finds, where it is asked for."""
    does: tuple[PartyStep, ...] = ()
    """In order, once it has answered; it stays on the line then, unless the last is `hang_up`."""


class Carrier(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How the carrier and its network behave."""

    lag_ms: float = 0
    """Network delay, each way."""
    repeat_requests: bool = False
    """Every action request and status callback comes twice."""
    callback_delay_ms: int = 0
    """Status callbacks come so late."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A call from the caller's point of view."""

    name: str
    steps: tuple[Step, ...]
    sounds: Mapping[str, bytes] = field(default_factory=dict)
    """Mu-law audio of each WAV file and each text that the steps name; `load` fills in the files."""
    parties: Mapping[str, PartyScript] = field(default_factory=dict)
    """Number (or SIP address, or client) → who answers there."""
    caller: str = ""
    """`from`; empty: as the command says."""
    called: str = ""
    """`to`."""
    carrier: Carrier = field(default_factory=Carrier)

    @property
    def texts(self) -> set[str]:
        """What is to be spoken."""
        return {step.text for step in self._spoken if step.text}

    @property
    def needs_speech(self) -> bool:
        """Whether a speech service has to speak or to recognise something."""
        recognised = any(
            isinstance(step, ExpectText) or (isinstance(step, Interrupt) and step.when_agent_says)
            for step in self.steps
        )
        return recognised or bool(self.texts)

    @property
    def wavs(self) -> set[str]:
        """The files that are said."""
        return {step.wav for step in self._spoken if step.wav}

    @property
    def _spoken(self) -> list[Say | Interrupt]:
        own = [step for step in self.steps if isinstance(step, Say | Interrupt)]
        theirs = [step for party in self.parties.values() for step in party.does if isinstance(step, Say)]
        return [*own, *theirs]


def parse(text: str | bytes, *, name: str, as_json: bool = False, kind: Kind | None = None) -> Scenario:
    """Read a scenario, without its WAV files. Raises `SettingsError`, one line that names the step and field.

    Without `kind` it is JSON or else TOML.
    """
    try:
        plain = read(text, kind or ("json" if as_json else "toml"))
    except ValueError as error:
        raise scenario_error(name, str(error)) from error
    if unknown := sorted(set(map(str, plain.values)) - _TABLES):
        raise scenario_error(name, f"it has {unknown[0]!r}: known are {', '.join(sorted(_TABLES))}")
    try:
        carrier = msgspec.convert(plain.values.get("carrier") or {}, Carrier)
    except msgspec.ValidationError as error:
        raise scenario_error(f"{name}, carrier", str(error)) from error
    return Scenario(
        _text(plain, "name", name) or name,
        _steps(plain, name),
        parties=_parties(plain, name),
        caller=_text(plain, "from", name),
        called=_text(plain, "to", name),
        carrier=carrier,
    )


def _text(plain: Plain, key: str, name: str) -> str:
    given = plain.values.get(key, "")
    if not isinstance(given, str):
        raise scenario_error(name, f"{key} is {given!r}: put it in quotes")
    return given


def _steps(plain: Plain, name: str) -> tuple[Step, ...]:
    given = plain.values.get("steps")
    if not isinstance(given, list):
        raise scenario_error(name, "it needs steps, a list")
    steps = []
    for number, one in enumerate(given, 1):
        try:
            step: Step = msgspec.convert(step_table(one), Step)
        except (msgspec.ValidationError, ValueError) as error:
            what = hint(str(error)).replace("`$", f"`$.steps[{number - 1}]")
            raise scenario_error(f"{name}, {plain.where(number)}", what) from error
        if (mistake := wrong(step)) is not None:
            raise scenario_error(f"{name}, {plain.where(number)}", mistake)
        steps.append(step)
    return tuple(steps)


def _parties(plain: Plain, name: str) -> dict[str, PartyScript]:
    given = plain.values.get("parties") or {}
    if not isinstance(given, dict):
        raise scenario_error(name, "parties is a table of numbers")
    return {number: _party(number, one, name) for number, one in given.items()}


def _party(number: Any, given: Any, name: str) -> PartyScript:
    where = f"{name}, party {number}"
    if not isinstance(number, str):
        raise scenario_error(where, "put the number in quotes")
    try:
        if isinstance(given, str):
            given = {"answer": given}
        if isinstance(given, dict) and isinstance(given.get("does"), list):
            given = {**given, "does": [step_table(one) for one in given["does"]]}
        script = msgspec.convert(given, PartyScript)
    except (msgspec.ValidationError, ValueError) as error:
        raise scenario_error(where, hint(str(error))) from error
    for count, step in enumerate(script.does, 1):
        if (mistake := wrong(step)) is not None:
            raise scenario_error(f"{where}, step {count}", mistake)
    return script


def load(path: Path) -> Scenario:
    """Read a scenario and its WAV files from the disk, which it waits for. The name's end tells the format.

    `.yaml`, `.yml` and `.json` are what they say, everything else is TOML. Raises `SettingsError`, in one line, if
    a file is not there or is of the wrong kind.
    """
    scenario = parse(_read(path), name=str(path), kind=SUFFIXES.get(path.suffix.lower(), "toml"))
    return replace(scenario, sounds={name: load_sound(path.parent / name) for name in scenario.wavs})


def find(path: Path) -> list[Path]:
    """The scenario files of a folder, by name; a file is itself. Raises `SettingsError` if there are none."""
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file())
    if not found:
        raise SettingsError(f"{path} holds no scenario: a file that ends in {', '.join(SUFFIXES)}", code="scenario")
    return found


def load_sound(path: Path) -> bytes:
    """A WAV file as mu-law at 8000 Hz; waits for the disk. Raises `SettingsError` if it is not there or no WAV."""
    return wav.read_mulaw(_read(path), name=str(path))


def sound_of(step: Say | Interrupt, scenario: Scenario) -> bytes:
    """What a step says."""
    before = codec.silence(step.silence_ms) if isinstance(step, Say) else b""
    what = step.wav or step.text
    return before + (scenario.sounds[what] if what else b"")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}", code="scenario") from error
