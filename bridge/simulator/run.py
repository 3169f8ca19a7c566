"""Runs one simulated call from beginning to end, as the command line does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.errors import SettingsError
from bridge.simulator.acting import act, party_of
from bridge.simulator.caller import CallError, CallEvent, Line, SimulatedCall
from bridge.simulator.report import Report, make_report
from bridge.simulator.scenario import Scenario, load, load_sound
from bridge.simulator.speech import LOCAL_VOICE, Speech


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What call to make."""

    line: Line
    wavs: tuple[Path, ...] = ()
    """Each is said when the agent is silent, then its answer is awaited."""
    scenario: Path | None = None
    """A scripted call instead of `wavs`."""
    name: str = ""
    """What the call is called in results."""
    record: Path | None = None
    """Where to write a stereo WAV of the call: left the caller, right what the caller heard."""
    timeout_s: float = 300.0
    """For the whole call."""
    greeting_s: float = 3.0
    """How long to wait for the agent to speak first."""
    answer_s: float = 20.0
    """How long to wait for the answer to each of `wavs`."""
    silence_s: float = 1.2
    """Silence that ends an answer."""
    hang_up: bool = True
    """Whether the caller hangs up at the end; else the bridge is waited for."""
    speech_url: str = ""
    """Base URL of the speech service that speaks the texts of a scenario and recognises what the agent says."""
    speech_key: str = ""
    speech_voice: str = LOCAL_VOICE


async def run_call(options: CallOptions, *, on_event: Callable[[CallEvent], None] | None = None) -> Report:
    """Make the call and report on it; `report.ok` tells whether all went as it should.

    Raises `SettingsError` if a file cannot be used and `SpeechError` if a text cannot be spoken, before anything is
    dialled, and `CallError` if the bridge cannot be called: one clear line each. `SpeechError` in the middle of the
    call says that nothing more could be recognised. Cancelling hangs up, and the recording so far is written.
    """
    scenario, sounds = await asyncio.to_thread(_load, options)
    async with contextlib.AsyncExitStack() as stack:
        speech: Speech | None = None
        if scenario is not None and scenario.needs_speech:
            speech = await stack.enter_async_context(_speech(options, scenario))
            spoken = await speech.speak(sorted(scenario.texts))
            scenario = replace(scenario, sounds={**scenario.sounds, **spoken})
        return await _call(options, scenario, sounds, speech, on_event)


async def _call(
    options: CallOptions,
    scenario: Scenario | None,
    sounds: list[tuple[str, bytes]],
    speech: Speech | None,
    on_event: Callable[[CallEvent], None] | None,
) -> Report:
    line = options.line if scenario is None else _line(options.line, scenario)
    call = SimulatedCall(line, on_event=on_event)
    failures: list[str] = []
    try:
        async with asyncio.timeout(options.timeout_s):
            await call.place()
            failures += await (act(call, scenario, speech) if scenario else _talk(call, sounds, options))
            if not options.hang_up:
                await call.ended()
    except TimeoutError:
        failures.append(f"the call took longer than {options.timeout_s:g} s")
    finally:
        await call.hang_up()
        if options.record is not None and call.phones:
            await asyncio.to_thread(_write, options.record, call.recording())
    return make_report(call, failures)


def _line(line: Line, scenario: Scenario) -> Line:
    """The line, as the scenario wants it."""
    parties = {to: party_of(script, scenario) for to, script in scenario.parties.items()}
    carrier = scenario.carrier
    return replace(
        line,
        caller=scenario.caller or line.caller,
        called=scenario.called or line.called,
        parties={**line.parties, **parties},
        lag_ms=carrier.lag_ms or line.lag_ms,
        repeat_requests=carrier.repeat_requests or line.repeat_requests,
        callback_delay_s=carrier.callback_delay_ms / 1000 or line.callback_delay_s,
    )


def _speech(options: CallOptions, scenario: Scenario) -> Speech:
    if not options.speech_url:
        raise SettingsError(
            f"scenario {scenario.name} speaks text or recognises what the agent says: give --speech URL"
        )
    return Speech(options.speech_url, api_key=options.speech_key, voice=options.speech_voice)


async def _talk(call: SimulatedCall, sounds: list[tuple[str, bytes]], options: CallOptions) -> list[str]:
    """Say one thing after the other, as a person does: when the other is silent, and then listening."""
    failures: list[str] = []
    if await call.wait_agent_speaking(options.greeting_s) is not None:
        await call.wait_until_agent_silent(options.silence_s, options.timeout_s)
    for name, audio in sounds:
        try:
            said = await call.say(audio, label=name)
        except CallError:
            return [*failures, f"the call ended before {name} was said"]
        end = said.speech_end_s or 0.0
        await call.wait_for_agent(options.answer_s, silence_s=options.silence_s, after=end)
        if not call.agent.heard_after(end):
            failures.append(f"{name} was not answered within {options.answer_s:g} s")
    return failures


def _load(options: CallOptions) -> tuple[Scenario | None, list[tuple[str, bytes]]]:
    if options.record is not None and not options.record.parent.is_dir():
        raise SettingsError(
            f"cannot write {options.record}: {options.record.parent} is no folder", code="recording"
        )
    scenario = None if options.scenario is None else load(options.scenario)
    return scenario, [(path.name, load_sound(path)) for path in options.wavs]


def _write(path: Path, file: bytes) -> None:
    try:
        path.write_bytes(file)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror or error}", code="recording") from error
