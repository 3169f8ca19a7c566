"""The command `phone-bridge call`: from its options to simulated calls, and from those to an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from bridge.errors import BridgeError, SettingsError
from bridge.local_token import read_local_token
from bridge.process import FAILED, OK
from bridge.settings import Settings
from bridge.settings.values import is_loopback
from bridge.simulator.caller import CallEvent
from bridge.simulator.junit import Result, junit_xml
from bridge.simulator.line import Line
from bridge.simulator.run import CallOptions, run_call
from bridge.simulator.scenario import find, load
from bridge.simulator.speech import LOCAL_VOICE
from bridge.speech_server.launch import launch_local


@dataclass(frozen=True, slots=True)
class Run:
    """What calls to make, and what to tell of them."""

    calls: tuple[CallOptions, ...]
    as_json: bool = False
    junit: Path | None = None
    """Where to write the results as JUnit XML."""
    jobs: int = 1
    """So many calls at a time."""
    starts_speech: bool = False
    """Whether a scenario speaks or recognises, and there is no speech service for that yet."""


async def place_calls(run: Run) -> int:
    """Make the calls, show them, and return the exit code. Cancelling hangs up and writes the recordings so far.

    Raises `SettingsError`, and for a single call that is only shown `CallError` too: one clear line each.
    """
    shown_alone = len(run.calls) == 1 and run.junit is None
    async with _speech(run) as url:
        calls = [options if options.speech_url else replace(options, speech_url=url) for options in run.calls]
        limit = asyncio.Semaphore(run.jobs)
        results = await asyncio.gather(*(_result(options, run, limit, raises=shown_alone) for options in calls))
    if run.as_json:
        click.echo(json.dumps(_as_json(results), indent=2))
    elif len(results) > 1:
        good = sum(result.ok for result in results)
        click.echo(f"{good} of {len(results)} scenarios went as they should")
    if run.junit is not None:
        await asyncio.to_thread(_write, run.junit, junit_xml(results))
    return OK if all(result.ok for result in results) else FAILED


async def _result(options: CallOptions, run: Run, limit: asyncio.Semaphore, *, raises: bool) -> Result:
    """Make one call and show it; what keeps it from being made is a result too, unless it `raises`."""
    file = str(options.scenario or "")
    name = options.name or file or ", ".join(path.name for path in options.wavs) or "listening to the greeting"
    async with limit:
        view = None if run.as_json or run.jobs > 1 else _View()
        try:
            report = await run_call(options, on_event=view.show if view is not None else None)
        except SettingsError:
            raise
        except BridgeError as error:
            if raises:
                raise
            result = Result(name, file, error=error.message)
        else:
            # Somebody who only listens wants to hear the greeting.
            if not options.wavs and options.scenario is None and not report.heard_s:
                report = replace(report, failures=(*report.failures, "nothing was heard of the agent"))
            result = Result(name, file, report)
    if not run.as_json:
        if len(run.calls) > 1:
            click.echo(f"{'ok' if result.ok else 'FAILED'} {name}")
        click.echo(str(result.report) if result.report is not None else f"  FAILED {result.error}")
    return result


def _as_json(results: Sequence[Result]) -> dict[str, Any]:
    """One report as it is; of several calls a list of theirs."""
    shown = [
        {
            **(one.report.as_dict() if one.report else {}),
            "ok": one.ok,
            **({"error": one.error} if one.error else {}),
        }
        for one in results
    ]
    if len(shown) == 1:
        return shown[0]
    named = [{"scenario": one.name, **what} for one, what in zip(results, shown, strict=True)]
    return {"ok": all(one.ok for one in results), "scenarios": named}


@contextlib.asynccontextmanager
async def _speech(run: Run) -> AsyncIterator[str]:
    """The URL of a local speech server, started for the calls that need one. Raises `MissingExtraError`."""
    if not run.starts_speech:
        yield ""
        return
    server = await launch_local()
    try:
        yield server.url
    finally:
        await server.close()


def call_options(settings: Settings, given: Mapping[str, Any]) -> Run:
    """What calls to make. `given` are the command's options by name. Raises `SettingsError`."""
    if given["wavs"] and given["scenarios"]:
        raise SettingsError("--wav and --scenario are two kinds of call: give one of them")
    near = is_loopback(urlsplit(given["url"]).hostname or "")
    line = Line(
        url=given["url"],
        auth_token=given["auth_token"] or settings.twilio.auth_token.get_secret_value() or read_local_token(),
        caller=given["caller"],
        called=given["called"],
        # What is signed is the address that the bridge was told it has, whichever way it is reached.
        public_url=settings.server.public_url if near else "",
        # A caller who hangs up in the middle of a talk that was dialled is told of by nothing else.
        report_status=True,
    )
    speech = given["speech"] or ""
    local = not speech or is_loopback(urlsplit(speech).hostname or "")
    options = CallOptions(
        line=line,
        wavs=given["wavs"],
        record=given["record"],
        timeout_s=given["timeout"],
        speech_url=speech,
        speech_key="" if not speech else settings.speech.api_key.get_secret_value(),
        speech_voice=LOCAL_VOICE if local else settings.tts.voice,
    )
    files = [file for path in given["scenarios"] for file in find(path)]
    scenarios = [load(file) for file in files]  # so that a mistake in one is told before anything is dialled
    calls = [
        replace(options, scenario=file, name=scenario.name, record=_record(given["record"], file, files))
        for file, scenario in zip(files, scenarios, strict=True)
    ]
    starts_speech = not speech and any(scenario.needs_speech for scenario in scenarios)
    return Run(tuple(calls) or (options,), given["as_json"], given["junit"], given["jobs"], starts_speech)


def _record(where: Path | None, file: Path, files: Sequence[Path]) -> Path | None:
    """Where a scenario's recording goes: several go into a folder."""
    if where is None or len(files) == 1:
        return where
    if not where.is_dir():
        raise SettingsError(f"--record {where}: the recordings of several scenarios need a folder that is there")
    return where / f"{file.stem}.wav"


def _write(path: Path, file: bytes) -> None:
    try:
        path.write_bytes(file)
    except OSError as error:
        raise SettingsError(f"--junit {path}: {error.strerror or error}") from error


class _View:
    """A call as it goes on, on standard error: the report alone is on standard output.

    Nothing is shown until there is a stream, for a call that cannot be made ends in one line of its own.
    """

    def __init__(self) -> None:
        self._early: list[CallEvent] | None = []

    def show(self, event: CallEvent) -> None:
        # Marks are many, and a document holds a token.
        if event.kind in {"mark", "twiml"}:
            return
        if self._early is not None:
            self._early.append(event)
            if event.kind not in {"stream_started", "listening_started", "gather", "dialling"}:
                return
        for shown in self._early or [event]:
            what = shown.kind.replace("_", " ")
            click.echo(f"{shown.at_s:7.2f} s  {what:15} {shown.detail}".rstrip(), err=True)
        self._early = None
