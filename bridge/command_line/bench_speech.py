"""The command `phone-bridge bench speech`: how many callers the local speech server answers in real time."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from bridge.errors import SettingsError
from bridge.process import FAILED, OK, run

_MOST_STREAMS = 500


@click.command(short_help="Measure how many callers the local speech server answers in real time.")
@click.option(
    "--streams", default="1,2,4,8,12,16", show_default=True, help="Numbers of callers at once, one run each."
)
@click.option(
    "--utterances", type=click.IntRange(1), default=12, show_default=True, help="How often each caller speaks."
)
@click.option(
    "--cores",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Cores for the server, where there are more.",
)
@click.option("--server", default="", metavar="OPTIONS", help='Options of the server, such as "--workers 2".')
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON to this file, too.")
def speech(streams: str, utterances: int, cores: int, server: str, as_json: bool, out: Path | None) -> int:
    """Measure the local speech server: latencies and lost words with more and more callers at once.

    Starts a server of its own. Each caller speaks in real time and has an answer spoken after each turn. A number
    of callers is in real time if their turns end at most 300 ms later (p95) than the first one's and no words are
    lost. Exit code 1 if not even the first was.
    """
    from bridge.bench import local_figures  # noqa: PLC0415  It is not needed for help texts.
    from bridge.bench.local_speech import SpeechOptions, run_local_speech  # noqa: PLC0415  As above.

    def show(level: local_figures.SpeechLevel) -> None:
        if not as_json:
            click.echo(local_figures.table([level]) + "\n")

    options = SpeechOptions(_numbers(streams), utterances, cores, tuple(shlex.split(server)))
    levels = run(run_local_speech(options, on_level=show))
    found = local_figures.as_json(levels)
    click.echo(json.dumps(found, indent=2) if as_json else f"In real time: {found['real_time_streams']} callers.")
    if out is not None:
        out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return OK if found["ok"] else FAILED


def _numbers(given: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in given.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(1 <= number <= _MOST_STREAMS for number in numbers):
        raise SettingsError(f"--streams is {given!r}: wanted numbers of callers such as 1,4,8")
    return numbers
