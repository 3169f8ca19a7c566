"""The command `phone-bridge replay`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bridge.call.trace import Difference, replay
from bridge.errors import BridgeError
from bridge.process import FAILED, OK

_TRACE, _JOURNAL = "trace.jsonl", "journal.jsonl"


def print_replay(path: Path, *, as_json: bool) -> int:
    """Play the trace, print what came of it, and return the exit code."""
    # The journal names a call as well; what was decided, and upon what, stands in the trace beside it.
    file = path / _TRACE if path.is_dir() else path.with_name(_TRACE) if path.name == _JOURNAL else path
    try:
        text = file.read_bytes()
    except OSError as error:
        raise BridgeError(f"{file} cannot be read: {error.strerror or error}", code="trace_unreadable") from None
    agreed, difference = replay(text, name=str(file))
    if as_json:
        found = None if difference is None else {name: getattr(difference, name) for name in difference.__slots__}
        click.echo(json.dumps({"steps_agreed": agreed, "difference": found}, indent=2))
    elif difference is None:
        click.echo(f"{agreed} steps, and every decision is the same")
    else:
        click.echo(f"{agreed} steps are the same; then, in line {difference.line}:\n{_shown(difference)}")
    return OK if difference is None else FAILED


def _shown(difference: Difference) -> str:
    lines = [f"  event   {json.dumps(difference.event)}"]
    for title, commands in (("then", difference.then), ("today", difference.today)):
        lines += [f"  {title:7} {json.dumps(command)}" for command in commands] or [f"  {title:7} nothing"]
    return "\n".join(lines)
