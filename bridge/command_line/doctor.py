"""`phone-bridge doctor`: looks at everything a call needs, without a call, and says what to mend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bridge.checks.bus import check_bus
from bridge.checks.local import (
    Finding,
    check_folder,
    check_local_speech,
    check_numbers,
    check_python,
    check_settings,
    check_token,
    check_traces,
)
from bridge.checks.network import check_agent, check_clock, check_public_url, check_speech, check_twilio
from bridge.checks.privacy import check_privacy
from bridge.checks.standby import check_standby
from bridge.checks.store import check_database
from bridge.errors import SettingsError
from bridge.settings import Settings
from bridge.settings.source import load_settings


async def examine(config: Path | None = None) -> list[Finding]:
    """Run every check that the settings allow for, those that wait side by side.

    Takes about ten seconds at most, where nothing answers. Cancelling stops the checks.
    """
    findings, settings = await asyncio.to_thread(_look_around, config)
    if settings is None:
        return findings
    is_local = settings.speech.base_url == "local"
    waiting: list[Coroutine[Any, Any, list[Finding]]] = [
        asyncio.to_thread(check_local_speech) if is_local else check_speech(settings),
        check_standby(settings),
        check_database(settings),
        check_bus(settings),
        check_agent(settings),
        check_public_url(settings),
        check_clock(settings),
        check_twilio(settings),
    ]
    for part in await asyncio.gather(*waiting):
        findings += part
    return findings


def _look_around(config: Path | None) -> tuple[list[Finding], Settings | None]:
    """The quick checks of this machine, and the settings for the others; None where they are wrong."""
    findings = [check_python()]
    try:
        settings = load_settings(config)
    except SettingsError as error:
        remedy = "mend it in the TOML file or the environment"
        return findings + [Finding("settings", "failed", line, remedy) for line in error.message.splitlines()], None
    return [
        *findings,
        check_settings(),
        *check_numbers(settings),
        check_folder(settings),
        check_token(settings),
        *check_privacy(settings),
        *check_traces(),
    ], settings


def print_findings(findings: list[Finding], *, as_json: bool) -> None:
    """Print them on standard output: a line each and one for the remedy, or one JSON array."""
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return
    colours = {"ok": "green", "warning": "yellow", "failed": "red"}
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        status = click.style(f"{finding.status:8}", fg=colours[finding.status])
        click.echo(f"{status} {finding.check:{width}}  {finding.message}")
        if finding.remedy:
            click.echo(f"{'':9}{'':{width}}  → {finding.remedy}")
