"""The command `phone-bridge call`: from its options to a simulated call, and from that to an exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import click

from bridge.errors import SettingsError
from bridge.local_token import read_local_token
from bridge.process import FAILED, OK
from bridge.settings import Settings
from bridge.settings_values import is_loopback
from bridge.simulator.caller import CallEvent
from bridge.simulator.line import Line
from bridge.simulator.run import CallOptions, run_call


async def place_call(options: CallOptions, *, as_json: bool) -> int:
    """Make the call, show it, and return the exit code. Cancelling hangs up and writes the recording so far."""
    report = await run_call(options, on_event=None if as_json else _View().show)
    # Somebody who only listens wants to hear the greeting.
    unheard = not options.wavs and options.scenario is None and not report.heard_s
    succeeded = report.ok and not unheard
    if as_json:
        click.echo(json.dumps({**report.as_dict(), "ok": succeeded}, indent=2))
    else:
        click.echo(f"{report}\n  FAILED nothing was heard of the agent" if unheard else str(report))
    return OK if succeeded else FAILED


def call_options(settings: Settings, given: Mapping[str, Any]) -> CallOptions:
    """What call to make. `given` are the command's options by name. Raises `SettingsError`."""
    if given["wavs"] and given["scenario"]:
        raise SettingsError("--wav and --scenario are two kinds of call: give one of them")
    near = is_loopback(urlsplit(given["url"]).hostname or "")
    line = Line(
        url=given["url"],
        auth_token=given["auth_token"] or settings.twilio.auth_token.get_secret_value() or read_local_token(),
        caller=given["caller"],
        called=given["called"],
        # What is signed is the address that the bridge was told it has, whichever way it is reached.
        public_url=settings.server.public_url if near else "",
    )
    return CallOptions(
        line=line,
        wavs=given["wavs"],
        scenario=given["scenario"],
        record=given["record"],
        timeout_s=given["timeout"],
    )


class _View:
    """The call as it goes on, on standard error: the report alone is on standard output.

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
            if event.kind != "stream_started":
                return
        for shown in self._early or [event]:
            what = shown.kind.replace("_", " ")
            click.echo(f"{shown.at_s:7.2f} s  {what:15} {shown.detail}".rstrip(), err=True)
        self._early = None
