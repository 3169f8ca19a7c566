"""The demo from its start to its last line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TextIO, TypeAlias, cast

from pydantic import SecretStr

from bridge.agents.base import CallInfo
from bridge.app import Bridge, running
from bridge.call.session import Observer, Session
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.demo import reception, verdict
from bridge.demo.acting import WentWrongError, hold, moment
from bridge.demo.lines import READER, TURNS
from bridge.demo.screen import Screen
from bridge.demo.sounds import Sounds, make_sounds
from bridge.demo.story import Story
from bridge.errors import SettingsError
from bridge.log import configure_logging
from bridge.settings import Settings
from bridge.settings.agents import AgentSettings
from bridge.settings.record import StoreSettings
from bridge.settings.sections import LogSettings, ServerSettings, SpeechSettings, TwilioSettings
from bridge.simulator.caller import Line, SimulatedCall
from bridge.simulator.report import make_report
from bridge.speech_server.launch import launch_local
from bridge.store.base import CallFiles

_RECORDED_WITHIN_S: Final = 15.0
"""How long the bridge may take to record the end of the call."""
_ORIGIN: Final = f"http://{ServerSettings().host}:{ServerSettings().port}"
"""Where a bridge with the usual settings is."""

Played: TypeAlias = Literal["python", "flow"]
"""Which agent answers: the built-in one, or the sample flow."""


async def run_demo(settings: Settings, folder: Path, agent: Played = "python") -> int:
    """Hold the demo's call, show it, and return 0 if it ran as it should; of `settings` only [log] counts.

    What is kept of the call goes to `folder`. Raises `SettingsError` for a folder that cannot be used,
    `MissingExtraError` where local speech is not installed, and `WentWrongError` with what was missing from the
    call, `BrokenPipeError` when nobody reads what is shown. Cancelling ends the call: what was said so far is
    recorded, and its place is named.
    """
    await asyncio.to_thread(_check_folder, folder)
    task = asyncio.current_task()
    screen = Screen(on_closed=task.cancel if task is not None else lambda: None)
    # Warnings are worth to be seen between the rows of the call; the rest would only hide them.
    log = settings.log if "level" in settings.log.model_fields_set else LogSettings(level="warning")
    configure_logging(Settings(log=log), stream=cast("TextIO", _StandardError()))
    try:
        async with contextlib.AsyncExitStack() as stack:
            with screen.busy("Starting the local speech server and the bridge"):
                stage = await stack.enter_async_context(_stage(folder, log, agent))
            if agent == "flow":
                path = reception.reception_path()
                screen.say(reception.INTRODUCTION.format(url=stage.bridge.url, flow=path.name))
            else:
                screen.say(_INTRODUCTION.format(url=stage.bridge.url))
            return await _show_call(stage, screen)
    except asyncio.CancelledError:
        if screen.closed:
            raise BrokenPipeError from None
        raise


@dataclass(frozen=True, slots=True)
class _Stage:
    """All that the call needs."""

    bridge: Bridge
    sounds: Sounds
    agent: Played


@contextlib.asynccontextmanager
async def _stage(folder: Path, log: LogSettings, agent: Played) -> AsyncIterator[_Stage]:
    """A speech server and a bridge with the default settings, whatever the user's are; and the caller's lines."""
    async with contextlib.AsyncExitStack() as stack:
        server = await launch_local()
        stack.push_async_callback(server.close)
        answers = AgentSettings()
        if agent == "flow":
            place = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="phone-bridge-")
            stack.push_async_callback(asyncio.to_thread, place.cleanup)
            flow = await asyncio.to_thread(reception.always_open, Path(place.name))
            answers = AgentSettings(kind="flow", url=str(flow))
        settings = Settings(
            server=ServerSettings(port=0),
            # A token for this one call: nothing is left on the machine but the call's files.
            twilio=TwilioSettings(auth_token=SecretStr(secrets.token_hex(16))),
            speech=SpeechSettings(base_url=server.url),
            store=StoreSettings(recordings=folder),
            log=log,
            agent=answers,
        )
        bridge = await stack.enter_async_context(running(settings))
        lines = reception.LINES if agent == "flow" else TURNS
        yield _Stage(bridge, await make_sounds(server.url, lines), agent)


async def _show_call(stage: _Stage, screen: Screen) -> int:
    story = Story(screen.row)
    follower = _Follower(stage.bridge, story)
    parties = reception.callees() if stage.agent == "flow" else {}
    call = SimulatedCall(
        Line(stage.bridge.url, stage.bridge.auth_token, parties=parties),
        on_event=lambda event: (
            story.agent_heard(moment(call, event.at_s)) if event.kind == "agent_started" else None
        ),
    )
    problem = ""
    try:
        async with screen.following(story):
            await call.place()
            if stage.agent == "flow":
                await reception.hold(call, stage.sounds, story, parties)
            else:
                await hold(call, stage.sounds, story)
    except WentWrongError as error:
        problem = error.message
    except asyncio.CancelledError:
        await call.hang_up()
        _name_what_is_there(screen, await follower.recorded())
        raise
    finally:
        await call.hang_up()
    files = await follower.recorded()
    report = make_report(call, [])
    judge = reception if stage.agent == "flow" else verdict
    if faults := [problem] if problem else judge.missing(story.entries, report):
        _name_what_is_there(screen, files)
        raise WentWrongError(f"the call did not go as it should: {'; '.join(faults)}")
    _conclude(screen, judge.summary(story.entries, report), files, follower.call_id)
    return 0


class _Follower:
    """Observes the call inside the bridge."""

    def __init__(self, bridge: Bridge, story: Story) -> None:
        self._live = bridge.registry.live
        self._story = story
        self._session: Session | None = None
        bridge.registry.observers.append(self._follow)

    def _follow(self, info: CallInfo) -> Observer:
        def step(now: float, event: on.Event, commands: list[do.Command]) -> None:
            if self._session is None:
                self._session = self._live.get(info.sid)
            self._story.step(now, event, commands)

        return step

    @property
    def call_id(self) -> str:
        """The bridge's id of the call; empty while there is none."""
        return "" if self._session is None else self._session.info.id

    async def recorded(self) -> CallFiles | None:
        """Wait until everything of the call is on the disk; None if there is nothing."""
        if self._session is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECORDED_WITHIN_S):
                await self._session.ended.wait()
        return self._session.files


class _StandardError:
    """Standard error as it is at the moment of writing: the live view puts its own in the place of the real one."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def _check_folder(folder: Path) -> None:
    """Make the folder, so that one that cannot be written is told before the call and not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written to"
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise SettingsError(f"--folder {folder}: {problem}; choose another folder")


_INTRODUCTION: Final = f"""\
A simulated phone call, through the addresses that Twilio uses. All speech is
made and recognised on this machine; there is no account, key or network.
  bridge  {{url}}, with its default settings
  agent   the front desk of a bicycle shop; synthetic voice (en-US)
  caller  synthetic voice (en-GB); but the message is recorded human speech,
          {READER} (CC Zero;
          it comes with the package moonshine-voice); the cough is made of noise
  times   seconds since the call began. Of each answer: how long the caller
          heard nothing; when the turn was certain to be over; and, counted
          from there, when the agent's text and the first audio were ready
"""


def _conclude(screen: Screen, summary: list[str], files: CallFiles | None, call_id: str) -> None:
    screen.say()
    screen.say("The call ran as it should.", style="bold")
    for line in summary:
        screen.say(f"  {line}")
    screen.say()
    _name_files(screen, files)
    screen.say()
    if files is not None:
        screen.say("Next, see and hear it in the browser, or make a call of your own there:")
        screen.say(f"  {_serving(files.folder.parent.parent)}")
        screen.say(f"  {_ORIGIN}/calls/{call_id}")
        screen.say(f"  {_ORIGIN}/softphone")
    screen.say('For a real phone: the section "A real phone number" of the README.')


def _serving(folder: Path) -> str:
    """The command that shows the calls of this folder: the usual one needs no setting."""
    if folder == StoreSettings().recordings:
        return "phone-bridge serve"
    return f"BRIDGE_STORE__RECORDINGS={shlex.quote(str(folder))} phone-bridge serve"


def _name_what_is_there(screen: Screen, files: CallFiles | None) -> None:
    screen.say()
    screen.say("What was said so far:" if files else "Nothing was said yet.")
    _name_files(screen, files)


def _name_files(screen: Screen, files: CallFiles | None) -> None:
    if files is None:
        return
    screen.say(f"  transcript  {files.transcript_text}")
    if files.recording is not None:
        screen.say(f"  recording   {files.recording}")
    screen.say(f"  timeline    {files.timeline}")
